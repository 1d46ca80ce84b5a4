"""Asking both regions what a failover depends on: every question for itself, all at the same time."""

import io
import json
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final
from zipfile import ZipFile

from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session as HTTPSession

from adapters.aws import code, unknown_is_unavailable
from failover.errors import Unavailable
from failover.planner import Unknown
from ops.observation import Observation
from ops.observe import answered
from ops.readiness.facts import (
    QUESTIONS,
    Books,
    Certificate,
    Cluster,
    Comparison,
    Evaluation,
    Facts,
    Function,
    HostName,
    Instance,
    LogCopies,
    Peering,
    Quotas,
    Record,
    Records,
    Secret,
    Seen,
    Table,
)
from ops.surroundings import Surroundings
from templates.config import Settings
from templates.names import Place

PATIENCE_SECONDS: Final = 30.0  # for all of them: the function that compares may have to be started first
_BRIEF: Final = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 2},
    max_pool_connections=8,
)
# Asked once: each time it compares anew.
_COMPARING: Final = Config(connect_timeout=2, read_timeout=25, retries={"total_max_attempts": 1})
_GLOBAL_REGION: Final = "us-east-1"  # where Route 53 takes questions
_NOT_COMPARED: Final = ("State", "LastUpdateStatus")
_LARGE: Final = 100_000  # bytes; ours have megabytes, but for those whose text is in a template
_CONFIGURATION: Final = ("Runtime", "Handler", "Timeout", "MemorySize", "Architectures", "Layers")
_SHARED: Final = "records"
# As the templates make them, which are not asked here: to import them takes longer than an answer.
USERS: Final = ("master", "migrator", "application")
TABLES: Final = {"sessions": False, "journal": True, "control": True, "directory": True, "progress": True}

Ask = Callable[[], Any]


def seen(settings: Settings, around: Surroundings, status: Observation, target: str) -> Seen:
    """Of a failover to `target`. Takes no longer than the patience, however much does not answer."""
    regions = settings.regions
    places: tuple[tuple[str, Place], ...] = ((regions.primary, "primary"), (regions.secondary, "secondary"))
    questions = {
        (region, name): ask
        for region, place in places
        for name, ask in asked(settings, around, region, place).items()
    }
    route53 = around.client("route53", _GLOBAL_REGION, _BRIEF)
    answers = answered(
        questions | {("", _SHARED): partial(records, route53, settings)}, seconds=PATIENCE_SECONDS
    )
    facts = [
        Facts(region, place, **{name: answers[region, name] for name in QUESTIONS})
        for region, place in places
    ]
    here = next(one for one in facts if one.region == target)
    there = next(one for one in facts if one.region != target)
    return Seen(settings, status, here, there, answers["", _SHARED])


def asked(settings: Settings, around: Surroundings, region: str, place: Place) -> dict[str, Ask]:
    names, network = settings.names, settings.network

    def client(service: str, config: Config = _BRIEF) -> Any:
        return around.client(service, region, config)

    cidrs = str(network.primary_cidr), str(network.secondary_cidr)
    away = cidrs[1] if place == "primary" else cidrs[0]
    functions = f"{names.service}-", f"-{place}-{names.environment}"
    return {
        "cluster": partial(cluster, client("rds"), names.regional("ledger", place)),
        "functions": partial(functions_of, client("lambda"), *functions),
        "quotas": partial(quotas, client("lambda"), client("apigateway")),
        "secrets": partial(secrets, client("secretsmanager"), {user: names.secret(user) for user in USERS}),
        "key": partial(key, client("kms"), names.alias("data", place)),
        "hosts": partial(hosts, client("apigateway"), client("acm"), (names.domain, names.host(place))),
        "peering": partial(peering, client("ec2"), cidrs, away),
        "tables": partial(tables, client("dynamodb"), {each: names.shared(each) for each in TABLES}),
        "copies": partial(copies, client("s3"), names.bucket("transactions", place)),
        "comparison": partial(comparison, client("lambda", _COMPARING), names.regional("compare", place)),
        "plan": partial(plan, client("arc-region-switch"), names.plan),
    }


def cluster(client: Any, name: str) -> Cluster:
    with unknown_is_unavailable(f"cluster {name}"):
        (described,) = client.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
        of_it = [{"Name": "db-cluster-id", "Values": [name]}]
        instances = client.describe_db_instances(Filters=of_it)["DBInstances"]
    scaling = described.get("ServerlessV2ScalingConfiguration")
    return Cluster(
        state=described["Status"],
        version=described["EngineVersion"],
        capacity=(float(scaling["MinCapacity"]), float(scaling["MaxCapacity"])) if scaling else None,
        instances=tuple(
            Instance(one["DBInstanceIdentifier"], one["DBInstanceClass"], one["DBInstanceStatus"])
            for one in instances
        ),
    )


