"""A stage: web ACL, throttling, validation, access log, metrics, each by what it does to requests."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.embedded.embedded_aws import (
    HOME,
    PEER,
    EmbeddedAws,
    delete,
    deploy,
    eventually,
    reasons,
    unique,
)
from tests.integration.embedded.stage_template import (
    LOGS,
    PROBLEM,
    DeployedStage,
    deployed_stage,
    resource,
    role,
    template,
)


@pytest.fixture(scope="module")
def stage(aws: EmbeddedAws) -> DeployedStage:
    return deployed_stage(aws, unique("stage"))


def pay(
    stage: DeployedStage, body: bytes = b'{"amount": 1}', **headers: str
) -> tuple[int, Any, dict[str, str]]:
    return stage.ask("/payments", method="POST", body=body, **{"Idempotency_Key": "k", **headers})


def access_line(stage: DeployedStage, request_id: str) -> Any:
    lines = stage.lines(f"/aws/apigateway/{stage.name}")
    return next((line for line in lines if line["requestId"] == request_id), None)


def counted(stage: DeployedStage, namespace: str, name: str, region: str = HOME, **dimensions: str) -> float:
    now = stage.aws.client("cloudwatch", region)
    query = {
        "Id": "m",
        "MetricStat": {
            "Metric": {
                "Namespace": namespace,
                "MetricName": name,
                "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            },
            "Period": 86400,
            "Stat": "Sum",
        },
    }
    found = now.get_metric_data(
        MetricDataQueries=[query], StartTime="2020-01-01T00:00:00Z", EndTime="2100-01-01T00:00:00Z"
    )
    return float(sum(found["MetricDataResults"][0]["Values"]))


def test_what_passes_is_answered_traced_and_logged(stage: DeployedStage) -> None:
    status, context, headers = pay(stage, source="203.0.113.9, 192.0.2.10")
    assert status == 200
    assert context["identity"]["sourceIp"] == "192.0.2.10"  # who reached us, not who they say they are
    assert headers["x-amzn-requestid"] == context["requestId"]
    assert headers["x-amzn-trace-id"].startswith("Root=1-")
    line = eventually(lambda: access_line(stage, context["requestId"]), "the request is in the access log")
    assert line == {
        "requestId": context["requestId"],
        "status": "200",
        "path": "/payments",
        "errorType": "-",
        "waf": "WAF_ALLOW",
        "sourceIp": "192.0.2.10",
        "traceId": headers["x-amzn-trace-id"],
        "unheard": "-",
    }


def test_the_validator_refuses_before_the_function_is_asked(stage: DeployedStage) -> None:
    status, answer, headers = stage.ask("/payments", method="POST", body=b'{"amount": 1}')
    assert (status, answer["message"]) == (400, "Missing required request parameters: [Idempotency-Key]")
    line = eventually(lambda: access_line(stage, headers["x-amzn-requestid"]), "the refusal is logged")
    assert line["errorType"] == "BAD_REQUEST_PARAMETERS"
    status, answer, _ = pay(stage, b'{"amount": "1"}')
    assert (status, answer["message"]) == (400, "Invalid request body")


def test_a_method_is_throttled_by_its_own_setting(stage: DeployedStage) -> None:
    assert stage.ask("/once")[0] == 200
    status, answer, _ = stage.ask("/once")
    assert (status, answer) == (429, PROBLEM)
    assert pay(stage)[0] == 200  # the others go on
    described = stage.aws.client("apigateway").get_stage(restApiId=stage.api, stageName="live")
    assert set(described["methodSettings"]) == {"*/*", "~1once/GET"}
    assert described["webAclArn"] == stage.acl
    assert described["accessLogSettings"]["destinationArn"].endswith(
        f":log-group:/aws/apigateway/{stage.name}"
    )


def test_the_web_acl_blocks_and_says_which_rule(stage: DeployedStage) -> None:
    secret = {"source": "192.0.2.20", "authorization": "Bearer secret"}
    status, answer, headers = pay(stage, b" " * 101 + b'{"amount": 1}', **secret)
    assert (status, answer) == (403, {"message": "Forbidden"})
    assert headers["x-amzn-errortype"] == "ForbiddenException"
    assert stage.ask("/once?q=$%7Bjndi:ldap://x%7D", source="192.0.2.20")[0] == 403
    group = f"aws-waf-logs-{stage.name}"

    def blocked() -> Any:
        found = [line for line in stage.lines(group) if line["httpRequest"]["clientIp"] == "192.0.2.20"]
        return found[1:] and found

    large, injected = eventually(blocked, "both are in the web ACL's log")
    assert (large["terminatingRuleId"], large["action"], large["httpSourceName"]) == (
        "body",
        "BLOCK",
        "APIGW",
    )
    assert {"name": "authorization", "value": "REDACTED"} in large["httpRequest"]["headers"]
    assert injected["ruleGroupList"][0]["terminatingRule"]["ruleId"] == "Log4JRCE"
    dimensions = {"WebACL": stage.name, "Region": HOME}
    assert counted(stage, "AWS/WAFV2", "BlockedRequests", **dimensions, Rule="body") == 1


def test_one_address_too_often_is_answered_by_the_web_acl_itself(stage: DeployedStage) -> None:
    answers = [stage.ask("/payments", method="POST", source="192.0.2.30") for _ in range(21)]
    assert [status for status, _, _ in answers] == [400] * 20 + [429]
    assert answers[-1][1] == PROBLEM
    assert pay(stage, source="192.0.2.31")[0] == 200


def test_requests_are_metered_by_stage_and_method(stage: DeployedStage) -> None:
    assert stage.ask("/broken")[0] == 502
    own = {"ApiName": stage.name, "Stage": "live", "Resource": "/broken", "Method": "GET"}
    assert counted(stage, "AWS/ApiGateway", "Count", **own) == 1
    assert counted(stage, "AWS/ApiGateway", "5XXError", **own) == 1
    assert counted(stage, "AWS/ApiGateway", "4XXError", **own) == 0
    assert counted(stage, "AWS/Lambda", "Errors", FunctionName=stage.name) == 1
    assert counted(stage, "AWS/ApiGateway", "Count", PEER, **own) == 0


def test_a_function_s_embedded_metrics_are_metrics_of_its_region(stage: DeployedStage) -> None:
    before = counted(stage, "shop", "Taken", service="api")
    assert pay(stage)[0] == 200
    eventually(lambda: counted(stage, "shop", "Taken", service="api") == before + 1, "the log line counts")
    assert counted(stage, "shop", "Taken", PEER, service="api") == 0


def test_what_a_stage_has_in_front_of_it_is_described_and_holds_it(stage: DeployedStage) -> None:
    client = stage.aws.client("wafv2")
    arn = f"arn:aws:apigateway:{HOME}::/restapis/{stage.api}/stages/live"
    assert client.get_web_acl_for_resource(ResourceArn=arn)["WebACL"]["ARN"] == stage.acl
    logging = client.get_logging_configuration(ResourceArn=stage.acl)["LoggingConfiguration"]
    assert logging["LogDestinationConfigs"][0].endswith(f"aws-waf-logs-{stage.name}")
    account = stage.aws.client("apigateway").get_account()
    assert account["cloudwatchRoleArn"].startswith("arn:aws:iam::")


def test_logging_needs_a_role_that_api_gateway_can_use(aws: EmbeddedAws) -> None:
    name = unique("unlogged")
    document = template(name)
    wanted = {
        title: document["Resources"][title] for title in ("FunctionRole", "Function", "Api", "Deployment")
    }
    stage = {**document["Resources"]["Stage"]}
    del stage["DependsOn"]
    log = document["Resources"]["AccessLog"]
    document = {"Resources": {**wanted, "AccessLog": log, "Stage": stage}}
    assert deploy(aws, name, document, PEER) == "ROLLBACK_COMPLETE"
    assert "CloudWatch Logs role ARN must be set in account settings to enable logging" in reasons(
        aws, name, PEER
    )
    other = unique("mistrusted")
    account = ("ApiGateway::Account", {"CloudWatchRoleArn": {"Fn::GetAtt": ["Role", "Arn"]}})
    wrong = {"Role": role("lambda.amazonaws.com", *LOGS), "Account": resource(account)}
    assert deploy(aws, other, {"Resources": wrong}, PEER) == "ROLLBACK_COMPLETE"
    assert "does not have required permissions configured" in reasons(aws, other, PEER)


@pytest.mark.parametrize(
    ("kind", "properties", "reason"),
    [
        (
            "WAFv2::WebACLAssociation",
            {"ResourceArn": "arn:aws:apigateway:us-east-1::/restapis/none/stages/live"},
            "WAFUnavailableEntityException",
        ),
        (
            "WAFv2::LoggingConfiguration",
            {"LogDestinationConfigs": ["arn:aws:logs:us-east-1:000000000000:log-group:some-logs"]},
            "WAFInvalidParameterException",
        ),
    ],
)
def test_what_aws_waf_refuses(
    aws: EmbeddedAws, stage: DeployedStage, kind: str, properties: dict[str, Any], reason: str
) -> None:
    name = unique("refused")
    key = "WebACLArn" if "ResourceArn" in properties else "ResourceArn"
    found = resource((kind, {**properties, key: stage.acl}))
    assert deploy(aws, name, {"Resources": {"Refused": found}}) == "ROLLBACK_COMPLETE"
    assert reason in reasons(aws, name)


def test_a_rule_the_lab_cannot_evaluate_is_refused(aws: EmbeddedAws) -> None:
    name = unique("unmodelled")
    document = template(name)["Resources"]["Firewall"]
    document["Properties"]["Rules"][0]["Statement"] = {"GeoMatchStatement": {"CountryCodes": ["US"]}}
    assert deploy(aws, name, {"Resources": {"Firewall": document}}) == "ROLLBACK_COMPLETE"
    assert "The lab cannot evaluate GeoMatchStatement" in reasons(aws, name)


def test_a_web_acl_in_use_stays_and_the_stack_takes_it_down_in_order(aws: EmbeddedAws) -> None:
    stage = deployed_stage(aws, unique("gone"))
    client = aws.client("wafv2")
    acl = client.get_web_acl(Name=stage.name, Scope="REGIONAL", Id=stage.acl.rpartition("/")[2])
    with pytest.raises(ClientError, match="WAFAssociatedItemException"):
        client.delete_web_acl(
            Name=stage.name, Scope="REGIONAL", Id=acl["WebACL"]["Id"], LockToken=acl["LockToken"]
        )
    assert delete(aws, stage.name) == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="WAFNonexistentItemException"):
        client.get_logging_configuration(ResourceArn=stage.acl)


def test_a_stage_serves_what_was_deployed(aws: EmbeddedAws) -> None:
    stage = deployed_stage(aws, unique("served"))
    document = template(stage.name)
    del document["Resources"]["Api"]["Properties"]["Body"]["paths"]["/once"]
    assert deploy(aws, stage.name, document) == "UPDATE_COMPLETE", reasons(aws, stage.name)
    assert stage.ask("/once")[0] == 200  # the API is another one, what is deployed is not
    again = document["Resources"].pop("Deployment")
    document["Resources"]["Deployment2"] = again
    document["Resources"]["Stage"]["Properties"]["DeploymentId"] = {"Ref": "Deployment2"}
    assert deploy(aws, stage.name, document) == "UPDATE_COMPLETE", reasons(aws, stage.name)
    assert stage.ask("/once", source="192.0.2.2")[1] == {"message": "Missing Authentication Token"}
    assert pay(stage)[0] == 200
