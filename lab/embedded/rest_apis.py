"""REST APIs from an OpenAPI document: all of it, in place, and served as it was when it was deployed.

MiniStack takes paths and integrations from a document. Validators, models, required parameters and gateway
responses are taken here, with which it then does what AWS does.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions.html
"""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from ministack.services import apigateway_v1

from lab.embedded.handlers import Created, Handlers, Properties, ResourceError, checked, decoded

_TYPE = "AWS::ApiGateway::RestApi"
_METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "x-amazon-apigateway-any-method")
_PLACES = {"header": "header", "query": "querystring", "path": "path"}
_VALIDATOR = "x-amazon-apigateway-request-validator"
_RESPONSES = "x-amazon-apigateway-gateway-responses"
_SETTINGS = {
    "SecurityPolicy": "securityPolicy",
    "EndpointAccessMode": "endpointAccessMode",
    "DisableExecuteApiEndpoint": "disableExecuteApiEndpoint",
    "ApiKeySourceType": "apiKeySource",
}
Key = tuple[str, str]
_snapshots: dict[Key, Mapping[str, Any]] = {}
"""What an API was when it was deployed, by API and deployment."""
serving: ContextVar[Key | None] = ContextVar("API and deployment of the request being answered", default=None)


def register(handlers: Handlers) -> None:
    handler = handlers[_TYPE]
    inherited_create, inherited_update = handler["create"], handler["update"]

    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        created: Created = inherited_create(logical_id, properties, stack_name)
        _settle(created[0], properties)
        return created

    def update(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Created:
        same = {**new, "Body": old.get("Body")}
        updated: Created = inherited_update(physical_id, {**old, "Body": old.get("Body")}, same, *rest)
        if new.get("Body") != old.get("Body"):
            overwrite(physical_id, new.get("Body") or {})
        _settle(physical_id, new)
        return updated

    handler["create"], handler["update"] = create, update
    apigateway_v1._create_deployment = _remembering(apigateway_v1._create_deployment)
    apigateway_v1._match_resource_tree = _as_deployed(apigateway_v1._match_resource_tree, "_resources")
    apigateway_v1._match_greedy_fallback = _as_deployed(apigateway_v1._match_greedy_fallback, "_resources")
    inherited_check = apigateway_v1._check_request_validation

    def check(method: Properties, api: str, *rest: Any) -> Any:
        return inherited_check(method, _alias(api), *rest)

    apigateway_v1._check_request_validation = check


def overwrite(api: str, document: Properties) -> None:
    """PutRestApi in mode overwrite: what the document does not name is gone; the API keeps its id."""
    root = next(one for one in apigateway_v1._resources[api].values() if one["path"] == "/")
    root["resourceMethods"] = {}
    apigateway_v1._resources[api] = {root["id"]: root}
    for path, item in (document.get("paths") or {}).items():
        apigateway_v1._import_path_item(api, path, item, {}, document.get("security"))


def _settle(api: str, properties: Properties) -> None:
    record = apigateway_v1._rest_apis[api]
    for own, theirs in _SETTINGS.items():
        if own in properties:
            record[theirs] = properties[own]
    endpoints = properties.get("EndpointConfiguration")
    if endpoints:  # in the API's spelling, which templates do not use
        record["endpointConfiguration"] = {name[0].lower() + name[1:]: one for name, one in endpoints.items()}
    document = properties.get("Body")
    if isinstance(document, dict):
        complete(api, document)


def complete(api: str, document: Properties) -> None:
    """Validators, models, parameters and gateway responses of an imported document. Raises ResourceError."""
    apigateway_v1._models[api] = {}
    apigateway_v1._request_validators[api] = {}
    apigateway_v1._gateway_responses[api] = {}
    validators = {
        name: decoded(apigateway_v1._create_request_validator(api, {"name": name, **one}))["id"]
        for name, one in (document.get(f"{_VALIDATOR}s") or {}).items()
    }
    for resource, method, operation, shared in _operations(api, document):
        wanted = operation.get(_VALIDATOR, document.get(_VALIDATOR))
        if wanted is not None and wanted not in validators:
            raise ResourceError(f"Invalid request validator: {wanted} (BadRequestException)")
        found = resource["resourceMethods"][method]
        found["requestValidatorId"] = validators.get(wanted)
        found["requestParameters"] = _parameters(document, [*shared, *operation.get("parameters", ())])
        found["requestModels"] = _models(api, document, operation, f"{resource['id']}{method}")
        found["operationName"] = operation.get("operationId", "")
    for kind, response in (document.get(_RESPONSES) or {}).items():
        checked(apigateway_v1._put_gateway_response(api, kind, response))


def _operations(api: str, document: Properties) -> Iterator[tuple[Properties, str, Properties, list[Any]]]:
    by_path = {one["path"]: one for one in apigateway_v1._resources[api].values()}
    for path, item in (document.get("paths") or {}).items():
        for method in _METHODS:
            if method in item and (name := _name(method)) in by_path[path]["resourceMethods"]:
                yield by_path[path], name, item[method], item.get("parameters", [])


def _name(method: str) -> str:
    return "ANY" if method.startswith("x-") else method.upper()


def _parameters(document: Properties, declared: list[Properties]) -> dict[str, bool]:
    several = (_resolved(document, parameter) for parameter in declared)
    return {
        f"method.request.{_PLACES[one['in']]}.{one['name']}": bool(one.get("required", False))
        for one in several
        if one["in"] in _PLACES
    }


def _models(api: str, document: Properties, operation: Properties, name: str) -> dict[str, str]:
    """By content type; a body's schema becomes a model that carries what it refers to."""
    body = _resolved(document, operation.get("requestBody") or {})
    found = {}
    for number, (kind, media) in enumerate(body.get("content", {}).items()):
        if "schema" not in media:
            continue
        model = f"MODEL{name}{number}"
        definitions = (document.get("components") or {}).get("schemas", {})
        text = json.dumps({**media["schema"], "definitions": definitions})
        schema = text.replace("#/components/schemas/", "#/definitions/")
        checked(apigateway_v1._create_model(api, {"name": model, "schema": schema, "contentType": kind}))
        found[kind] = model
    return found


def _resolved(document: Properties, node: Properties) -> Properties:
    if "$ref" not in node:
        return node
    target: Any = document
    for part in str(node["$ref"]).removeprefix("#/").split("/"):
        target = target[part]
    return _resolved(document, target)


# --- deployments ------------------------------------------------------------------------------------------


def _alias(api: str) -> str:
    """Under which name the state of the deployment that is being served is kept."""
    key = serving.get()
    return f"{api}@{key[1]}" if key is not None and key in _snapshots else api


def _remembering(inherited: Callable[..., Any]) -> Callable[..., Any]:
    def deploy(api: str, request: Properties) -> Any:
        response = inherited(api, request)
        if response[0] < 400:
            key = api, str(json.loads(response[2])["id"])
            _snapshots[key] = {"_resources": copy.deepcopy(apigateway_v1._resources.get(api, {}))}
            # Where validation looks for them; no API has such an id.
            for store in (apigateway_v1._models, apigateway_v1._request_validators):
                store[f"{api}@{key[1]}"] = copy.deepcopy(store.get(api, {}))
        return response

    return deploy


def _as_deployed(inherited: Callable[..., Any], store: str) -> Callable[..., Any]:
    def match(api: str, *rest: Any) -> Any:
        alias = _alias(api)
        if alias == api:
            return inherited(api, *rest)
        resources: Any = getattr(apigateway_v1, store)
        key = serving.get()
        resources[alias] = _snapshots[key][store] if key is not None else {}
        try:
            return inherited(alias, *rest)
        finally:
            del resources[alias]

    return match
