"""Who may have a function run: services only where its own policy lets them, and nobody without its key.

https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html
Environment variables are decrypted with the grant that Lambda made for the execution role, so that only a
Deny or the state of the key can keep them closed. Lambda decrypts them when a process starts, here for every
invocation: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html (`KMSAccessDeniedException`).
"""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import apigateway_v1, eventbridge, lambda_svc, sns

from lab.embedded import key_use, metrics, service_roles
from lab.embedded.handlers import Handlers, Properties

_log = logging.getLogger(__name__)
_ACTION = "lambda:InvokeFunction"


def register(_: Handlers) -> None:
    apigateway_v1._invoke_lambda_proxy_v1 = _let_in(apigateway_v1._invoke_lambda_proxy_v1)
    sns._deliver_to_lambda = _delivered(sns._deliver_to_lambda)
    eventbridge._invoke_target = _targeted(eventbridge._invoke_target)
    lambda_svc._invoke = _decrypted_first(lambda_svc._invoke)
    lambda_svc._execute_function_with_config_scope = _not_without_key(
        lambda_svc._execute_function_with_config_scope
    )


def refused(function: str, service: str, source_arn: str) -> bool:
    """Whether the policy of a function (its name or ARN) keeps a service from it; not if it is unknown."""
    record, config, _ = lambda_svc._get_func_record_for_ref(function)
    if record is None or config is None:
        return False
    context = {"aws:sourcearn": source_arn, "aws:sourceaccount": get_account_id()}
    arn = function if function.startswith("arn:") else str(config["FunctionArn"])
    policy = json.dumps(record.get("policy") or {})
    return not service_roles.admits(policy, service, _ACTION, arn, context)


def unreadable(config: Mapping[str, Any]) -> tuple[str, str] | None:
    """Lambda's error when it cannot decrypt a function's environment: code and message."""
    key = key_use.ours(config.get("KMSKeyArn"))
    if key is None or not (config.get("Environment") or {}).get("Variables"):
        return None
    arn = str(config["FunctionArn"])
    found = key_use.obstacle_for_grantee(str(config["Role"]), key, {"aws:lambda:FunctionArn": arn})
    if found is None:
        return None
    name = "DisabledException" if found.disabled else "AccessDeniedException"
    message = (
        "Lambda was unable to decrypt the environment variables because "
        f"{'the KMS key used is disabled' if found.disabled else 'KMS access was denied'}. Please check the "
        f"function's KMS key settings. KMS Exception: {name} KMS Message: {found.message}"
    )
    return "KMSDisabledException" if found.disabled else "KMSAccessDeniedException", message


def _let_in(inherited: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """API Gateway calls what it may not invoke a configuration error, and tells the client nothing."""

    async def invoke(
        integration: Mapping[str, Any],
        api: str,
        stage_name: str,
        stage: Any,
        resource: Mapping[str, Any],
        path: str,
        method: str,
        *rest: Any,
        **more: Any,
    ) -> Any:
        function = apigateway_v1._extract_lambda_ref_from_integration_uri(integration.get("uri", ""))
        called = f"{api}/{stage_name}/{method}{resource.get('path', path)}"
        source = f"arn:aws:execute-api:{get_region()}:{get_account_id()}:{called}"
        by_policy = not integration.get("credentials")
        if by_policy and refused(str(function), "apigateway.amazonaws.com", source):
            _log.warning("Invalid permissions on Lambda function %s: %s may not invoke it", function, source)
            return _configuration_error()
        _, config, _ = lambda_svc._get_func_record_for_ref(function)
        if config is not None and unreadable(config):
            return _configuration_error()
        return await inherited(integration, api, stage_name, stage, resource, path, method, *rest, **more)

    return invoke


def _configuration_error() -> Any:
    return apigateway_v1._gw_error("API_CONFIGURATION_ERROR", "Internal server error")


def _delivered(inherited: Callable[..., None]) -> Callable[..., None]:
    def deliver(endpoint: str, envelope: str, topic_arn: str, *rest: Any) -> None:
        if refused(endpoint, "sns.amazonaws.com", topic_arn):
            _log.warning("SNS topic %s is not authorized to invoke %s", topic_arn, endpoint)
            topic = {"TopicName": topic_arn.rpartition(":")[2]}
            metrics.record("AWS/SNS", "NumberOfNotificationsFailed", 1, "Count", topic)
            return
        inherited(endpoint, envelope, topic_arn, *rest)

    return deliver


def _targeted(inherited: Callable[..., None]) -> Callable[..., None]:
    def invoke(target: Properties, event: Any, rule: Properties, *rest: Any, **more: Any) -> None:
        arn = str(target.get("Arn", ""))
        if (
            ":lambda:" in arn
            and ":events:" in str(rule["Arn"])
            and refused(arn, "events.amazonaws.com", str(rule["Arn"]))
        ):
            _log.warning("EventBridge rule %s is not authorized to invoke %s", rule["Arn"], arn)
            metrics.record("AWS/Events", "FailedInvocations", 1, "Count", {"RuleName": str(rule["Name"])})
            return
        inherited(target, event, rule, *rest, **more)

    return invoke


def _decrypted_first(inherited: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def invoke(name: str, *rest: Any, **more: Any) -> Any:
        error = unreadable((lambda_svc._functions.get(name) or {}).get("config") or {})
        if error is None:
            return await inherited(name, *rest, **more)
        code, message = error
        body = json.dumps({"Type": "User", "Message": message}).encode()
        return 502, {"Content-Type": "application/json", "x-amzn-errortype": code}, body

    return invoke


def _not_without_key(inherited: Callable[..., Any]) -> Callable[..., Any]:
    """The way of every service that does not go through the API."""

    def execute(function: Mapping[str, Any], event: Any) -> Any:
        error = lambda_svc._run_with_function_config_scope(function, unreadable, function["config"])
        if error is None:
            return inherited(function, event)
        code, message = error
        return {"body": {"errorType": code, "errorMessage": message}, "error": True, "log": message}

    return execute
