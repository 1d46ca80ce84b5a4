"""What `preflight` asks AWS, and whom."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from adapters.aws import code, unknown_is_unavailable
from ops import preflight
from ops.diff import rolled_out
from ops.dns_records import PublicRecords
from ops.inventory import Client, exists, named
from ops.observe import answered
from ops.preflight import Check, Question, no, yes
from ops.sam import Sam, built
from ops.stacks import PATIENT, find_instance, find_stack
from ops.surroundings import Surroundings
from templates.config import Settings

_PATIENCE_SECONDS: Final = 90.0
_ADDRESSES: Final = ("ec2", "L-0263D0A3")  # EC2-VPC Elastic IPs
_VPCS: Final = ("vpc", "L-F678F1CE")  # VPCs per Region
_CLASS: Final = "db.serverless"


def preflight_checks(settings: Settings, around: Surroundings, dist: Path) -> list[Check]:
    """All at the same time, each for itself; in the order of the questions."""

    def client(service: str, region: str) -> Any:
        return around.client(service, region, PATIENT)

    asked = list(questions(settings, client, dist, PublicRecords(around.name_server)))
    numbered = {(str(number), one.name): one.ask for number, one in enumerate(asked)}
    answers = answered(numbered, _PATIENCE_SECONDS)
    return [preflight.judged(one, answers[str(number), one.name]) for number, one in enumerate(asked)]


def questions(settings: Settings, client: Client, dist: Path, records: PublicRecords) -> Iterator[Question]:
    root = Sam.of(settings, dist, "root")
    primary, secondary = settings.regions.primary, settings.regions.secondary
    data = (primary, secondary)
    here = partial(Question, region=None)
    yield here("credentials", ask=lambda: _credentials(client("sts", primary)))
    yield here("regions", ask=lambda: _regions(client("ec2", primary), [*data, settings.regions.witness]))
    yield here("role", ask=lambda: _role(client("iam", primary), root))
    for region in data:
        absent = partial(_absent, client, settings, region)
        yield Question("addresses", region, partial(_addresses, client, settings, region, absent))
        yield Question("networks", region, partial(_networks, client, region, absent))
    yield here("lambda", ask=lambda: _concurrency(client, data))
    for region in data:
        yield Question("database", region, partial(_engine, client("rds", region), settings, region))
    for region in data:
        yield Question("region switch", region, partial(_region_switch, client, region))
        yield Question(
            "api logs", region, partial(_api_gateway, client("apigateway", region), settings, region)
        )
    yield here("stack sets", ask=lambda: _stack_sets(client("cloudformation", primary), root))
    yield here("delegation", ask=lambda: _delegation(client("route53", primary), settings, records))
    yield here(
        "certificates",
        ask=lambda: preflight.may_issue(settings.dns.domain, records.issuers(settings.dns.domain)),
    )
    yield from _names(client, root, dist)


def _credentials(sts: Any) -> Check:
    with unknown_is_unavailable("STS"):
        caller = sts.get_caller_identity()
    return yes("credentials", None, f"account {caller['Account']}, as {caller['Arn']}")


def _regions(ec2: Any, wanted: list[str]) -> Check:
    with unknown_is_unavailable("regions"):
        described = ec2.describe_regions(AllRegions=True)["Regions"]
    return preflight.regions_enabled(wanted, {one["RegionName"]: one["OptInStatus"] for one in described})


def _role(iam: Any, sam: Sam) -> Check:
    """The one that CloudFormation works with, if samconfig.toml names one."""
    if not sam.role_arn:
        what = "samconfig.toml names none: your own credentials have to last over an hour"
        return yes("role", None, what)
    try:
        with unknown_is_unavailable("role"):
            iam.get_role(RoleName=sam.role_arn.rpartition("/")[2])
    except ClientError as error:
        if code(error) != "NoSuchEntity":
            raise
        return no("role", None, f"{sam.role_arn} is not there", "make it, as the README says under On AWS")
    return yes("role", None, f"{sam.role_arn} is there")


def _absent(client: Client, settings: Settings, region: str) -> bool:
    """Whether the network is still to be made in that region."""
    return find_instance(client("cloudformation", region), settings.names.shared("foundation")) is None


def _quota(client: Client, region: str, quota: tuple[str, str]) -> float:
    service, identity = quota
    quotas = client("service-quotas", region)
    with unknown_is_unavailable("quota"):
        try:
            answer = quotas.get_service_quota(ServiceCode=service, QuotaCode=identity)
        except ClientError as error:
            if code(error) != "NoSuchResourceException":
                raise  # below: a quota that nobody ever changed may be known as AWS's default only
            answer = quotas.get_aws_default_service_quota(ServiceCode=service, QuotaCode=identity)
    return float(answer["Quota"]["Value"])


def _addresses(client: Client, settings: Settings, region: str, absent: Callable[[], bool]) -> Check:
    """One for each NAT gateway."""
    with unknown_is_unavailable("addresses"):
        used = len(client("ec2", region).describe_addresses()["Addresses"])
    needed = (1 if settings.network.nat_gateways == "single" else 3) if absent() else 0
    limit = _quota(client, region, _ADDRESSES)
    return preflight.room("addresses", region, limit=limit, used=used, needed=needed)


def _networks(client: Client, region: str, absent: Callable[[], bool]) -> Check:
    with unknown_is_unavailable("networks"):
        pages = client("ec2", region).get_paginator("describe_vpcs").paginate()
        used = sum(len(page["Vpcs"]) for page in pages)
    limit = _quota(client, region, _VPCS)
    return preflight.room("networks", region, limit=limit, used=used, needed=1 if absent() else 0)


def _concurrency(client: Client, regions: tuple[str, ...]) -> Check:
    limits: dict[str, int] = {}
    for region in regions:
        with unknown_is_unavailable(f"functions in {region}"):
            limit = client("lambda", region).get_account_settings()["AccountLimit"]
        limits[region] = int(limit["ConcurrentExecutions"])
    return preflight.concurrency(limits)


def _engine(rds: Any, settings: Settings, region: str) -> Check:
    version = settings.database.engine_version
    with unknown_is_unavailable("database"):
        found = rds.describe_orderable_db_instance_options(
            Engine="aurora-postgresql", EngineVersion=version, DBInstanceClass=_CLASS
        )["OrderableDBInstanceOptions"]
    return preflight.engine_offered(region, version, offered=bool(found))


def _region_switch(client: Client, region: str) -> Check:
    with unknown_is_unavailable("Region switch"):
        client("arc-region-switch", region).list_plans_in_region()
    return yes("region switch", region, "it answers")


def _api_gateway(apigateway: Any, settings: Settings, region: str) -> Check:
    """The setting is the account's: where somebody else's APIs log to it, ours will decide from then on."""
    with unknown_is_unavailable("API Gateway"):
        role = str(apigateway.get_account().get("cloudwatchRoleArn", ""))
    if not role:
        return yes("api logs", region, "API Gateway has no role to log with yet; deploying sets it")
    if role.rpartition("/")[2].startswith(f"{settings.service}-"):
        return yes("api logs", region, f"API Gateway logs with {role}")
    return yes(
        "api logs", region, f"API Gateway logs with {role}; deploying replaces it by one that serves all APIs"
    )


def _stack_sets(cloudformation: Any, root: Sam) -> Check:
    """The names are free, or they are ours."""
    with unknown_is_unavailable("stack sets"):
        pages = cloudformation.get_paginator("list_stack_sets").paginate(Status="ACTIVE")
        found = {one["StackSetName"] for page in pages for one in page["Summaries"]}
    ours = sorted(found & {one.stack_set for one in rolled_out(root.document())})
    if ours and find_stack(cloudformation, root.stack) is None:
        todo = "delete them: docs/runbooks/first-deployment.md, under Cleaning up"
        return no("stack sets", None, f"left of an earlier deployment: {', '.join(ours)}", todo)
    return yes("stack sets", None, "StackSets answers, and the names are free or ours")


def _delegation(route53: Any, settings: Settings, records: PublicRecords) -> Check:
    domain = settings.dns.domain
    with unknown_is_unavailable("hosted zone"):
        zone = settings.dns.hosted_zone_id or _zone_id(route53, domain)
        if zone is None:
            todo = "deploy it: sam deploy --config-env zone"
            return no("delegation", None, f"there is no hosted zone {domain}", todo)
        found = route53.get_hosted_zone(Id=zone)
    public = records.name_servers(domain)
    return preflight.delegated(domain, found.get("DelegationSet", {}).get("NameServers", ()), public)


def _zone_id(route53: Any, domain: str) -> str | None:
    found = route53.list_hosted_zones_by_name(DNSName=domain)["HostedZones"]
    named = (zone for zone in found if zone["Name"].rstrip(".") == domain)
    return next((str(zone["Id"]) for zone in named if not zone["Config"].get("PrivateZone")), None)


def _names(client: Client, root: Sam, dist: Path) -> Iterator[Question]:
    """Of each stack that is not there yet; of the others, whoever has them is the stack."""
    ask = partial(_root_names, client, root)
    yield Question("names", root.region, ask)
    for each in rolled_out(root.document()):
        document = built(dist / f"{each.template}.json")
        for region in each.regions:
            ask_there = partial(_instance_names, client, each.template, each.stack_set, document, region)
            yield Question("names", region, ask_there)


def _root_names(client: Client, root: Sam) -> Check:
    if find_stack(client("cloudformation", root.region), root.stack) is not None:
        return yes("names", root.region, "those of root are in use by its stack")
    return preflight.names_free(root.region, "root", _taken(client, root.document(), root.region))


def _instance_names(
    client: Client, template: str, stack_set: str, document: Mapping[str, Any], region: str
) -> Check:
    if find_instance(client("cloudformation", region), stack_set) is not None:
        return yes("names", region, f"those of {template} are in use by its stack")
    return preflight.names_free(region, template, _taken(client, document, region))


def _taken(client: Client, document: Mapping[str, Any], region: str) -> list[str]:
    return [thing.text for thing in sorted(named(document, region)) if exists(thing, client)]
