"""The REST API: the public document, plus what only API Gateway needs to know."""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from msgspec import Struct
from troposphere import Sub, Template, apigateway, awslambda, encode_to_dict, logs

from templates import policies
from templates.functions import LOG_RETENTION_DAYS
from templates.lifetime import keep
from templates.policies import Value


class Operation(NamedTuple):
    """As API Gateway's metrics and settings name it; `path` is the document's."""

    method: str
    path: str


STAGE = "live"
# What clients call; health checks are asked by Route 53 and counted for themselves.
OPERATIONS = (
    Operation("POST", "/payments"),
    Operation("GET", "/payments/{payment_id}"),
    Operation("POST", "/sessions"),
)
HEALTH = Operation("GET", "/health")
# TLS 1.3, or 1.2 with forward secrecy. The API has it as well as its host names, because the API's decides:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-security-policies-update.html
SECURITY_POLICY = "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"
ENDPOINT_ACCESS_MODE = "STRICT"  # the handshake has to ask for the host that the request is for
# Requests a second, for each operation, the same in both regions: one has to take what the other took.
THROTTLE: Mapping[str, Any] = {"ThrottlingRateLimit": 500, "ThrottlingBurstLimit": 1000}
# Of its own, so that no flood of payments makes a region look dead to Route 53.
HEALTH_THROTTLE: Mapping[str, Any] = {"ThrottlingRateLimit": 50, "ThrottlingBurstLimit": 100}
# Who, when, what, how it ended and how long it took. Nothing that a client chose freely, no header, no body.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
_ACCESS_LOG = {
    "requestId": "$context.requestId",
    "extendedRequestId": "$context.extendedRequestId",
    "traceId": "$context.xrayTraceId",
    "requestTime": "$context.requestTime",
    "sourceIp": "$context.identity.sourceIp",
    "domainName": "$context.domainName",
    "httpMethod": "$context.httpMethod",
    "resourcePath": "$context.resourcePath",
    "protocol": "$context.protocol",
    "tlsVersion": "$context.tlsVersion",
    "cipherSuite": "$context.cipherSuite",
    "status": "$context.status",
    "responseLength": "$context.responseLength",
    "responseLatency": "$context.responseLatency",
    "integrationLatency": "$context.integration.latency",
    "integrationStatus": "$context.integration.status",
    "integrationRequestId": "$context.integration.requestId",
    "errorType": "$context.error.responseType",
    "wafStatus": "$context.waf.status",
    "wafResponseCode": "$context.wafResponseCode",
}
_METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})
_EXAMPLES = frozenset({"example", "examples"})
_PROBLEM = "urn:payments:problem:"
# Which problem of the public document answers what API Gateway refuses before the function is asked, and with
# which status where API Gateway's own would be another (it answers 403 to a path nobody serves).
# https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
_GATEWAY_RESPONSES = {
    "BAD_REQUEST_BODY": ("malformed-request", "400"),
    "BAD_REQUEST_PARAMETERS": ("idempotency-key-missing", "400"),  # no other parameter can be missing
    "DEFAULT_4XX": ("malformed-request", "400"),
    "DEFAULT_5XX": ("internal-error", "500"),
    "INTEGRATION_FAILURE": ("timeout", "504"),
    "INTEGRATION_TIMEOUT": ("timeout", "504"),
    "MISSING_AUTHENTICATION_TOKEN": ("not-found", "404"),
    "QUOTA_EXCEEDED": ("too-many-requests", "429"),
    "REQUEST_TOO_LARGE": ("body-too-large", "413"),
    "THROTTLED": ("too-many-requests", "429"),
    "UNSUPPORTED_MEDIA_TYPE": ("unsupported-media-type", "415"),
    "WAF_FILTERED": ("malformed-request", "400"),  # unless the firewall says itself what it refuses and why
}


class ApiPlan(Struct, frozen=True):
    """`log_level` is of the log API Gateway keeps of its own steps: ERROR or INFO."""

    name: Value
    openapi: Mapping[str, Any]
    key_arn: Value
    log_level: str
    disposable: bool


