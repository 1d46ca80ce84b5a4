"""Laws about what faces clients and operators: the API is guarded and logged, and every alarm is heard."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.rules.reading import in_region, of_type, statements, strings
from tests.rules.variants import Template, Variant

_TLS = ("SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09", "STRICT")
# Tokens, amounts, and whatever else a client writes as it likes.
_NEVER_LOGGED = ("header", "body", "querystring", "userAgent", "authorizer", '$context.path"')


def alarms_reach_somebody(name: str, template: Template, variant: Variant) -> Iterator[str]:
    """In their own region: a topic of the same stack, when trouble begins and when it is over."""
    for region in variant.regions(name):
        here = in_region(template, region)
        topics = [{"Ref": title} for title, _ in of_type(here, "AWS::SNS::Topic")]
        for title, alarm in of_type(here, "AWS::CloudWatch::Alarm"):
            if alarm.get("ActionsEnabled") is not True:
                yield f"{title} is silent"
            for actions in ("AlarmActions", "OKActions"):
                told = alarm.get(actions, [])
                if not told or any(topic not in topics for topic in told):
                    yield f"{title} has {actions} {told}"
            if alarm.get("TreatMissingData") not in ("breaching", "notBreaching", "ignore"):
                yield f"{title} does not say what silence means"
            if len(alarm.get("AlarmDescription", "")) < 20:
                yield f"{title} does not say what happened"
            if _watches_dynamodb(alarm) != (alarm.get("TreatMissingData") == "ignore"):
                yield f"{title}: CloudWatch ignores missing data of DynamoDB, and of nothing else"


def alarms_over_alarms_reach_people_and_whom_they_start(
    name: str, template: Template, variant: Variant
) -> Iterator[str]:
    """People in any case. A function lets that alarm in and no other, and what it could not do is kept."""
    for region in variant.regions(name):
        here = in_region(template, region)
        topics = [{"Ref": title} for title, _ in of_type(here, "AWS::SNS::Topic")]
        functions = [title for title, _ in of_type(here, "AWS::Lambda::Function")]
        for title, alarm in of_type(here, "AWS::CloudWatch::CompositeAlarm"):
            if alarm.get("ActionsEnabled") is not True or len(alarm.get("AlarmDescription", "")) < 20:
                yield f"{title} is silent, or does not say what happened"
            if not [one for one in alarm["AlarmActions"] if one in topics]:
                yield f"{title} calls nobody"
            if any(one not in topics for one in alarm.get("OKActions", [])) or not alarm.get("OKActions"):
                yield f"{title} does not say that it is over"
            started = [one["Fn::GetAtt"][0] for one in alarm["AlarmActions"] if "Fn::GetAtt" in one]
            if any(one not in functions for one in started) or (
                bool(started) is not variant.settings.failover.automatic
            ):
                yield f"{title} starts {started}"
            for function in started:
                yield from _let_in(here, function, alarm["AlarmName"], region)


def _let_in(here: Template, function: str, alarm: str, region: str) -> Iterator[str]:
    let_in = [
        (one["Principal"], one.get("SourceAccount"), one["SourceArn"])
        for _, one in of_type(here, "AWS::Lambda::Permission")
        if one["FunctionName"] == {"Ref": function}
    ]
    source = {"Fn::Sub": f"arn:${{AWS::Partition}}:cloudwatch:{region}:${{AWS::AccountId}}:alarm:{alarm}"}
    wanted = ("lambda.alarms.cloudwatch.amazonaws.com", {"Ref": "AWS::AccountId"}, source)
    if let_in != [wanted]:
        yield f"{function} lets in {let_in}"
    queues = [{"Fn::GetAtt": [title, "Arn"]} for title, _ in of_type(here, "AWS::SQS::Queue")]
    kept = [
        one["DestinationConfig"]["OnFailure"]["Destination"] in queues and one["MaximumRetryAttempts"] == 2
        for _, one in of_type(here, "AWS::Lambda::EventInvokeConfig")
        if one["FunctionName"] == {"Ref": function}
    ]
    if kept != [True]:
        yield f"{function} gives up at once, or nobody hears of it"


def _watches_dynamodb(alarm: Mapping[str, Any]) -> bool:
    return any(value == "AWS/DynamoDB" for _, value in strings(alarm))


def topics_take_alarms_only(name: str, template: Template, variant: Variant) -> Iterator[str]:
    policies = {
        topic["Ref"]: policy["PolicyDocument"]["Statement"]
        for _, policy in of_type(template, "AWS::SNS::TopicPolicy")
        for topic in policy["Topics"]
    }
    subscribed = {
        subscription["TopicArn"]["Ref"]: subscription["Endpoint"]
        for _, subscription in of_type(template, "AWS::SNS::Subscription")
    }
    for title, topic in of_type(template, "AWS::SNS::Topic"):
        if not topic.get("KmsMasterKeyId") or "alias/aws/" in json.dumps(topic["KmsMasterKeyId"]):
            yield f"{title} is not encrypted with our key"
        found = policies.get(title, [])
        allowed = [statement for statement in found if statement["Effect"] == "Allow"]
        if [statement["Principal"] for statement in allowed] != [{"Service": "cloudwatch.amazonaws.com"}]:
            yield f"{title} lets others than CloudWatch publish"
        for statement in allowed:
            if "aws:SourceAccount" not in statement.get("Condition", {}).get("StringEquals", {}):
                yield f"{title} takes alarms of other accounts"
        if not any(
            statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
            for statement in found
            if statement["Effect"] == "Deny" and statement["Principal"] == "*"
        ):
            yield f"{title} takes messages without TLS"
        if title not in subscribed:
            yield f"{title} tells nobody"


def apis_are_guarded_and_logged(name: str, template: Template, variant: Variant) -> Iterator[str]:
    for title, api in of_type(template, "AWS::ApiGateway::RestApi", "AWS::ApiGateway::DomainName"):
        if (api.get("SecurityPolicy"), api.get("EndpointAccessMode")) != _TLS:
            yield f"{title} speaks old TLS"
    guarded = [
        json.dumps(association["ResourceArn"])
        for _, association in of_type(template, "AWS::WAFv2::WebACLAssociation")
    ]
    for title, stage in of_type(template, "AWS::ApiGateway::Stage"):
        if not any(f'"{title}"' in association for association in guarded):
            yield f"{title} has no firewall"
        if stage.get("TracingEnabled") is not True:
            yield f"{title} is not traced"
        log = stage.get("AccessLogSetting", {})
        if not isinstance(json.loads(log.get("Format", "null")), dict) or "DestinationArn" not in log:
            yield f"{title} has no access log in JSON"
        for word in _NEVER_LOGGED:
            if word in log.get("Format", ""):
                yield f"{title} logs {word}"
        settings = stage.get("MethodSettings", [])
        if not any((s["HttpMethod"], s["ResourcePath"]) == ("*", "/*") for s in settings):
            yield f"{title} has no setting for all methods"
        for setting in settings:
            if setting.get("LoggingLevel") not in ("ERROR", "INFO") or setting.get("DataTraceEnabled"):
                yield f"{title} logs too little or too much of {setting['ResourcePath']}"
            if not setting.get("ThrottlingRateLimit") or not setting.get("ThrottlingBurstLimit"):
                yield f"{title} does not throttle {setting['ResourcePath']}"
            if setting.get("MetricsEnabled") is not True:
                yield f"{title} does not measure {setting['ResourcePath']}"


def firewalls_log(name: str, template: Template, variant: Variant) -> Iterator[str]:
    """To groups that AWS WAF takes, without what a caller proves itself with."""
    logged = {
        logging["ResourceArn"]["Fn::GetAtt"][0]: logging
        for _, logging in of_type(template, "AWS::WAFv2::LoggingConfiguration")
    }
    for title, _ in of_type(template, "AWS::WAFv2::WebACL"):
        redacted = [
            field["SingleHeader"]["Name"] for field in logged.get(title, {}).get("RedactedFields", [])
        ]
        if "authorization" not in redacted:
            yield f"{title} does not log, or logs tokens"


def stages_keep_their_own_log(name: str, template: Template, variant: Variant) -> Iterator[str]:
    """API Gateway names the group after the API; made by API Gateway, it would be open and for ever."""
    groups = json.dumps([group["LogGroupName"] for _, group in of_type(template, "AWS::Logs::LogGroup")])
    for title, _ in of_type(template, "AWS::ApiGateway::RestApi"):
        if "API-Gateway-Execution-Logs_" not in groups or f'{{"Ref": "{title}"}}' not in groups:
            yield f"{title} has no log group of ours"


def keys_serve_who_publishes(name: str, template: Template, variant: Variant) -> Iterator[str]:
    """Or alarms would be raised, and nobody told."""
    if name not in ("foundation", "witness"):
        return
    principals = [
        statement["Principal"].get("Service")
        for _, key in of_type(template, "AWS::KMS::Key")
        for _, statement in statements(key)
        if statement["Effect"] == "Allow" and isinstance(statement["Principal"], Mapping)
    ]
    if "cloudwatch.amazonaws.com" not in principals:
        yield "CloudWatch cannot publish to topics encrypted with the region's key"


LAWS = (
    alarms_reach_somebody,
    alarms_over_alarms_reach_people_and_whom_they_start,
    topics_take_alarms_only,
    apis_are_guarded_and_logged,
    firewalls_log,
    stages_keep_their_own_log,
    keys_serve_who_publishes,
)
