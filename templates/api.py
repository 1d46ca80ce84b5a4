"""The REST API: the public document, plus what only API Gateway needs to know."""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from troposphere import Sub, Template, apigateway, awslambda, encode_to_dict

from templates import policies
from templates.policies import Value

STAGE = "live"
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
}


def add_api(
    template: Template, name: Value, openapi: Mapping[str, Any], function: awslambda.Function
) -> apigateway.Stage:
    body = deployable(openapi, function)
    api = template.add_resource(
        apigateway.RestApi(
            "Api",
            Name=name,
            Description=openapi["info"]["title"],
            Body=body,
            EndpointConfiguration=apigateway.EndpointConfiguration(Types=["REGIONAL"]),
            # Reached by our names only: the default one knows neither our TLS policy nor our certificate.
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
    return template.add_resource(
        apigateway.Stage(
            "Stage",
            RestApiId=api.ref(),
            DeploymentId=deployment.ref(),
            StageName=STAGE,
            TracingEnabled=True,
        )
    )


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
    problems = dict(_problems(openapi))
    body["x-amazon-apigateway-gateway-responses"] = {
        kind: _gateway_response(problems[_PROBLEM + name], status)
        for kind, (name, status) in _GATEWAY_RESPONSES.items()
    }
    return body


def _gateway_response(problem: Mapping[str, Any], status: str) -> dict[str, Any]:
    template = json.dumps({key: problem[key] for key in ("type", "title")} | {"status": int(status)})
    return {
        "statusCode": status,
        "responseParameters": {"gatewayresponse.header.Content-Type": "'application/problem+json'"},
        "responseTemplates": {"application/json": template},
    }


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
    return sha256(json.dumps(encode_to_dict(body), sort_keys=True).encode()).hexdigest()[:10]
