"""Hosted zones: accelerated recovery, tags, and a log of the queries they answer.

https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/accelerated-recovery.html
https://docs.aws.amazon.com/Route53/latest/APIReference/API_CreateQueryLoggingConfig.html
"""

import re
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from ministack.core.responses import get_account_id, new_uuid, request_scope
from ministack.services import cloudwatch_logs, route53

from lab.embedded import service_roles
from lab.embedded.handlers import Created, Handlers, Properties, ResourceError, Response, checked, tag_list

_ZONE = "AWS::Route53::HostedZone"
_SERVICE = "route53.amazonaws.com"
LOGS_REGION = "us-east-1"
_ACTIONS = ("logs:CreateLogStream", "logs:PutLogEvents")
_PATH = re.compile(r"^/2013-04-01/queryloggingconfig(?:/([^/]+))?$")
_configurations: dict[str, Properties] = {}
"""By id: HostedZoneId and CloudWatchLogsLogGroupArn."""


def register(handlers: Handlers) -> None:
    zone = handlers[_ZONE]
    zone["create"] = _configured(zone["create"], 1)
    zone["update"] = _configured(zone["update"], 2)
    zone["delete"] = _when_empty(zone["delete"])
    route53._build_hosted_zone_el = _with_features(route53._build_hosted_zone_el)
    route53.handle_request = _with_query_logging(route53.handle_request)


def _configured(inherited: Callable[..., Created], position: int) -> Callable[..., Created]:
    def act(*arguments: Any) -> Created:
        properties: Properties = arguments[position]
        wanted = (properties.get("QueryLoggingConfig") or {}).get("CloudWatchLogsLogGroupArn")
        if wanted:
            require_log_group(wanted)
        created = inherited(*arguments)
        identifier = created[0]
        features = properties.get("HostedZoneFeatures") or {}
        zone = route53._zones[identifier]
        zone["accelerated_recovery"] = bool(features.get("EnableAcceleratedRecovery", False))
        tags = {tag["Key"]: tag["Value"] for tag in tag_list(properties.get("HostedZoneTags"))}
        route53._tags["hostedzone", identifier] = tags
        _log_queries(identifier, wanted)
        return created

    return act


def _when_empty(inherited: Callable[..., None]) -> Callable[..., None]:
    def delete(physical_id: str, properties: Properties) -> None:
        zone = route53._zones.get(physical_id)
        own = [(zone or {}).get("name")]
        others = [
            record
            for record in route53._records.get(physical_id) or ()
            if record["Type"] not in ("NS", "SOA") or record["Name"] not in own
        ]
        if others:
            raise ResourceError(
                "The specified hosted zone contains non-required resource record sets and so cannot be "
                "deleted. (HostedZoneNotEmpty)"
            )
        if zone and zone.get("accelerated_recovery"):
            # Only a zone without the feature can be deleted; CloudFormation turns it off first.
            zone["accelerated_recovery"] = False
        _log_queries(physical_id, None)
        inherited(physical_id, properties)

    return delete


def _with_features(inherited: Callable[[Element, Properties], None]) -> Callable[[Element, Properties], None]:
    def build(parent: Element, zone: Properties) -> None:
        inherited(parent, zone)
        if zone.get("accelerated_recovery"):
            features = SubElement(parent[-1], "Features")
            SubElement(features, "AcceleratedRecoveryStatus").text = "ENABLED"

    return build


# --- query logging ----------------------------------------------------------------------------------------


