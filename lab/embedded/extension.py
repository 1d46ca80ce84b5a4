"""Installs the extension into MiniStack: our types and actions, then the schema gate in front of every type.

Every module of this package that emulates something has `register(handlers)`; the order does not matter.
Stack tags and replacement are taken from the resource schemas, so that a type of ours behaves like one of
MiniStack's.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ministack.core.responses import get_region
from ministack.services.cloudformation import provisioners, stacks

from lab.embedded import schema
from lab.embedded.handlers import Handler, Handlers, Properties, ResourceError

MODULES = (
    "alarms",
    "asynchronous",
    "backup",
    "boundaries",
    "composite_alarms",
    "conditions",
    "copies",
    "database_metrics",
    "deletion",
    "dynamodb",
    "ec2",
    "encrypted_resources",
    "endpoint_policies",
    "events",
    "experiments",
    "failed_updates",
    "flow_logs",
    "functions",
    "health_checkers",
    "invocations",
    "metrics",
    "names",
    "network_rules",
    "notifications",
    "offers",
    "peering",
    "queues",
    "rds",
    "region_switch",
    "rest_apis",
    "rotation",
    "route53",
    "s3",
    "schedules",
    "secret_versions",
    "secrets",
    "stacksets",
    "stage_requests",
    "stages",
    "starts",
    "table_metrics",
    "table_outages",
    "trails",
    "waf",
    "waf_logs",
    "zones",
)

_UNSCHEMED_TYPES = ("AWS::CloudFormation::CustomResource", "AWS::CDK::Metadata")
_BLOCKING_TYPES = ("AWS::CloudFormation::StackSet", "AWS::RDS::")
"""Handlers that wait for something the event loop must do meanwhile; prefixes."""


def install() -> None:
    """Once per process, before MiniStack serves."""
    handlers: Handlers = provisioners._RESOURCE_HANDLERS
    own_before = set(handlers)
    for name in MODULES:
        module = f"{__package__}.{name}"
        if find_spec(module) is not None:
            import_module(module).register(handlers)
    for type_name in handlers.keys() - own_before:
        _describe_to_cloudformation(type_name)
    for type_name, handler in handlers.items():
        if type_name.startswith("AWS::") and type_name not in _UNSCHEMED_TYPES:
            handlers[type_name] = _behind_schema(type_name, handler)
    _run_on_worker_threads()


def _describe_to_cloudformation(type_name: str) -> None:
    """Tell change sets and updates what replaces the resource, and stacks where their tags go."""
    known = schema.resource_schema(type_name, "us-east-1")
    if known is None:
        return
    provisioners._REPLACING_PROPERTIES.setdefault(type_name, known.create_only)
    if known.tag_property:
        shape = known.document["properties"].get(known.tag_property, {}).get("type")
        provisioners._STACK_TAG_PROPERTY.setdefault(
            type_name, (known.tag_property, "map" if shape == "object" else "list")
        )


def _behind_schema(type_name: str, handler: Handler) -> Handler:
    """`handler` with its properties converted and checked first, as the registry's type would."""
    create, update = handler["create"], handler.get("update")

    def checked_create(logical_id: str, properties: Properties, *rest: Any) -> Any:
        return create(logical_id, accepted(type_name, logical_id, properties), *rest)

    def checked_update(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Any:
        name = str(rest[1]) if len(rest) > 1 else physical_id
        new = accepted(type_name, name, new)
        return update(physical_id, _converted(type_name, old), new, *rest) if update else None

    guarded: dict[str, Callable[..., Any]] = {**handler, "create": checked_create}
    if update is not None:
        guarded["update"] = checked_update
    return guarded


def accepted(type_name: str, logical_id: str, properties: Properties) -> Properties:
    """The properties as the type's handler gets them. Raises ResourceError naming every path AWS would
    refuse.
    """
    known = schema.resource_schema(type_name, get_region())
    if known is None:
        raise ResourceError(f"Resource type {type_name} is not available in {get_region()}")
    values = schema.converted(known, properties)
    found = schema.problems(known, _without_system_tags(values))
    if found:
        raise ResourceError(
            f"Properties validation failed for resource {logical_id} with message:\n" + "\n".join(found)
        )
    return values


def _converted(type_name: str, properties: Properties) -> Properties:
    known = schema.resource_schema(type_name, get_region())
    return properties if known is None else schema.converted(known, properties)


def _without_system_tags(properties: Properties) -> Properties:
    """What the template's author wrote: CloudFormation's own `aws:` tags are not subject to the schema."""
    checked = dict(properties)
    for name, value in properties.items():
        if not name.endswith("Tags"):
            continue
        if isinstance(value, list):
            kept: Any = [tag for tag in value if not str(tag.get("Key", "")).startswith("aws:")]
        elif isinstance(value, dict):
            kept = {key: item for key, item in value.items() if not key.startswith("aws:")}
        else:
            continue
        checked[name] = kept
        if not kept:
            del checked[name]
    return checked


def _run_on_worker_threads() -> None:
    """MiniStack asks this function where to run a type; it must say so for ours, or they deadlock the event
    loop.
    """
    inherited: Callable[[str], bool] = stacks._runs_on_worker_thread

    def runs_on_worker_thread(type_name: str) -> bool:
        return type_name.startswith(_BLOCKING_TYPES) or inherited(type_name)

    stacks._runs_on_worker_thread = runs_on_worker_thread
