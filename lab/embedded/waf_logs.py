"""The logs of web ACLs: where they go, which requests are in them, and the API that says so.

https://docs.aws.amazon.com/waf/latest/developerguide/logging-cw-logs.html
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import get_region, json_response
from ministack.services import cloudwatch_logs, waf

from lab.embedded import deliveries
from lab.embedded.handlers import Created, Handlers, Properties, Response, checked
from lab.embedded.waf_rules import Verdict, WebRequest

MISSING = "AWS WAF couldn’t perform the operation because your resource doesn’t exist."  # noqa: RUF001 - its words
_LOG_GROUPS = "aws-waf-logs-"
_logging: dict[str, Properties] = {}
"""The configuration by the ARN of the web ACL."""


def register(handlers: Handlers) -> None:
    handlers["AWS::WAFv2::LoggingConfiguration"] = {
        "create": log_from,
        "update": lambda physical_id, old, new, stack_name: log_from("", new, stack_name),
        "delete": lambda physical_id, properties: forget(physical_id),
    }
    waf.handle_request = _with_logging_actions(waf.handle_request)


def forget(acl_arn: str) -> None:
    _logging.pop(acl_arn, None)


def log_from(logical_id: str, properties: Properties, stack_name: str) -> Created:
    checked(_put_logging({"LoggingConfiguration": properties}))
    arn = str(properties["ResourceArn"])
    return arn, {"ManagedByFirewallManager": False}


# --- the API's logging actions ----------------------------------------------------------------------------


def _with_logging_actions(inherited: Callable[..., Any]) -> Callable[..., Any]:
    actions: Mapping[str, Callable[[Properties], Response]] = {
        "PutLoggingConfiguration": _put_logging,
        "GetLoggingConfiguration": _get_logging,
        "DeleteLoggingConfiguration": _delete_logging,
        "ListLoggingConfigurations": _list_logging,
    }

    async def handle(method: str, path: str, headers: Mapping[str, str], body: bytes, query: Any) -> Any:
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if action in actions:
            return actions[action](json.loads(body or b"{}"))
        return await inherited(method, path, headers, body, query)

    return handle


def _put_logging(request: Properties) -> Response:
    configuration = dict(request["LoggingConfiguration"])
    arn = str(configuration["ResourceArn"])
    _, unknown = waf._resolve_local_web_acl(arn)
    if unknown:
        return refusal("WAFNonexistentItemException", MISSING)
    destination = str(configuration["LogDestinationConfigs"][0])
    group = _group(destination)
    if not group.startswith(_LOG_GROUPS) or f":{get_region()}:" not in destination:
        return refusal(
            "WAFInvalidParameterException",
            "Error reason: The ARN isn't valid. A valid ARN begins with arn: and includes other information "
            f"separated by colons or slashes., field: LOG_DESTINATION, parameter: {destination}",
        )
    if group not in cloudwatch_logs._log_groups:
        return refusal(
            "WAFLogDestinationPermissionIssueException",
            "Unable to deliver logs to the configured destination. You might need to grant log delivery "
            "permissions for the destination.",
        )
    _logging[arn] = {"ManagedByFirewallManager": False, "LogType": "WAF_LOGS", **configuration}
    answer: Response = json_response({"LoggingConfiguration": _logging[arn]})
    return answer


def _get_logging(request: Properties) -> Response:
    found = _logging.get(request.get("ResourceArn", ""))
    if found is None:
        return refusal("WAFNonexistentItemException", MISSING)
    answer: Response = json_response({"LoggingConfiguration": found})
    return answer


def _delete_logging(request: Properties) -> Response:
    if _logging.pop(request.get("ResourceArn", ""), None) is None:
        return refusal("WAFNonexistentItemException", MISSING)
    answer: Response = json_response({})
    return answer


def _list_logging(request: Properties) -> Response:
    own = [one for arn, one in _logging.items() if f":{get_region()}:" in arn]
    answer: Response = json_response({"LoggingConfigurations": own})
    return answer


def refusal(code: str, message: str) -> Response:
    answer: Response = waf._waf_err(code, message)
    return answer


def _group(destination: str) -> str:
    return destination.partition(":log-group:")[2].removesuffix(":*")


def write(acl: Properties, source: str, request: WebRequest, verdict: Verdict) -> None:
    """https://docs.aws.amazon.com/waf/latest/developerguide/logging-fields.html"""
    configuration = _logging.get(acl["ARN"])
    if configuration is None or not _wanted(configuration.get("LoggingFilter"), verdict):
        return
    redacted = {
        str(one["SingleHeader"]["Name"]).lower()
        for one in configuration.get("RedactedFields") or ()
        if "SingleHeader" in one
    }
    headers = [
        {"name": name, "value": "REDACTED" if name in redacted else value}
        for name, value in request.headers.items()
    ]
    line = {
        "timestamp": int(time.time() * 1000),
        "formatVersion": 1,
        "webaclId": acl["ARN"],
        "terminatingRuleId": verdict.rule or "Default_Action",
        "terminatingRuleType": verdict.kind,
        "action": verdict.action,
        "terminatingRuleMatchDetails": [],
        "httpSourceName": "APIGW",
        "httpSourceId": source,
        "ruleGroupList": [{"terminatingRule": {"ruleId": verdict.inner, "action": "BLOCK"}}]
        if verdict.inner
        else [],
        "nonTerminatingMatchingRules": [{"ruleId": rule, "action": "COUNT"} for rule in verdict.counted],
        "responseCodeSent": verdict.response.get("ResponseCode"),
        "httpRequest": {
            "clientIp": request.source_ip,
            "country": "-",
            "headers": headers,
            "uri": request.path,
            "args": request.query,
            "httpVersion": "HTTP/1.1",
            "httpMethod": request.method,
        },
    }
    stream = f"{get_region()}_{acl['Name']}_0"
    group = _group(str(configuration["LogDestinationConfigs"][0]))
    if group in cloudwatch_logs._log_groups:
        deliveries.put_log_events(get_region(), group, stream, [json.dumps(line)])


def _wanted(chosen: Properties | None, verdict: Verdict) -> bool:
    """https://docs.aws.amazon.com/waf/latest/APIReference/API_LoggingFilter.html; by action only."""
    actions = {verdict.action} | ({"COUNT"} if verdict.counted else set())
    for item in (chosen or {}).get("Filters", ()):
        found = [
            one["ActionCondition"]["Action"] in actions
            for one in item["Conditions"]
            if "ActionCondition" in one
        ]
        if all(found) if item["Requirement"] == "MEETS_ALL" else any(found):
            return bool(item["Behavior"] == "KEEP")
    return chosen is None or chosen["DefaultBehavior"] == "KEEP"
