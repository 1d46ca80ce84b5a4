"""What two regions need between them before either can take over: by its effect where it has one."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.system.comparison import only
from tests.integration.system.deployment import Client, System, eventually
from tests.integration.system.stacks import Stack

_ZONES = "ABC"


@pytest.fixture(params=["primary", "secondary"])
def region(request: pytest.FixtureRequest, system: System) -> str:
    name: str = system.plan.region_at(request.param).name
    return name


def _physical(system: System, region: str, kind: str) -> dict[str, str]:
    return {name: physical_id for name, (_, physical_id) in Stack(system, region, kind).listed.items()}


def _outputs(system: System, region: str, kind: str) -> dict[str, str]:
    return {one["OutputKey"]: one["OutputValue"] for one in system.stacks(region)[kind]["Outputs"]}


def _peer(system: System, region: str) -> str:
    peer: str = only([one for one in system.regions if one != region])
    return peer


def _routes(system: System, region: str, table_id: str) -> dict[str, dict[str, Any]]:
    """Active ones, by destination."""
    tables = system.aws("ec2", region).describe_route_tables(RouteTableIds=[table_id])["RouteTables"]
    routes = only(tables)["Routes"]
    return {one.get("DestinationCidrBlock", ""): one for one in routes if one["State"] == "active"}


def _subnets(system: System, region: str, which: str) -> dict[str, dict[str, Any]]:
    """`Private` or `Public` ones by letter, each with the route table it is associated with."""
    foundation = _physical(system, region, "foundation")
    ids = {letter: foundation[f"{which}Subnet{letter}"] for letter in _ZONES}
    ec2 = system.aws("ec2", region)
    described = {
        one["SubnetId"]: one for one in ec2.describe_subnets(SubnetIds=list(ids.values()))["Subnets"]
    }
    tables = {
        association["SubnetId"]: table["RouteTableId"]
        for table in ec2.describe_route_tables()["RouteTables"]
        for association in table["Associations"]
        if "SubnetId" in association
    }
    return {letter: described[one] | {"RouteTableId": tables[one]} for letter, one in ids.items()}


# --- networks ---------------------------------------------------------------------------------------------


def test_the_networks_are_peered_and_every_private_subnet_has_a_route_to_the_other(
    system: System, region: str
) -> None:
    ec2, peer = system.aws("ec2", region), _peer(system, region)
    connections = ec2.describe_vpc_peering_connections()["VpcPeeringConnections"]
    connection = only([one for one in connections if one["Status"]["Code"] == "active"])
    sides = {
        side["Region"]: side["VpcId"]
        for side in (connection["RequesterVpcInfo"], connection["AccepterVpcInfo"])
    }
    assert sides == {one: _physical(system, one, "foundation")["Vpc"] for one in system.regions}

    cidrs = {
        one: only(system.aws("ec2", one).describe_vpcs(VpcIds=[sides[one]])["Vpcs"])["CidrBlock"]
        for one in system.regions
    }
    assert len(set(cidrs.values())) == 2
    for subnet in _subnets(system, region, "Private").values():
        route = _routes(system, region, subnet["RouteTableId"])[cidrs[peer]]
        assert route["VpcPeeringConnectionId"] == connection["VpcPeeringConnectionId"]


def test_every_zone_leaves_by_a_nat_gateway_of_its_own(system: System, region: str) -> None:
    private, public = (_subnets(system, region, which) for which in ("Private", "Public"))
    by_subnet = {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in public.values()}
    assert len({subnet["AvailabilityZone"] for subnet in private.values()}) == len(_ZONES)

    addresses = set()
    for subnet in private.values():
        gateway_id = _routes(system, region, subnet["RouteTableId"])["0.0.0.0/0"]["NatGatewayId"]
        described = system.aws("ec2", region).describe_nat_gateways(NatGatewayIds=[gateway_id])
        gateway = only(described["NatGateways"])
        assert gateway["State"] == "available"
        assert by_subnet[gateway["SubnetId"]] == subnet["AvailabilityZone"]
        addresses.add(only(gateway["NatGatewayAddresses"])["PublicIp"])
    assert len(addresses) == len(_ZONES)
    for subnet in public.values():
        assert _routes(system, region, subnet["RouteTableId"])["0.0.0.0/0"]["GatewayId"].startswith("igw-")


def test_functions_run_in_the_private_subnets_of_every_zone(system: System, region: str) -> None:
    group = _outputs(system, region, "data")["ApplicationSecurityGroupId"]
    private = {subnet["SubnetId"] for subnet in _subnets(system, region, "Private").values()}
    service = _physical(system, region, "service")
    for name in ("ApiFunction", "MigrateFunction"):
        function = system.aws("lambda", region).get_function_configuration(FunctionName=service[name])
        network = function["VpcConfig"]
        assert network["VpcId"] == _physical(system, region, "foundation")["Vpc"]
        assert set(network["SubnetIds"]) == private
        assert network["SecurityGroupIds"] == [group]


# --- data -------------------------------------------------------------------------------------------------


def test_one_global_database_has_its_writer_in_the_primary_and_a_reader_in_either_region(
    system: System,
) -> None:
    """That it streams is in `test_payment.py`."""
    rds = system.aws("rds", system.primary)
    members = only(rds.describe_global_clusters()["GlobalClusters"])["GlobalClusterMembers"]
    by_region = {member["DBClusterArn"].split(":")[3]: member for member in members}
    writer, reader = by_region[system.primary], by_region[system.secondary]

    assert len(members) == 2
    assert (writer["IsWriter"], reader["IsWriter"]) == (True, False)
    assert writer["Readers"] == [reader["DBClusterArn"]]
    for region in system.regions:
        name = by_region[region]["DBClusterArn"].rpartition(":")[2]
        described = system.aws("rds", region).describe_db_clusters(DBClusterIdentifier=name)
        instances = only(described["DBClusters"])["DBClusterMembers"]
        assert len([one for one in instances if not one["IsClusterWriter"]]) >= 1


@pytest.mark.parametrize("table", ["sessions", "journal", "control", "directory"])
def test_what_is_written_in_one_region_is_read_in_the_other(system: System, region: str, table: str) -> None:
    """A session by way of the API is in `test_payment.py`."""
    name = _outputs(system, system.primary, "root")[f"{table.capitalize()}TableName"]
    here, there = (system.aws("dynamodb", one) for one in (region, _peer(system, region)))
    key = here.describe_table(TableName=name)["Table"]["KeySchema"][0]["AttributeName"]
    item = {key: {"S": f"test-{secrets.token_hex(8)}"}, "note": {"S": region}}

    here.put_item(TableName=name, Item=item)
    try:
        found = eventually(
            lambda: there.get_item(TableName=name, Key={key: item[key]}).get("Item"),
            f"{item} in the other region",
        )
        assert found.items() >= item.items()
    finally:
        here.delete_item(TableName=name, Key={key: item[key]})


def test_an_object_is_copied_to_the_bucket_of_the_other_region_under_the_key_there(
    system: System, region: str
) -> None:
    peer = _peer(system, region)
    source = _physical(system, region, "data")["TransactionsBucket"]
    target = _physical(system, peer, "foundation")["ReceivedBucket"]
    key, body = f"test/{secrets.token_hex(8)}", secrets.token_bytes(64)
    here, there = system.aws("s3", region), system.aws("s3", peer)
    here.put_object(Bucket=source, Key=key, Body=body)

    def copied() -> dict[str, Any] | None:
        listed: list[dict[str, Any]] = there.list_object_versions(Bucket=target, Prefix=key).get(
            "Versions", []
        )
        return listed[0] if listed else None

    eventually(copied, f"{key} in {target}")

    copy = there.get_object(Bucket=target, Key=key)
    assert copy["Body"].read() == body
    assert copy["ReplicationStatus"] == "REPLICA"
    assert here.head_object(Bucket=source, Key=key)["ReplicationStatus"] == "COMPLETED"
    used = system.aws("kms", peer).describe_key(KeyId=copy["SSEKMSKeyId"])["KeyMetadata"]
    assert used["Arn"] == _outputs(system, peer, "foundation")["KeyArn"]


@pytest.mark.parametrize("user", ["master", "migrator", "application"])
def test_a_secret_is_read_in_both_regions_with_the_same_value(system: System, user: str) -> None:
    stack = Stack(system, system.primary, "root")
    names = [
        resource.properties["Name"] for resource in stack.resources() if resource.type.endswith("::Secret")
    ]
    name = only([one for one in names if one.endswith(f"/{user}")])
    values = {
        system.aws("secretsmanager", region).get_secret_value(SecretId=name)["SecretString"]
        for region in system.regions
    }
    value = json.loads(only(sorted(values)))
    assert value["username"] == f"ledger_{user}"
    assert len(value["password"]) >= 32


def test_the_key_is_enabled_and_usable_and_the_other_region_s_is_another(system: System, region: str) -> None:
    peer, text = _peer(system, region), secrets.token_bytes(32)
    alias = _physical(system, region, "foundation")["DataKeyAlias"]
    kms = system.aws("kms", region)
    key = kms.describe_key(KeyId=alias)["KeyMetadata"]
    other = system.aws("kms", peer).describe_key(KeyId=_physical(system, peer, "foundation")["DataKeyAlias"])

    assert (key["KeyState"], key["KeyUsage"]) == ("Enabled", "ENCRYPT_DECRYPT")
    sealed = kms.encrypt(KeyId=alias, Plaintext=text)
    assert sealed["KeyId"] == key["Arn"]
    assert text not in sealed["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"])["Plaintext"] == text
    assert other["KeyMetadata"]["KeyId"] != key["KeyId"]


# --- requests ---------------------------------------------------------------------------------------------


def test_the_api_answers_in_its_region_under_its_own_name(system: System, region: str) -> None:
    """Verified by its certificate; that only the active one is healthy is in `test_payment.py`."""
    place = "primary" if region == system.primary else "secondary"
    with Client(system, region) as client:
        for host in (system.plan.domain, f"{place}.{system.plan.domain}"):
            answer = client.http.get(f"{client.api}/health", headers={"Host": host}, timeout=30)
            assert answer.json()["status"] == ("ok" if place == "primary" else "unavailable")
            unknown = client.http.get(f"{client.api}/payments/nothing", headers={"Host": host}, timeout=30)
            assert unknown.status_code == 401


def test_a_health_check_watches_the_primary_and_the_secondary_takes_what_it_does_not(system: System) -> None:
    service = _physical(system, system.primary, "service")
    route53 = system.aws("route53", system.primary)
    check = route53.get_health_check(HealthCheckId=service["HealthCheck"])["HealthCheck"]
    watched = check["HealthCheckConfig"]
    assert (watched["Type"], watched["Port"], watched["ResourcePath"]) == ("HTTPS", 443, "/health")
    assert (watched["RequestInterval"], watched["FailureThreshold"]) == (10, 3)
    assert watched["FullyQualifiedDomainName"] == f"primary.{system.plan.domain}"

    zone = _outputs(system, system.primary, "zone")["HostedZoneId"]
    records = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    failover = {
        one["Failover"]: one.get("HealthCheckId")
        for one in records
        if one["Name"] == f"{system.plan.domain}." and one["Type"] == "A"
    }
    assert failover == {"PRIMARY": service["HealthCheck"], "SECONDARY": None}


# --- alarms -----------------------------------------------------------------------------------------------


def _alarms(system: System, region: str) -> list[dict[str, Any]]:
    pages = system.aws("cloudwatch", region).get_paginator("describe_alarms").paginate()
    return [alarm for page in pages for alarm in page["MetricAlarms"]]


def test_every_alarm_tells_the_topic_of_its_own_region(system: System, region: str) -> None:
    topic = _physical(system, region, "service")["AlertTopic"]
    alarms = _alarms(system, region)
    assert len(alarms) >= 20
    assert topic.split(":")[3] == region
    for alarm in alarms:
        assert alarm["ActionsEnabled"]
        assert alarm["AlarmArn"].split(":")[3] == region
        assert (alarm["AlarmActions"], alarm["OKActions"]) == ([topic], [topic]), alarm["AlarmName"]


def test_the_topic_is_encrypted_with_the_key_of_its_region_and_has_subscribers(
    system: System, region: str
) -> None:
    sns, topic = system.aws("sns", region), _physical(system, region, "service")["AlertTopic"]
    key = sns.get_topic_attributes(TopicArn=topic)["Attributes"]["KmsMasterKeyId"]
    assert key == _outputs(system, region, "foundation")["KeyArn"]
    subscriptions = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert "email" in {one["Protocol"] for one in subscriptions}


@pytest.fixture
def inbox(system: System, region: str) -> Iterator[str]:
    """The URL of a queue that gets what the region's alerts say, as long as the test runs."""
    sns, sqs = (system.aws(service, region) for service in ("sns", "sqs"))
    topic = _physical(system, region, "service")["AlertTopic"]
    name = f"test-alerts-{secrets.token_hex(4)}"
    url: str = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = f"arn:aws:sqs:{region}:{system.plan.account_id}:{name}"
    admitted = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [admitted]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
    yield url
    sns.unsubscribe(SubscriptionArn=subscription)
    sqs.delete_queue(QueueUrl=url)


def test_an_alarm_that_goes_off_reaches_the_topic_and_its_subscribers(
    system: System, region: str, inbox: str
) -> None:
    cloudwatch, sqs = (system.aws(service, region) for service in ("cloudwatch", "sqs"))
    name = _physical(system, region, "service")["LedgerUnreachableAlarm"]

    def told(state: str) -> bool | None:
        answer = sqs.receive_message(QueueUrl=inbox, MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            alert = json.loads(json.loads(message["Body"])["Message"])
            if (alert["AlarmName"], alert["NewStateValue"]) == (name, state):
                return True
        return None

    for state in ("ALARM", "OK"):
        cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")
        eventually(lambda state=state: told(state), f"{name} says {state}")  # type: ignore[misc]
