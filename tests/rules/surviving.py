"""What recovery uses in the regions that are left, and every reference in it to the region that is not.

Recovery is what notices, decides, fences, promotes, posts and finishes, and what serves payments meanwhile.
Whatever its functions refer to is part of it, in whichever template, and so is what nothing refers to and
works by being there: a route, a record, a permission.
"""

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from templates.names import Place
from tests.rules.laws import NAMES
from tests.rules.reading import in_region, of_type, references, strings, walk
from tests.rules.variants import Template, Variant

STEPS = ("Probe", "Decide", "Fence", "Recover", "Finish", "Api", "Sweep")
"""The functions it begins from. Promoting is Region switch's, by the plan."""

NOT_NEEDED: dict[str, str] = {
    "service.ApiFunction.Environment.Variables.PEER_*": "hands requests on while the other one is active",
    "service.ApiRole.Policies.*": "may do so",
    "service.ProbeFunction.Environment.Variables.HOSTS": "whether it answers is the question",
    "witness.ProbeFunction.Environment.Variables.*": "either replica will do; a vote is for the other one",
    "witness.ProbeRole.Policies.*": "may do so",
    "service.FinishRole.Policies.*": "RDS is asked in this region; its leave has to name both clusters",
    "service.*Alarm.*Dimensions.*": "how a measurement is called that is reported in this region",
    "service.CompareRole.Policies.*": "both ledgers are compared for operators, before a failover",
    "service.RotateRole.Policies.*": "passwords change while both regions are there",
    "foundation.DataKey.KeyPolicy.*kms:ViaService*": "one of two regions whose services may use the key",
    "data.BackupPlan.BackupPlan.*CopyActions*": "copies are made when there is somewhere to copy to",
    "data.BackupRole.Policies.*": "may do so",
    "data.TransactionsBucket.ReplicationConfiguration.*": "sent when there is somewhere to send to",
    "data.ReplicationRole.Policies.*": "may do so",
}
"""References that are there, and why recovery does without what they lead to."""


class Reference(NamedTuple):
    """`where` is template, title and the way to the value, with dots between them."""

    where: str
    value: str

    @property
    def reasons(self) -> list[str]:
        """Why recovery does without it, by what NOT_NEEDED calls it; none where it does not."""
        return [pattern for pattern in NOT_NEEDED if fnmatchcase(self.where, pattern)]


def named(variant: Variant, dead: str) -> Iterator[Reference]:
    """Every reference to that region in what recovery uses elsewhere, needed or not."""
    regions = variant.settings.regions
    place: Place = "primary" if dead == regions.primary else "secondary"
    mark = re.compile(rf"(?<![a-z0-9-]){dead}(?![a-z0-9-])|(^|-|/){place}[.-]")
    for name, title, resource in _used(variant, dead):
        for path, value in strings(resource["Properties"]):
            if "Description" not in path[-1] and mark.search(value):
                yield Reference(".".join((name, title, *path)), value)


def missing(variant: Variant, dead: str) -> Iterator[str]:
    """What recovery asks for by a name that the region which is left does not have, or does not run."""
    names, region = variant.settings.names, _left(variant, dead)
    known = set(_made(variant, region))
    for name, title, resource in _used(variant, dead):
        if name == "service" and resource["Type"] == "AWS::Lambda::Function":
            for variable, value in resource["Properties"]["Environment"]["Variables"].items():
                ours = isinstance(value, str) and re.match(rf"{names.service}[-/]", value)
                if not ours or value in known | {names.metrics}:
                    continue
                if not Reference(f"{name}.{title}.Environment.Variables.{variable}", value).reasons:
                    yield f"{title} asks for {value}, which {region} does not have"
    yield from _not_activated(variant, region, known)


def _not_activated(variant: Variant, region: str, known: set[str]) -> Iterator[str]:
    plans = [plan for _, plan in of_type(variant.templates["root"], "AWS::ARCRegionSwitch::Plan")]
    workflows = [w for plan in plans for w in plan["Workflows"] if w["WorkflowTargetRegion"] == region]
    if not workflows:
        yield f"no plan activates {region}"
    for step in (step for workflow in workflows for step in workflow["Steps"]):
        mine = [text for _, text in strings(step) if f":{region}:" in text]
        if not any(text.rpartition(":")[2] in known for text in mine):
            yield f"step {step['Name']} has nothing to work with in {region}"
        for path, where in strings(step):
            if path[-1] == "RegionToRun" and where != "activatingRegion":
                yield f"step {step['Name']} runs in {where}"


def _left(variant: Variant, dead: str) -> str:
    regions = variant.settings.regions
    return regions.secondary if dead == regions.primary else regions.primary


def _used(variant: Variant, dead: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Template, title and resource, each as its region reads it."""
    left = _left(variant, dead)
    read = {
        name: in_region(template, variant.settings.regions.witness if name == "witness" else left)
        for name, template in variant.templates.items()
        if name not in ("root", "zone")
    }
    exports = {
        output["Export"]["Name"]: (name, title)
        for name, template in read.items()
        for output in template["Outputs"].values()
        if "Export" in output
        for title in references(output["Value"])
    }
    leads = {
        (name, title): set(_leads(name, resource, exports))
        for name, template in read.items()
        for title, resource in template["Resources"].items()
    }
    unread = leads.keys() - {target for targets in leads.values() for target in targets}
    used = {key for key in leads if key[1] in {f"{step}Function" for step in STEPS}}
    while True:
        more = {target for key in used for target in leads[key] if target in leads}
        more |= {key for key in unread if leads[key] & used}
        if more <= used:
            break
        used |= more
    for name, title in sorted(used):
        yield name, title, read[name]["Resources"][title]


def _leads(
    name: str, resource: Mapping[str, Any], exports: Mapping[str, tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """What it refers to; what it only waits for while it is deployed is left out."""
    for title in references(resource.get("Properties", {})):
        yield name, title
    for _, value in walk(resource.get("Properties", {})):
        if isinstance(value, Mapping) and value.get("Fn::ImportValue") in exports:
            yield exports[value["Fn::ImportValue"]]


def _made(variant: Variant, region: str) -> Iterator[str]:
    """The name of everything that the region has: its own, and its part of what both share."""
    root = variant.templates["root"]
    for _, table in of_type(root, "AWS::DynamoDB::GlobalTable"):
        if region in [replica["Region"] for replica in table["Replicas"]]:
            yield table["TableName"]
    for _, secret in of_type(root, "AWS::SecretsManager::Secret"):
        home = variant.settings.regions.primary
        if region in (home, *(replica["Region"] for replica in secret["ReplicaRegions"])):
            yield secret["Name"]
    for _, cluster in of_type(root, "AWS::RDS::GlobalCluster"):
        yield cluster[
            "GlobalClusterIdentifier"
        ]  # as long as a cluster of it is in the region, which asks there
    for _, plan in of_type(root, "AWS::ARCRegionSwitch::Plan"):
        if region in plan["Regions"]:
            yield plan["Name"]
    for name in ("foundation", "data", "service"):
        here: Template = in_region(variant.templates[name], region)
        for kind, (property_name, _) in NAMES.items():
            yield from (str(resource.get(property_name)) for _, resource in of_type(here, kind))