def add_api(template: Template, plan: ApiPlan, function: awslambda.Function) -> apigateway.Stage:
    body = deployable(plan.openapi, function)
    api = template.add_resource(
        apigateway.RestApi(
            "Api",
            Name=plan.name,
            Description=plan.openapi["info"]["title"],
            Body=body,
            EndpointConfiguration=apigateway.EndpointConfiguration(Types=["REGIONAL"]),
            SecurityPolicy=SECURITY_POLICY,
            EndpointAccessMode=ENDPOINT_ACCESS_MODE,
            # Reached by our names only: the default one does not know our certificate.
            DisableExecuteApiEndpoint=True,
        )
    )
    template.add_resource(
        awslambda.Permission(
            "ApiMayInvoke",
            Action="lambda:InvokeFunction",
            FunctionName=function.get_att("Arn"),
            Principal="apigateway.amazonaws.com",
            SourceArn=policies.arn("execute-api", f"${{Api}}/{STAGE}/*", Api=api.ref()),
        )
    )
    # A stage goes on serving what was deployed last: another document has to be another deployment.
    deployment = template.add_resource(
        apigateway.Deployment(f"Deployment{_fingerprint(body)}", RestApiId=api.ref())
    )
    access_log = template.add_resource(
        _log_group(plan, "AccessLogs", policies.named("/aws/apigateway/${Api}", Api=plan.name))
    )
    # API Gateway would make it itself, without our key and for ever; so it exists first.
    execution_log = template.add_resource(
        _log_group(plan, "ExecutionLogs", Sub(f"API-Gateway-Execution-Logs_${{Id}}/{STAGE}", Id=api.ref()))
    )
    return template.add_resource(
        apigateway.Stage(
            "Stage",
            RestApiId=api.ref(),
            DeploymentId=deployment.ref(),
            StageName=STAGE,
            TracingEnabled=True,
            AccessLogSetting=apigateway.AccessLogSetting(
                # Not the group's own ARN, which ends in ":*".
                DestinationArn=policies.arn("logs", "log-group:${Group}", Group=access_log.ref()),
                Format=json.dumps(_ACCESS_LOG, separators=(",", ":")),
            ),
            MethodSettings=[
                _method_setting(plan, "*", "/*", THROTTLE),
                _method_setting(plan, HEALTH.method, "/~1health", HEALTH_THROTTLE),
            ],
            DependsOn=[execution_log],
        )
    )


def _method_setting(
    plan: ApiPlan, method: str, path: str, throttle: Mapping[str, Any]
) -> apigateway.MethodSetting:
    """What one method is set to replaces what all of them are, so each says everything; ``~1`` is a slash."""
    return apigateway.MethodSetting(
        HttpMethod=method,
        ResourcePath=path,
        LoggingLevel=plan.log_level,
        DataTraceEnabled=False,  # it would log bodies and tokens
        MetricsEnabled=True,  # by method: health checks are none of the clients' requests
        **throttle,
    )


def _log_group(plan: ApiPlan, title: str, name: Value) -> logs.LogGroup:
    group = logs.LogGroup(title, LogGroupName=name, KmsKeyId=plan.key_arn, RetentionInDays=LOG_RETENTION_DAYS)
    return keep(group, disposable=plan.disposable)


def deployable(openapi: Mapping[str, Any], function: awslambda.Function) -> dict[str, Any]:
    """The document with the integration behind every operation, validation before it, and our own problems as
    API Gateway's errors. Examples are left out: its models refuse the keyword.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
    """
    body: dict[str, Any] = _without_examples(openapi)
    integration = {
        "type": "aws_proxy",
        "httpMethod": "POST",  # how Lambda is called, whatever the client's method
        "uri": Sub(
            "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function}/invocations",
            Function=function.get_att("Arn"),
        ),
        "passthroughBehavior": "when_no_match",
        "timeoutInMillis": 29000,
    }
    for path in body["paths"].values():
        for method in _METHODS.intersection(path):
            path[method]["x-amazon-apigateway-integration"] = integration
    body["x-amazon-apigateway-request-validators"] = {
        "everything": {"validateRequestBody": True, "validateRequestParameters": True}
    }
    body["x-amazon-apigateway-request-validator"] = "everything"
    known = problems(openapi)
    body["x-amazon-apigateway-gateway-responses"] = {
        kind: {
            "statusCode": status,
            "responseParameters": {
                f"gatewayresponse.header.{header}": f"'{value}'" for header, value in _headers(name).items()
            },
            "responseTemplates": {"application/json": problem(known, name, int(status))},
        }
        for kind, (name, status) in _GATEWAY_RESPONSES.items()
    }
    return body


def _headers(name: str) -> dict[str, str]:
    headers = {"Content-Type": "application/problem+json"}
    if name == "too-many-requests":
        headers["Retry-After"] = "1"
    return headers


def problems(openapi: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The document's own example of each problem, by its type."""
    return dict(_problems(openapi))


def problem(known: Mapping[str, Mapping[str, Any]], name: str, status: int) -> str:
    """What a client is sent, as JSON; `known` are the document's problems."""
    example = known[_PROBLEM + name]
    return json.dumps({key: example[key] for key in ("type", "title")} | {"status": status})


def _problems(node: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every problem the document shows as an example, by its type."""
    if isinstance(node, Mapping):
        if str(node.get("type")).startswith(_PROBLEM):
            yield node["type"], node
        for child in node.values():
            yield from _problems(child)


def _without_examples(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _without_examples(child) for key, child in node.items() if key not in _EXAMPLES}
    if isinstance(node, list):
        return [_without_examples(child) for child in node]
    return node


def _fingerprint(body: dict[str, Any]) -> str:
    return sha256(json.dumps(body, sort_keys=True, default=encode_to_dict).encode()).hexdigest()[:10]
