"""Settings of API Gateway: the account's logging role, and what a stage logs, traces and throttles.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
"""

from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import apigateway_v1, iam

from lab.embedded import service_roles
from lab.embedded.handlers import Created, Handlers, Properties, ResourceError

_SERVICE = "apigateway.amazonaws.com"
_LOGS_ACTIONS = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
_IDENTIFYING = ("$context.requestId", "$context.extendedRequestId")
_POLICIES = ("TLS_1_0", "TLS_1_2", "SecurityPolicy_")


def register(handlers: Handlers) -> None:
    account = handlers["AWS::ApiGateway::Account"]
    account["create"] = _with_usable_role(account["create"], 1)
    account["update"] = _with_usable_role(account["update"], 2)
    stage = handlers["AWS::ApiGateway::Stage"]
    stage["create"] = _keeping_logs(stage["create"], 1)
    stage["update"] = _keeping_logs(stage["update"], 2)
    apigateway_v1._method_throttle_settings = setting_of
    domain = handlers["AWS::ApiGateway::DomainName"]
    domain["create"] = _secured(domain["create"], 1)
    domain["update"] = _secured(domain["update"], 2)


def _with_usable_role(inherited: Callable[..., Created], position: int) -> Callable[..., Created]:
    def act(*arguments: Any) -> Created:
        role = arguments[position].get("CloudWatchRoleArn")
        if role is not None and not may_log(str(role)):
            raise ResourceError(
                "The role ARN does not have required permissions configured. Please grant trust permission "
                "for API Gateway and add the required role policy. (BadRequestException)"
            )
        return inherited(*arguments)

    return act


def may_log(role_arn: str) -> bool:
    """The role trusts API Gateway and may write logs; the managed policy for it counts by its name."""
    role = iam._roles.get_scoped(get_account_id(), None, role_arn.rpartition("/")[2])
    if role is None or not service_roles.trusts(role, _SERVICE):
        return False
    if any("AmazonAPIGatewayPushToCloudWatchLogs" in str(arn) for arn in role.get("AttachedPolicies") or ()):
        return True
    where = f"arn:aws:logs:*:{get_account_id()}:log-group:*"
    return service_roles.lacking(role_arn, _SERVICE, [(action, where) for action in _LOGS_ACTIONS]) is None


def _keeping_logs(inherited: Callable[..., Created], position: int) -> Callable[..., Created]:
    def act(*arguments: Any) -> Created:
        properties: Properties = arguments[position]
        require_loggable(properties)
        api, name, deployment = (
            str(properties.get(key, "")) for key in ("RestApiId", "StageName", "DeploymentId")
        )
        if position == 1 and name in (apigateway_v1._stages_v1.get(api) or {}):
            raise ResourceError("Stage already exists (ConflictException)")
        if deployment not in (apigateway_v1._deployments_v1.get(api) or {}):
            raise ResourceError("Invalid Deployment identifier specified (NotFoundException)")
        created = inherited(*arguments)
        stage = apigateway_v1._stages_v1[api][name]
        stage["methodSettings"] = _as_described(stage.get("methodSettings") or {})
        setting = properties.get("AccessLogSetting") or {}
        if setting:
            destination = str(setting.get("DestinationArn", "")).removesuffix(":*")
            stage["accessLogSettings"] = {"destinationArn": destination, "format": setting.get("Format", "")}
        else:
            stage.pop("accessLogSettings", None)
        return created

    return act


def _as_described(settings: Properties) -> Properties:
    """By the key GetStage shows: a template's `/~1health` and `GET` are `~1health/GET` there."""
    return {key.removeprefix("/") if key.startswith("/~1") else key: one for key, one in settings.items()}


def setting_of(stage: Properties, path: str, method: str) -> Properties:
    """What the method itself is set to replaces what all methods are."""
    settings = stage.get("methodSettings") or {}
    found: Properties = settings.get(f"{path.replace('/', '~1')}/{method}") or settings.get("*/*") or {}
    return found


def require_loggable(properties: Properties) -> None:
    """What UpdateStage refuses. Raises ResourceError."""
    setting = properties.get("AccessLogSetting") or {}
    levels = {item.get("LoggingLevel", "OFF") for item in properties.get("MethodSettings") or ()}
    role = (apigateway_v1._account_settings.get("settings") or {}).get("cloudwatchRoleArn")
    if (setting or levels - {"OFF"}) and not role:
        raise ResourceError(
            "CloudWatch Logs role ARN must be set in account settings to enable logging (BadRequestException)"
        )
    if setting and not any(name in str(setting.get("Format", "")) for name in _IDENTIFYING):
        raise ResourceError(
            "Access Log format must contain at least $context.requestId or $context.extendedRequestId "
            "(BadRequestException)"
        )


def _secured(inherited: Callable[..., Created], position: int) -> Callable[..., Created]:
    def act(*arguments: Any) -> Created:
        policy = str(arguments[position].get("SecurityPolicy", "TLS_1_2"))
        if not policy.startswith(_POLICIES):
            raise ResourceError(f"Invalid security policy: {policy} (BadRequestException)")
        return inherited(*arguments)

    return act
