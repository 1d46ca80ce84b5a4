"""What happens to a request at a stage beside its integration: web ACL, metrics, a line in the access log.

MiniStack routes, throttles, validates and integrates; this stands around it.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
"""

import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import apigateway_v1, cloudwatch_logs

from lab.embedded import deliveries, metrics, rest_apis, stages, waf
from lab.embedded.handlers import Handlers, Properties
from lab.embedded.waf_rules import Verdict, WebRequest

_VARIABLE = re.compile(r"\$context\.([A-Za-z0-9_.-]*[A-Za-z0-9_])")
_XRAY = "X-Amzn-Trace-Id"


@dataclass
class Exchange:
    """One request and what became of it, for whoever writes it down."""

    api: str
    stage: str
    method: str
    path: str
    web: WebRequest
    request: Properties  # MiniStack's: request_id, stage, resource_path ...
    began: float = field(default_factory=time.time)
    trace: str = field(default_factory=lambda: f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}")
    verdict: Verdict | None = None
    integration_ms: float | None = None
    integration_status: int | None = None
    error: Any = None
    status: int = 0
    length: int = 0
    ended: float = 0.0


_current: ContextVar[Exchange] = ContextVar("the request at a stage")


def register(_: Handlers) -> None:
    apigateway_v1._handle_execute_in_scope = handle
    apigateway_v1._invoke_lambda_proxy_v1 = _timed(apigateway_v1._invoke_lambda_proxy_v1)
    apigateway_v1._build_lambda_event_v1 = _identified(apigateway_v1._build_lambda_event_v1)


async def handle(
    api: str,
    stage: str,
    method: str,
    path: str,
    headers: Mapping[str, Any] | None,
    body: bytes,
    query: Mapping[str, Any] | None,
    *owner: str,
) -> Any:
    request = {
        "api_id": api,
        "stage_name": stage,
        "stage": (apigateway_v1._stages_v1.get(api) or {}).get(stage),
        "headers": headers or {},
        "query_params": query or {},
        "path_params": {},
        "resource_path": "",
        "request_id": new_uuid(),
    }
    web = _web_request(method, path, headers or {}, body or b"", query or {})
    exchange = Exchange(api, stage, method, path, web, request)
    deployed = str((request["stage"] or {}).get("deploymentId", ""))
    token, serving = _current.set(exchange), rest_apis.serving.set((api, deployed))
    try:
        response = await _answer(exchange, (api, stage, method, path, headers, body, query, *owner))
    finally:
        _current.reset(token)
        rest_apis.serving.reset(serving)
    status, answered, content = response
    exchange.status, exchange.length, exchange.ended = status, len(content), time.time()
    names = {name.lower() for name in answered}
    if "x-amzn-requestid" not in names:
        answered["x-amzn-requestid"] = request["request_id"]
    if request["stage"] is not None:
        if request["stage"].get("tracingEnabled") and _XRAY.lower() not in names:
            answered[_XRAY] = exchange.trace
        _measure(exchange)
        _log(exchange)
    return status, answered, content


async def _answer(exchange: Exchange, arguments: tuple[Any, ...]) -> Any:
    if exchange.request["stage"] is not None:
        exchange.verdict = waf.judge(exchange.api, exchange.stage, exchange.web)
    verdict = exchange.verdict
    if verdict is not None and verdict.action == "BLOCK":
        if verdict.response:  # "AWS WAF custom responses take precedence over custom gateway responses."
            headers = {one["Name"]: one["Value"] for one in verdict.response.get("ResponseHeaders") or ()}
            kind, text = waf.custom_body(verdict)
            return int(verdict.response["ResponseCode"]), {**headers, **kind}, text.encode()
        response: Any = apigateway_v1._GatewayError("WAF_FILTERED", "Forbidden", "ForbiddenException")
    else:
        response = await apigateway_v1._execute_in_scope(exchange.request, *arguments)
    if isinstance(response, apigateway_v1._GatewayError):
        exchange.error = response
        return apigateway_v1._gateway_error_response(response, exchange.request)
    return response


def _web_request(
    method: str, path: str, headers: Mapping[str, Any], body: bytes, query: Mapping[str, Any]
) -> WebRequest:
    """The client is who reached the front door, which says so last: what came before it can be made up."""
    texts = {
        name.lower(): value if isinstance(value, str) else ", ".join(value) for name, value in headers.items()
    }
    forwarded = texts.get("x-forwarded-for", "").rpartition(",")[2].strip()
    arguments = urlencode(query, doseq=True)
    return WebRequest(forwarded or "127.0.0.1", method, path, arguments, texts, body)


