"""Route 53 health checks and record set groups, and records that only name health checks that exist.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-route53-healthcheck.html
https://docs.aws.amazon.com/Route53/latest/APIReference/API_HealthCheckConfig.html
"""

from collections.abc import Callable
from typing import Any

from ministack.core.responses import new_uuid
from ministack.services import route53

from lab.embedded.handlers import Created, Handlers, Properties, ResourceError, tag_list

_ENDPOINT_TYPES = ("HTTP", "HTTPS", "HTTP_STR_MATCH", "HTTPS_STR_MATCH", "TCP")
_DEFAULT_PORTS = {"HTTP": 80, "HTTP_STR_MATCH": 80, "HTTPS": 443, "HTTPS_STR_MATCH": 443}


def register(handlers: Handlers) -> None:
    handlers["AWS::Route53::HealthCheck"] = {
        "create": create_check,
        "update": update_check,
        "delete": delete_check,
    }
    record = handlers["AWS::Route53::RecordSet"]
    record["create"] = _naming_known_checks(record["create"], position=1)
    record["update"] = _naming_known_checks(record["update"], position=2)
    group = RecordSetGroups(record)
    handlers["AWS::Route53::RecordSetGroup"] = {
        "create": group.create,
        "update": group.update,
        "delete": group.delete,
    }


def create_check(logical_id: str, properties: Properties, stack_name: str) -> Created:
    identifier, reference = new_uuid(), new_uuid()
    with route53._lock:
        route53._health_checks[identifier] = {
            "id": identifier,
            "caller_reference": reference,
            "config": configuration(properties),
            "version": 1,
        }
        route53._hc_caller_refs[reference] = identifier
        _tag(identifier, properties)
    return identifier, {"HealthCheckId": identifier}


def update_check(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Created:
    with route53._lock:
        check = route53._health_checks.get(physical_id)
        if check is None:
            raise ResourceError(f"No health check exists with the ID {physical_id} (NoSuchHealthCheck)")
        check["config"] = configuration(new)
        check["version"] += 1
        _tag(physical_id, new)
    return physical_id, {"HealthCheckId": physical_id}


def delete_check(physical_id: str, properties: Properties) -> None:
    """Route 53 deletes a check that records still use; those records then ignore it, so nothing is
    refused.
    """
    with route53._lock:
        check = route53._health_checks.pop(physical_id, None)
        if check is not None:
            route53._hc_caller_refs.pop(check["caller_reference"], None)
            route53._tags.pop(("healthcheck", physical_id), None)


def configuration(properties: Properties) -> dict[str, Any]:
    """The check as Route 53 keeps it, with its defaults. Raises ResourceError for what the API refuses."""
    config = dict(properties["HealthCheckConfig"])
    kind = config["Type"]
    if kind in _ENDPOINT_TYPES:
        if "FullyQualifiedDomainName" not in config and "IPAddress" not in config:
            raise ResourceError(
                "Invalid parameter : Either FullyQualifiedDomainName or IPAddress is required (InvalidInput)"
            )
        if kind == "TCP" and "Port" not in config:
            raise ResourceError("Invalid parameter : Port is required for TCP health checks (InvalidInput)")
        config.setdefault("Port", _DEFAULT_PORTS.get(kind))
        config.setdefault("RequestInterval", 30)
        config.setdefault("FailureThreshold", 3)
        if config["RequestInterval"] not in (10, 30):
            raise ResourceError("Invalid parameter : RequestInterval must be 10 or 30 (InvalidInput)")
        if not 1 <= config["FailureThreshold"] <= 10:
            raise ResourceError(
                "Invalid parameter : FailureThreshold must be between 1 and 10 (InvalidInput)"
            )
        if kind.startswith("HTTPS"):
            config.setdefault("EnableSNI", True)
        config.setdefault("MeasureLatency", False)
    for child in config.get("ChildHealthChecks", ()):
        _require_check(child)
    config.setdefault("Inverted", False)
    config.setdefault("Disabled", False)
    # MiniStack writes values as they are into its XML, where a boolean is lower case.
    return {name: str(item).lower() if isinstance(item, bool) else item for name, item in config.items()}


def _tag(identifier: str, properties: Properties) -> None:
    tags = tag_list(properties.get("HealthCheckTags"))
    route53._tags["healthcheck", identifier] = {tag["Key"]: tag["Value"] for tag in tags}


def _require_check(identifier: str) -> None:
    if identifier not in route53._health_checks:
        raise ResourceError(f"No health check exists with the ID {identifier} (InvalidChangeBatch)")


def _naming_known_checks(inherited: Callable[..., Created], position: int) -> Callable[..., Created]:
    def act(*arguments: Any) -> Created:
        check_record(arguments[position])
        return inherited(*arguments)

    return act


def check_record(record: Properties) -> None:
    """What Route 53 refuses in a change batch. Raises ResourceError."""
    if "HealthCheckId" in record:
        _require_check(record["HealthCheckId"])
    routed = [name for name in ("Failover", "Weight", "Region", "GeoLocation") if name in record]
    if routed and not record.get("SetIdentifier"):
        raise ResourceError(
            f"Invalid request: Missing field 'SetIdentifier' for a record with {routed[0]} (InvalidInput)"
        )
    if ("AliasTarget" in record) == ("ResourceRecords" in record):
        raise ResourceError(
            "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or "
            "TrafficPolicyInstanceId] (InvalidInput)"
        )
    if "AliasTarget" in record and "TTL" in record:
        raise ResourceError("Invalid request: an alias record has no TTL (InvalidInput)")


class RecordSetGroups:
    """A group is its records: each is handled as `AWS::Route53::RecordSet` is."""

    def __init__(self, record: dict[str, Any]) -> None:
        self._record = record

    def create(self, logical_id: str, properties: Properties, stack_name: str) -> Created:
        created: list[Properties] = []
        try:
            for record in _records(properties):
                self._record["create"](logical_id, record, stack_name)
                created.append(record)
        except ValueError:
            for record in created:
                self._record["delete"](record["Name"], record)
            raise
        identifier = f"{stack_name}-{logical_id}-{new_uuid()[:12]}"
        return identifier, {"Id": identifier}

    def update(self, physical_id: str, old: Properties, new: Properties, stack_name: str) -> Created:
        former = {_key(record): record for record in _records(old)}
        wanted = {_key(record): record for record in _records(new)}
        for key, record in wanted.items():
            if key not in former:
                self._record["create"](physical_id, record, stack_name)
            elif former[key] != record:
                self._record["update"](record["Name"], former[key], record, stack_name)
        for key in former.keys() - wanted.keys():
            self._record["delete"](former[key]["Name"], former[key])
        return physical_id, {"Id": physical_id}

    def delete(self, physical_id: str, properties: Properties) -> None:
        for record in _records(properties):
            self._record["delete"](record["Name"], record)


def _records(properties: Properties) -> list[Properties]:
    zone: Properties = {n: properties[n] for n in ("HostedZoneId", "HostedZoneName") if n in properties}
    return [{**zone, **record} for record in properties.get("RecordSets", ())]


def _key(record: Properties) -> tuple[str, str, str]:
    return str(record["Name"]), str(record["Type"]), str(record.get("SetIdentifier", ""))
