"""AWS Fault Injection Service: experiment templates as they are declared, and the API that tells of them.

A template is refused when an action of it is not given what that action takes:
https://docs.aws.amazon.com/fis/latest/userguide/fis-actions-reference.html
None can be started: what faults do to AWS, the lab's own switches do to the lab.
"""

import json
import secrets
import string
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from ministack import app
from ministack.core import iam_actions
from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region

from lab.embedded.handlers import Created, Handlers, Properties, ResourceError, Response

TYPE: Final = "AWS::FIS::ExperimentTemplate"
SERVICE: Final = "fis"
# What their keys are called is the template's affair.
_NAMED: Final = {"Actions", "Parameters", "ResourceTags", "Tags", "Targets"}
_SUMMARY: Final = ("id", "arn", "description", "creationTime", "lastUpdateTime", "tags")
_TARGETS_MOST: Final = 5  # of one action, by the quotas that an account begins with


class Fault(NamedTuple):
    """What an action calls its targets, their type, and the parameters it cannot do without."""

    targets: str
    kind: str
    parameters: frozenset[str]


_FAULTS: Final = {
    "aws:network:disrupt-connectivity": Fault("Subnets", "aws:ec2:subnet", frozenset({"duration", "scope"})),
    "aws:dynamodb:global-table-pause-replication": Fault(
        "Tables", "aws:dynamodb:global-table", frozenset({"duration"})
    ),
    "aws:rds:reboot-db-instances": Fault("DBInstances", "aws:rds:db", frozenset()),
}

_templates: Any = AccountRegionScopedDict()


class Refused(Exception):  # noqa: N818 - what the API did
    """`code` is the name of the API's error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def register(handlers: Handlers) -> None:
    handlers[TYPE] = {"create": _create, "update": _update, "delete": _delete}
    app.SERVICE_HANDLERS[SERVICE] = _handle
    iam_actions.SERVICE_TO_IAM_NAMESPACE[SERVICE] = SERVICE
    iam_actions._BOTOCORE_SERVICE_MAP[SERVICE] = [SERVICE]
    iam_actions.extract_resource_arn = _naming_templates(iam_actions.extract_resource_arn)


def _create(_logical_id: str, properties: Properties, _stack_name: str) -> Created:
    try:
        template = _made(_words(properties))
    except Refused as refusal:
        raise ResourceError(f"{refusal} ({refusal.code})") from refusal
    return template["id"], {"Id": template["id"]}


def _update(physical_id: str, _old: Properties, new: Properties, _stack_name: str, *_: Any) -> Created:
    words = _words(new)
    try:
        _require_faults(words)
    except Refused as refusal:
        raise ResourceError(f"{refusal} ({refusal.code})") from refusal
    kept = {name: _templates[physical_id][name] for name in ("id", "arn", "creationTime")}
    _templates[physical_id] = {**words, **kept, "lastUpdateTime": time.time()}
    return physical_id, {"Id": physical_id}


def _delete(physical_id: str, _properties: Properties) -> None:
    _templates.pop(physical_id, None)


async def _handle(method: str, path: str, _headers: Mapping[str, str], body: bytes, _query: Any) -> Response:
    try:
        return _answer(200, _act(method, [unquote(part) for part in path.strip("/").split("/", 1)], body))
    except Refused as refusal:
        status = 404 if refusal.code == "ResourceNotFoundException" else 400
        return _answer(status, {"__type": refusal.code, "message": str(refusal)})


def _act(method: str, path: list[str], body: bytes) -> Properties:
    match method, *path:
        case "POST", "experimentTemplates":
            return {"experimentTemplate": _made(json.loads(body))}
        case "GET", "experimentTemplates":
            found = [{name: one[name] for name in _SUMMARY} for one in _templates.values()]
            return {"experimentTemplates": found}
        case "GET", "experimentTemplates", template_id:
            return {"experimentTemplate": _found(template_id)}
        case "DELETE", "experimentTemplates", template_id:
            template = _found(template_id)
            del _templates[template_id]
            return {"experimentTemplate": template}
        case "GET", "tags", arn:
            return {"tags": _found(arn.rpartition("/")[2])["tags"]}
        case "POST", "experiments":
            raise Refused("ValidationException", "The lab makes no faults of FIS: see python -m lab --help.")
    raise Refused("ValidationException", f"This lab has no {method} /{'/'.join(path)}.")


def _made(document: Properties) -> Properties:
    _require_faults(document)
    template_id = "EXT" + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(15))
    now = time.time()
    template: Properties = {
        "tags": {},
        **{name: value for name, value in document.items() if name != "clientToken"},
        "id": template_id,
        "arn": f"arn:aws:fis:{get_region()}:{get_account_id()}:experiment-template/{template_id}",
        "creationTime": now,
        "lastUpdateTime": now,
    }
    _templates[template_id] = template
    return template


def _found(template_id: str) -> Properties:
    try:
        found: Properties = _templates[template_id]
    except KeyError:
        raise Refused("ResourceNotFoundException", f"Experiment template {template_id} not found.") from None
    return found


def _require_faults(document: Properties) -> None:
    """What the lab does not know it does not promise to be right."""
    targets = document.get("targets", {})
    for name, action in document.get("actions", {}).items():
        fault = _FAULTS.get(action["actionId"])
        if fault is None:
            raise Refused("ValidationException", f"This lab does not know the action {action['actionId']}.")
        lacking = fault.parameters - action.get("parameters", {}).keys()
        if lacking:
            raise Refused("ValidationException", f"The action {name} lacks {', '.join(sorted(lacking))}.")
        target = targets.get(action.get("targets", {}).get(fault.targets), {})
        if target.get("resourceType") != fault.kind:
            raise Refused("ValidationException", f"The action {name} has no target of type {fault.kind}.")
        if not 0 < len(target.get("resourceArns", ())) <= _TARGETS_MOST:
            raise Refused(
                "ValidationException", f"The action {name} takes 1 to {_TARGETS_MOST} targets by ARN."
            )


def _words(value: Any, *, names: bool = False) -> Any:
    """A template's words begin with a capital, the API's do not."""
    if isinstance(value, list):
        return [_words(one) for one in value]
    if isinstance(value, dict):
        return {
            name if names else name[0].lower() + name[1:]: _words(one, names=name in _NAMED and not names)
            for name, one in value.items()
        }
    return value


def _answer(status: int, body: Properties) -> Response:
    kind = {"x-amzn-errortype": str(body["__type"])} if status >= 400 else {}
    return status, {"Content-Type": "application/json", **kind}, json.dumps(body).encode()


def _naming_templates(inherited: Callable[..., str]) -> Callable[..., str]:
    """What a request is checked against: MiniStack does not know the service."""

    def resource_arn(service: str, *request: Any) -> str:
        if service != SERVICE:
            return inherited(service, *request)
        _method, path, _headers, _body, _query, region, account = request
        kind, _, name = path.strip("/").partition("/")
        if kind == "tags":
            return unquote(name)
        if kind != "experimentTemplates" or not name:
            return "*"
        return f"arn:aws:fis:{region}:{account}:experiment-template/{unquote(name)}"

    return resource_arn