def functions_of(client: Any, prefix: str, suffix: str) -> dict[str, Function]:
    """By component. A list does not say in which state a function is, nor what is reserved for it."""
    with unknown_is_unavailable("functions"):
        pages = client.get_paginator("list_functions").paginate()
        names = [one["FunctionName"] for page in pages for one in page["Functions"]]
        return {
            name.removeprefix(prefix).removesuffix(suffix): function(
                client.get_function(FunctionName=name), fetched
            )
            for name in names
            if name.startswith(prefix) and name.endswith(suffix)
        }


def function(described: Mapping[str, Any], fetch: Callable[[str], bytes]) -> Function:
    configuration = described["Configuration"]
    code = configuration["CodeSha256"]
    if configuration.get("CodeSize", _LARGE) < _LARGE:
        code = content(fetch(described["Code"]["Location"]))
    environment = configuration.get("Environment", {})
    states = [str(configuration.get(name, "")) for name in _NOT_COMPARED]
    wrong = [state for state in states if state not in ("Active", "Successful")]
    return Function(
        code=code,
        configuration={
            name: json.dumps(configuration.get(name), sort_keys=True, default=str) for name in _CONFIGURATION
        },
        variables=None if "Error" in environment else environment.get("Variables", {}),
        state=", ".join(state or "not said" for state in wrong) or "Active",
        reserved=described.get("Concurrency", {}).get("ReservedConcurrentExecutions"),
    )


def content(package: bytes) -> str:
    """Of what is in it. What CloudFormation zips itself, text that a template holds, it dates: the hash of
    that package is another one in each region.
    """
    with ZipFile(io.BytesIO(package)) as files:
        held = {name: sha256(files.read(name)).hexdigest() for name in files.namelist()}
    return sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()


def fetched(url: str) -> bytes:
    """From where Lambda says that a package can be read, for a few minutes."""
    answer = HTTPSession(timeout=5).send(AWSRequest("GET", url).prepare())
    if answer.status_code != HTTPStatus.OK:
        raise Unavailable(f"code of a function: status {answer.status_code}")
    body: bytes = answer.content
    return body


def quotas(functions: Any, gateway: Any) -> Quotas:
    with unknown_is_unavailable("quotas"):
        limits = functions.get_account_settings()["AccountLimit"]
        throttle = gateway.get_account()["throttleSettings"]
    return Quotas(
        concurrency=limits["ConcurrentExecutions"],
        unreserved=limits["UnreservedConcurrentExecutions"],
        rate=float(throttle["rateLimit"]),
        burst=int(throttle["burstLimit"]),
    )


def secrets(client: Any, names: Mapping[str, str]) -> dict[str, Secret]:
    with unknown_is_unavailable("secrets"):
        return {user: secret(client.describe_secret(SecretId=name)) for user, name in names.items()}


def secret(described: Mapping[str, Any]) -> Secret:
    versions = described.get("VersionIdsToStages", {})
    current = [version for version, labels in versions.items() if "AWSCURRENT" in labels]
    if len(current) != 1:
        raise Unavailable(f"secret {described['Name']}: {len(current)} versions are in use")
    behind = [one["Region"] for one in described.get("ReplicationStatus", ()) if one["Status"] != "InSync"]
    return Secret(current[0], tuple(sorted(behind)))


def key(client: Any, alias: str) -> str:
    with unknown_is_unavailable(f"key {alias}"):
        return str(client.describe_key(KeyId=alias)["KeyMetadata"]["KeyState"])


def hosts(gateway: Any, certificates: Any, names: tuple[str, ...]) -> dict[str, HostName]:
    with unknown_is_unavailable("host names"):
        return {name: host(gateway, certificates, name) for name in names}


def host(gateway: Any, certificates: Any, name: str) -> HostName:
    described = gateway.get_domain_name(domainName=name)
    mappings = gateway.get_base_path_mappings(domainName=name).get("items", ())
    arn = described.get("regionalCertificateArn") or described["certificateArn"]
    certificate = certificates.describe_certificate(CertificateArn=arn)["Certificate"]
    names = {certificate["DomainName"], *certificate.get("SubjectAlternativeNames", ())}
    return HostName(
        state=described.get("domainNameStatus", "AVAILABLE"),
        target=described["regionalDomainName"].rstrip("."),
        mapped=bool(mappings),
        certificate=Certificate(certificate["Status"], certificate.get("NotAfter"), frozenset(names)),
    )


def peering(client: Any, cidrs: tuple[str, str], away: str) -> Peering:
    """By the networks that it joins: its tags belong to the region that asked for it."""
    filters = [
        {"Name": "requester-vpc-info.cidr-block", "Values": [cidrs[0]]},
        {"Name": "accepter-vpc-info.cidr-block", "Values": [cidrs[1]]},
    ]
    with unknown_is_unavailable("peering"):
        answer = client.describe_vpc_peering_connections(Filters=filters)
        found = {
            each["VpcPeeringConnectionId"]: each["Status"]["Code"] for each in answer["VpcPeeringConnections"]
        }
        leads = [{"Name": "route.vpc-peering-connection-id", "Values": list(found)}]
        described = client.describe_route_tables(Filters=leads)["RouteTables"] if found else []
    routes = [
        route["State"]
        for table in described
        for route in table["Routes"]
        if route.get("DestinationCidrBlock") == away and route.get("VpcPeeringConnectionId") in found
    ]
    # One that was deleted stays in the list for a while.
    state = "active" if "active" in found.values() else next(iter(found.values()), "not there")
    return Peering(state, routes.count("active"), len(routes) - routes.count("active"))