def require_log_group(arn: str) -> None:
    """Raises ResourceError for what CreateQueryLoggingConfig refuses."""
    arn = arn.removesuffix(":*")
    parts = arn.split(":")
    if len(parts) != 7 or parts[2] != "logs" or parts[3] != LOGS_REGION:
        raise ResourceError(
            f"The ARN for the CloudWatch Logs log group is not one of {LOGS_REGION}. (InvalidInput)"
        )
    with request_scope(get_account_id(), LOGS_REGION):
        if parts[6] not in cloudwatch_logs._log_groups:
            raise ResourceError(
                "The specified CloudWatch Logs log group doesn't exist. (NoSuchCloudWatchLogsLogGroup)"
            )
        policies = [one["policyDocument"] for one in cloudwatch_logs._resource_policies.values()]
    context = {
        "aws:sourceaccount": get_account_id(),
        "aws:sourcearn": "arn:aws:route53:::hostedzone/ZUNKNOWN",  # it has no id yet
    }
    for action in _ACTIONS:
        # Route 53 writes streams of the group: the policy has to reach them.
        streams = f"{arn}:log-stream:any"
        admitted = any(service_roles.admits(one, _SERVICE, action, streams, context) for one in policies)
        if not admitted:
            raise ResourceError(
                "The CloudWatch Logs resource policy that you're using for this log group doesn't grant "
                "Route 53 sufficient permission to create and write to log streams. "
                "(InsufficientCloudWatchLogsResourcePolicy)"
            )


def query_log(zone: str) -> str | None:
    """The name of the log group for what a zone is asked, in us-east-1."""
    for one in list(_configurations.values()):
        if one["HostedZoneId"] == zone:
            return str(one["CloudWatchLogsLogGroupArn"]).split(":")[6]
    return None


def _log_queries(zone: str, arn: str | None) -> None:
    for identifier, one in list(_configurations.items()):
        if one["HostedZoneId"] == zone:
            del _configurations[identifier]
    if arn:
        configuration = {"HostedZoneId": zone, "CloudWatchLogsLogGroupArn": arn.removesuffix(":*")}
        _configurations[new_uuid()] = configuration


def _with_query_logging(inherited: Callable[..., Any]) -> Callable[..., Any]:
    async def handle(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        found = _PATH.match(path)
        if found is None:
            return await inherited(method, path, headers, body, query)
        try:
            return _answer(method, found[1], body, query)
        except ResourceError as error:
            message, _, code = str(error).rpartition(" (")
            return route53._error_response(code.rstrip(")"), message)

    return handle


def _answer(method: str, identifier: str | None, body: bytes, query: Any) -> Response:
    if method == "POST":
        return _create(body)
    if identifier is None:
        asked = _first(query, "hostedzoneid")
        return _listed([key for key, one in _configurations.items() if asked in ("", one["HostedZoneId"])])
    if identifier not in _configurations:
        raise ResourceError("The specified configuration doesn't exist. (NoSuchQueryLoggingConfig)")
    if method == "DELETE":
        del _configurations[identifier]
        return _xml("DeleteQueryLoggingConfigResponse", lambda root: None)
    return _xml("GetQueryLoggingConfigResponse", lambda root: _element(root, identifier))


def _create(body: bytes) -> Response:
    root = route53._parse_body(body)
    zone, arn = (route53._text(root, name) for name in ("HostedZoneId", "CloudWatchLogsLogGroupArn"))
    zone = zone.rpartition("/")[2]
    if zone not in route53._zones:
        raise ResourceError(f"No hosted zone found with ID: {zone} (NoSuchHostedZone)")
    if any(one["HostedZoneId"] == zone for one in _configurations.values()):
        raise ResourceError(
            "A query logging configuration already exists for this hosted zone. "
            "(QueryLoggingConfigAlreadyExists)"
        )
    require_log_group(arn)
    _log_queries(zone, arn)
    identifier = next(key for key, one in _configurations.items() if one["HostedZoneId"] == zone)
    return _xml("CreateQueryLoggingConfigResponse", lambda root: _element(root, identifier), 201)


def _listed(identifiers: list[str]) -> Response:
    def build(root: Element) -> None:
        several = SubElement(root, "QueryLoggingConfigs")
        for identifier in identifiers:
            _element(several, identifier)

    return _xml("ListQueryLoggingConfigsResponse", build)


def _element(parent: Element, identifier: str) -> None:
    element = SubElement(parent, "QueryLoggingConfig")
    for name, value in {"Id": identifier, **_configurations[identifier]}.items():
        SubElement(element, name).text = value


def _xml(name: str, build: Callable[[Element], None], status: int = 200) -> Response:
    response: Response = route53._xml_response(name, build, status)
    return checked(response)


def _first(query: Any, name: str) -> str:
    value = query.get(name, "")
    return str(value[0] if isinstance(value, list) else value)
