"""Laws about drills: a fault that somebody starts on purpose harms nothing but what it names."""

import re
from collections.abc import Iterator

from tests.rules.reading import of_type, statements, strings
from tests.rules.variants import Template, Variant


def drills_touch_only_what_they_name(name: str, template: Template, variant: Variant) -> Iterator[str]:
    """By ARN, in their own region; by a role that changes nothing else; until an alarm of ours rings."""
    alarms = {title for title, _ in of_type(template, "AWS::CloudWatch::Alarm")}
    roles: list[str] = []
    for title, drill in of_type(template, "AWS::FIS::ExperimentTemplate"):
        roles.append(drill["RoleArn"]["Fn::GetAtt"][0])
        stops = {stop.get("Value", {}).get("Fn::GetAtt", [""])[0] for stop in drill["StopConditions"]}
        if not stops or not stops <= alarms:
            yield f"{title} is stopped by {stops}"
        if drill.get("ExperimentOptions", {}).get("EmptyTargetResolutionMode") != "fail":
            yield f"{title} begins although something it names is not there"
        if "CloudWatchLogsConfiguration" not in drill.get("LogConfiguration", {}):
            yield f"{title} leaves no log"
        targets = [arn for target in drill["Targets"].values() for arn in target.get("ResourceArns", [])]
        if not targets or any("ResourceTags" in target for target in drill["Targets"].values()):
            yield f"{title} takes whatever it finds"
        for _, text in strings(targets):
            if "*" in text or (text.startswith("arn:") and ":${AWS::Region}:" not in text):
                yield f"{title} is aimed at {text}"
        role = template["Resources"].get(roles[-1], {}).get("Properties", {})
        for _, statement in statements(role.get("AssumeRolePolicyDocument", {})):
            if {key for test in statement.get("Condition", {}).values() for key in test} != _LENT_FOR:
                yield f"{title} has a role that is lent to whoever asks"
        for _, statement in statements(role.get("Policies", [])):
            changing = [a for a in statement["Action"] if not _LOOKS.match(a)]
            elsewhere = [one for one in statement["Resource"] if one not in targets]
            if changing and elsewhere and statement["Sid"] not in _BESIDES:
                yield f"{title} may {', '.join(changing)} more than what it names"
    yield from (f"{role} is shared by drills" for role in set(roles) if roles.count(role) > 1)


_LENT_FOR = {"aws:SourceAccount", "aws:SourceArn"}
_LOOKS = re.compile("[a-z0-9]+:(Describe|Get)")
_BESIDES = {
    "ChangeCopies": "network ACLs that FIS made",
    "CopyAcls": "made with FIS's tag",
    "CopyAclsHere": "in our network",
    "CutOff": "what a subnet gets instead, and gets back",
    "DeliverLogs": "of the drill itself",
    "PauseReplication": "streams of the tables it names",
    "TagCopies": "as they are made",
}


LAWS = (drills_touch_only_what_they_name,)