def tables(client: Any, names: Mapping[str, str]) -> dict[str, Table]:
    with unknown_is_unavailable("tables"):
        return {short: table(client.describe_table(TableName=name)["Table"]) for short, name in names.items()}


def table(described: Mapping[str, Any]) -> Table:
    return Table(
        state=described["TableStatus"],
        strong=described.get("MultiRegionConsistency") == "STRONG",
        replicas={one["RegionName"]: one["ReplicaStatus"] for one in described.get("Replicas", ())},
        witnesses={
            one["RegionName"]: one["WitnessStatus"] for one in described.get("GlobalTableWitnesses", ())
        },
    )


def copies(client: Any, bucket: str) -> LogCopies:
    try:
        with unknown_is_unavailable(f"bucket {bucket}"):
            described = client.get_bucket_replication(Bucket=bucket)["ReplicationConfiguration"]
    except ClientError as error:
        if code(error) != "ReplicationConfigurationNotFoundError":
            raise
        return LogCopies(enabled=False, destination="")
    rules = [rule for rule in described["Rules"] if rule["Status"] == "Enabled"]
    return LogCopies(bool(rules), rules[0]["Destination"]["Bucket"].rpartition(":")[2] if rules else "")


def comparison(client: Any, name: str) -> Comparison:
    with unknown_is_unavailable(f"function {name}"):
        answer = client.invoke(FunctionName=name, Payload=b"{}")
        said = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise Unavailable(f"function {name}: {said.get('errorType')}; its log says more")
    if "unknown" in said:
        raise Unavailable(str(said["unknown"]))
    return Comparison(
        ledgers={region: books(one) for region, one in said["ledgers"].items()},
        expected=tuple(said["expected"]),
    )


def books(said: Mapping[str, Any]) -> Books | Unknown:
    if "unknown" in said:
        return Unknown(str(said["unknown"]))
    applied = said["applied"]
    return Books(
        copy=said["copy"],
        epoch=said["epoch"],
        payments=said["payments"],
        digest=said["digest"],
        applied=None if applied is None else tuple(applied),
    )


def plan(client: Any, name: str) -> Evaluation:
    """As the region sees it: the list of its plans, and what it found when it last evaluated this one."""
    with unknown_is_unavailable("Region switch"):
        pages = client.get_paginator("list_plans_in_region").paginate()
        found = [one for page in pages for one in page["plans"] if one["name"] == name]
        if not found:
            return Evaluation("not there", (), None)
        evaluated = list(client.get_paginator("get_plan_evaluation_status").paginate(planArn=found[0]["arn"]))
    warnings = [one for page in evaluated for one in page.get("warnings", ())]
    return Evaluation(
        state=evaluated[0]["evaluationState"],
        warnings=tuple(
            f"{one.get('stepName') or 'plan'}: {one.get('warningMessage', 'no word')}"
            for one in warnings
            if one.get("warningStatus") != "resolved"
        ),
        execution=found[0].get("activePlanExecution"),
    )


def records(client: Any, settings: Settings) -> Records:
    """Of Route 53's control plane, which a failover does without."""
    names = settings.names
    hosts = {names.domain, names.host("primary"), names.host("secondary")}
    with unknown_is_unavailable("Route 53"):
        zone = settings.dns.hosted_zone_id or zone_of(client, names.domain)
        pages = client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
        sets = [one for page in pages for one in page["ResourceRecordSets"] if one["Type"] == "A"]
        failover = {
            one["Failover"]: _record(one) for one in sets if _name(one) == names.domain and "Failover" in one
        }
        regional = {_name(one): _record(one) for one in sets if _name(one) in hosts and "Failover" not in one}
        asked = [one.health_check for one in failover.values() if one.health_check is not None]
        check = client.get_health_check(HealthCheckId=asked[0])["HealthCheck"] if asked else None
    configured = check["HealthCheckConfig"] if check is not None else None
    return Records(
        failover=failover,
        regional=regional,
        check=(configured["FullyQualifiedDomainName"], configured["ResourcePath"]) if configured else None,
    )


def zone_of(client: Any, domain: str) -> str:
    answer = client.list_hosted_zones_by_name(DNSName=domain)
    for zone in answer["HostedZones"]:
        if zone["Name"].rstrip(".") == domain and not zone.get("Config", {}).get("PrivateZone"):
            return str(zone["Id"]).rpartition("/")[2]
    raise Unavailable(f"Route 53: there is no zone {domain}")


def _name(record: Mapping[str, Any]) -> str:
    return str(record["Name"]).rstrip(".")


def _record(record: Mapping[str, Any]) -> Record:
    target = record.get("AliasTarget", {}).get("DNSName", "")
    return Record(target.rstrip("."), record.get("HealthCheckId"))