def _timed(inherited: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def invoke(*arguments: Any, **more: Any) -> Any:
        began = time.monotonic()
        response = await inherited(*arguments, **more)
        exchange = _current.get(None)
        if exchange is not None:
            exchange.integration_ms = (time.monotonic() - began) * 1000
            exchange.integration_status = response[0] if isinstance(response, tuple) else None
        return response

    return invoke


def _identified(inherited: Callable[..., Properties]) -> Callable[..., Properties]:
    """A function sees the id that the access log and the response have, and who the caller really was."""

    def build(*arguments: Any, **more: Any) -> Properties:
        event = inherited(*arguments, **more)
        exchange = _current.get(None)
        if exchange is not None:
            context = event["requestContext"]
            context["requestId"] = exchange.request["request_id"]
            context["identity"]["sourceIp"] = exchange.web.source_ip
            if exchange.request["stage"].get("tracingEnabled"):
                event["headers"][_XRAY] = exchange.trace
                event["multiValueHeaders"][_XRAY] = [exchange.trace]
        return event

    return build


def _measure(exchange: Exchange) -> None:
    """A datapoint for each request: an error metric's average is a rate."""
    api = apigateway_v1._rest_apis.get(exchange.api) or {}
    stage = exchange.request["stage"]
    by_stage = {"ApiName": str(api.get("name", "")), "Stage": exchange.stage}
    dimensions = [by_stage, {"ApiName": by_stage["ApiName"]}]
    path = exchange.request["resource_path"]
    if path and stages.setting_of(stage, path, exchange.method).get("metricsEnabled"):
        resource = {"Resource": path, "Method": exchange.method}
        dimensions.append({**by_stage, **resource})
    latency = (exchange.ended - exchange.began) * 1000
    for own in dimensions:
        metrics.record("AWS/ApiGateway", "Count", 1, "Count", own)
        metrics.record("AWS/ApiGateway", "4XXError", 400 <= exchange.status < 500, "Count", own)
        metrics.record("AWS/ApiGateway", "5XXError", exchange.status >= 500, "Count", own)
        metrics.record("AWS/ApiGateway", "Latency", latency, "Milliseconds", own)
        if exchange.integration_ms is not None:
            metrics.record(
                "AWS/ApiGateway", "IntegrationLatency", exchange.integration_ms, "Milliseconds", own
            )


def _log(exchange: Exchange) -> None:
    setting = exchange.request["stage"].get("accessLogSettings") or {}
    group = str(setting.get("destinationArn", "")).partition(":log-group:")[2]
    if not group or group not in cloudwatch_logs._log_groups:
        return
    role = (apigateway_v1._account_settings.get("settings") or {}).get("cloudwatchRoleArn")
    if role and stages.may_log(str(role)):
        line = rendered(str(setting["format"]), variables(exchange))
        deliveries.put_log_events(get_region(), group, f"{exchange.api}/{exchange.stage}", [line])


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """A variable without a value is a dash."""

    def value(found: re.Match[str]) -> str:
        known = values.get(found[1])
        return "-" if known is None or known == "" else str(known)

    return _VARIABLE.sub(value, template).rstrip("\n")


def variables(exchange: Exchange) -> dict[str, Any]:
    began = time.gmtime(exchange.began)
    error, verdict = exchange.error, exchange.verdict
    message = error.message if error is not None else None
    identifier = exchange.request["request_id"]
    milliseconds = None if exchange.integration_ms is None else round(exchange.integration_ms)
    return {
        "accountId": get_account_id(),
        "apiId": exchange.api,
        "domainName": exchange.web.headers.get("host", "").partition(":")[0],
        "error.message": message,
        "error.messageString": None if message is None else f'"{message}"',
        "error.responseType": error.response_type if error is not None else None,
        "extendedRequestId": identifier,
        "httpMethod": exchange.method,
        "identity.sourceIp": exchange.web.source_ip,
        "identity.userAgent": exchange.web.headers.get("user-agent"),
        "integration.latency": milliseconds,
        "integration.status": exchange.integration_status and 200,  # Lambda's own, not the function's
        "integrationLatency": milliseconds,
        "integrationStatus": exchange.integration_status,
        "path": f"/{exchange.stage}{exchange.path}",
        "protocol": "HTTP/1.1",
        "requestId": identifier,
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", began),
        "requestTimeEpoch": int(exchange.began * 1000),
        "resourcePath": exchange.request["resource_path"],
        "responseLatency": round((exchange.ended - exchange.began) * 1000),
        "responseLength": exchange.length,
        "stage": exchange.stage,
        "status": exchange.status,
        "waf.status": None if verdict is None else (403 if verdict.action == "BLOCK" else 200),
        "wafResponseCode": None if verdict is None else f"WAF_{verdict.action}",
        "webaclArn": exchange.request["stage"].get("webAclArn"),
        "xrayTraceId": exchange.trace if exchange.request["stage"].get("tracingEnabled") else None,
    }
