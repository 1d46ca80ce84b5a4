"""A global cluster in a template is two PostgreSQL servers, one streaming from the other, behind TLS."""

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

import boto3.session
import psycopg
import pytest

from lab import status
from lab.control import Control, ControlError
from lab.plan import LabPlan
from tests.integration.lab.clusters import MASTER, PRIMARY, SECONDARY, connect, is_replica, measured, readers
from tests.integration.lab.conftest import eventually
from tests.integration.lab.stacks import Region, StackError, cluster, global_cluster

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def primary(lab: LabPlan, aws: boto3.session.Session) -> Region:
    return Region(lab, aws, PRIMARY)


@pytest.fixture(scope="module")
def secondary(lab: LabPlan, aws: boto3.session.Session) -> Region:
    return Region(lab, aws, SECONDARY)


@pytest.fixture
def founded(primary: Region) -> Iterator[None]:
    """A global cluster with its first member."""
    primary.deploy("global", global_cluster("ledger"))
    primary.deploy("database", cluster("ledger-primary", "ledger", **MASTER))
    yield
    primary.remove("database")
    primary.remove("global")


@pytest.fixture
def replicated(founded: None, secondary: Region) -> Iterator[None]:
    secondary.deploy("database", cluster("ledger-secondary", "ledger"))
    yield
    secondary.remove("database")


def test_what_the_primary_commits_the_secondary_has(lab: LabPlan, replicated: None) -> None:
    with connect(lab, PRIMARY) as writer, readers(lab, SECONDARY) as reader:
        writer.execute("CREATE TABLE posted (id int PRIMARY KEY)")
        writer.execute("INSERT INTO posted VALUES (1)")
        exists = "SELECT to_regclass('posted') IS NOT NULL"
        eventually(lambda: reader.execute(exists).fetchone() == (True,))
        eventually(lambda: reader.execute("SELECT id FROM posted").fetchall() == [(1,)])
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.execute("INSERT INTO posted VALUES (2)")


def test_the_api_describes_the_servers_that_are_there(
    lab: LabPlan, replicated: None, primary: Region, secondary: Region
) -> None:
    members = primary.rds.describe_global_clusters()["GlobalClusters"][0]["GlobalClusterMembers"]
    writers = {member["DBClusterArn"].split(":")[3]: member["IsWriter"] for member in members}
    assert writers == {PRIMARY: True, SECONDARY: False}
    for name, region in ((PRIMARY, primary), (SECONDARY, secondary)):
        described = region.rds.describe_db_clusters()["DBClusters"][0]
        where = lab.regions[name]
        assert (described["Endpoint"], described["ReaderEndpoint"], described["Port"]) == (
            where.address,
            where.reader_address,
            where.postgres_port,
        )
        assert len(described["DBClusterMembers"]) == 1
        instance = region.rds.describe_db_instances()["DBInstances"][0]
        assert instance["Endpoint"]["Address"] == where.reader_address
        assert instance["Endpoint"]["Port"] == where.postgres_port


def test_a_stack_s_attributes_lead_to_both_endpoints(lab: LabPlan, primary: Region) -> None:
    primary.deploy("global", global_cluster("ledger"))
    made = primary.deploy("database", cluster("ledger-primary", "ledger", **MASTER))
    for host in (made["Address"], made["Readers"]):
        with connect(lab, PRIMARY, host=host, port=made["Port"]) as connection:
            assert not is_replica(connection)  # the writer is its own reader where there is no other
    assert made["Address"] != made["Readers"]
    primary.remove("database")
    primary.remove("global")


def test_a_replica_s_writer_endpoint_refuses_until_it_is_promoted(
    lab: LabPlan, replicated: None, primary: Region, secondary: Region
) -> None:
    with pytest.raises(psycopg.OperationalError, match="Connection refused"):
        connect(lab, SECONDARY)
    with readers(lab, SECONDARY) as connection:
        assert is_replica(connection)
    arn = secondary.rds.describe_db_clusters()["DBClusters"][0]["DBClusterArn"]
    primary.rds.remove_from_global_cluster(GlobalClusterIdentifier="ledger", DbClusterIdentifier=arn)
    for promoted in (connect(lab, SECONDARY), readers(lab, SECONDARY)):
        with promoted as connection:
            assert not is_replica(connection)


def test_a_writer_that_becomes_a_replica_closes_its_writer_endpoint(lab: LabPlan, replicated: None) -> None:
    control = Control(lab.control_socket)
    control.promote_database(SECONDARY)
    control.destroy_database(PRIMARY)
    control.replicate_database(PRIMARY, SECONDARY)
    control.set_instances(PRIMARY, 1)
    with pytest.raises(psycopg.OperationalError, match="Connection refused"):
        connect(lab, PRIMARY)
    with readers(lab, PRIMARY) as connection:
        assert is_replica(connection)
    control.destroy_database(PRIMARY)


def test_the_status_leads_to_the_databases_of_both_regions_in_any_role(
    lab: LabPlan, replicated: None
) -> None:
    for promoted in (False, True):
        if promoted:
            Control(lab.control_socket).promote_database(SECONDARY)
        for name, region in status.describe(lab)["regions"].items():
            with psycopg.connect(region["postgres_dsn"]) as connection:
                assert is_replica(connection) is (name == SECONDARY and not promoted)


def test_a_cluster_without_an_instance_does_not_answer(lab: LabPlan, founded: None, primary: Region) -> None:
    instance = primary.rds.describe_db_instances()["DBInstances"][0]["DBInstanceIdentifier"]
    with connect(lab, PRIMARY) as connection:
        primary.rds.delete_db_instance(DBInstanceIdentifier=instance, SkipFinalSnapshot=True)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    for endpoint in (connect, readers):
        with pytest.raises(psycopg.OperationalError, match="Connection refused"):
            endpoint(lab, PRIMARY)


def test_the_master_is_no_superuser(lab: LabPlan, founded: None) -> None:
    with connect(lab, PRIMARY) as connection:
        rights = (
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles WHERE rolname = user"
        )
        assert connection.execute(rights).fetchone() == (False, True, True, False)
        connection.execute("CREATE ROLE another LOGIN")
        connection.execute("DROP ROLE another")


def test_a_connection_in_the_clear_is_refused(lab: LabPlan, founded: None) -> None:
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        connect(lab, PRIMARY, sslmode="disable")


def test_a_certificate_of_another_authority_is_not_trusted(lab: LabPlan, founded: None) -> None:
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        connect(lab, PRIMARY, sslrootcert="system")


def test_a_front_door_speaks_tls_1_2_or_newer(lab: LabPlan) -> None:
    where = lab.regions[PRIMARY]
    context = ssl.create_default_context(cafile=lab.ca_file)
    with (
        socket.create_connection((where.address, where.front_door_port)) as plain,
        context.wrap_socket(plain, server_hostname=where.address) as secure,
    ):
        assert secure.version() in {"TLSv1.2", "TLSv1.3"}


def test_a_secondary_with_a_master_user_is_refused(founded: None, secondary: Region) -> None:
    with pytest.raises(StackError, match="Cannot specify user name for cross region replication cluster"):
        secondary.deploy(
            "refused", cluster("refused", "ledger", MasterUsername="m", MasterUserPassword="p" * 8)
        )
    secondary.remove("refused")


def test_a_secondary_of_another_version_is_refused(founded: None, secondary: Region) -> None:
    with pytest.raises(StackError, match="engineVersion should match setting for global cluster"):
        secondary.deploy("refused", cluster("refused", "ledger", EngineVersion="15.10"))
    secondary.remove("refused")


def test_a_secondary_before_the_primary_has_an_instance_is_refused(
    primary: Region, secondary: Region
) -> None:
    primary.deploy("global", global_cluster("ledger"))
    primary.deploy("database", cluster("ledger-primary", "ledger", instance=False, **MASTER))
    with pytest.raises(StackError, match="not valid for physical replication"):
        secondary.deploy("refused", cluster("refused", "ledger"))
    secondary.remove("refused")
    primary.remove("database")
    primary.remove("global")


def test_the_primary_cannot_go_while_a_secondary_follows_it(
    lab: LabPlan, replicated: None, primary: Region
) -> None:
    with pytest.raises(StackError, match="Cannot remove the writer DB cluster while reader members remain"):
        primary.remove("database")
    assert Control(lab.control_socket).status()["databases"][PRIMARY]["exists"]


def test_a_global_cluster_with_members_cannot_go(founded: None, primary: Region) -> None:
    with pytest.raises(StackError, match="still has member clusters"):
        primary.remove("global")


def test_a_protected_cluster_cannot_go(lab: LabPlan, primary: Region) -> None:
    primary.deploy("global", global_cluster("ledger"))
    primary.deploy("database", cluster("ledger-primary", "ledger", DeletionProtection=True, **MASTER))
    with pytest.raises(StackError, match="deletion protection"):
        primary.remove("database")
    primary.rds.modify_db_cluster(DBClusterIdentifier="ledger-primary", DeletionProtection=False)
    primary.remove("database")
    primary.remove("global")
    assert not Control(lab.control_socket).status()["databases"][PRIMARY]["exists"]


def test_a_base_backup_that_failed_can_be_tried_again(lab: LabPlan, founded: None, secondary: Region) -> None:
    control = Control(lab.control_socket)
    with pytest.raises(ControlError, match="has no database cluster"):
        control.replicate_database(SECONDARY, "us-west-2")
    control.set_instances(PRIMARY, 1)
    secondary.deploy("database", cluster("ledger-secondary", "ledger"))
    with pytest.raises(ControlError, match="still streams from"):
        control.destroy_database(PRIMARY)
    secondary.remove("database")
    secondary.deploy("database", cluster("ledger-secondary", "ledger"))
    secondary.remove("database")


def test_the_lag_is_measured_where_the_replica_is(
    primary: Region, secondary: Region, replicated: None
) -> None:
    began = datetime.now(UTC)
    eventually(lambda: measured(secondary, "AuroraGlobalDBReplicationLag", "ledger-secondary", began))
    assert measured(primary, "AuroraGlobalDBReplicationLag", "ledger-primary", began) == []
    eventually(lambda: measured(primary, "CPUUtilization", "ledger-primary"))
    assert measured(primary, "DatabaseConnections", "ledger-primary") != []


@pytest.mark.parametrize("crash", [False, True])
def test_a_stopped_database_comes_back_in_its_role_with_what_it_had(
    lab: LabPlan, replicated: None, crash: bool
) -> None:
    control = Control(lab.control_socket)
    with connect(lab, PRIMARY) as writer:
        writer.execute("CREATE TABLE kept (id int)")
        writer.execute("INSERT INTO kept VALUES (1)")
        for region in (PRIMARY, SECONDARY):
            control.stop_database(region, crash=crash)
            assert control.status()["databases"][region]["stopped"]
            with pytest.raises(psycopg.OperationalError, match="refused"):
                readers(lab, region)
            with pytest.raises(ControlError, match="is stopped"):
                control.promote_database(region)
            control.stop_database(region)
            control.start_database(region)
            control.start_database(region)
        with pytest.raises(psycopg.OperationalError):
            writer.execute("SELECT 1")
    with connect(lab, PRIMARY) as writer, readers(lab, SECONDARY) as reader:
        writer.execute("INSERT INTO kept VALUES (2)")
        assert is_replica(reader)
        eventually(lambda: reader.execute("SELECT id FROM kept ORDER BY id").fetchall() == [(1,), (2,)])
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connect(lab, SECONDARY)


def test_connections_are_cut_and_what_was_committed_stays(lab: LabPlan, founded: None) -> None:
    with connect(lab, PRIMARY) as cut, readers(lab, PRIMARY) as too:
        cut.execute("CREATE TABLE committed AS SELECT 1 AS id")
        assert Control(lab.control_socket).cut_connections(PRIMARY) == 2
        for connection in (cut, too):
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
    with connect(lab, PRIMARY) as again:
        assert again.execute("SELECT id FROM committed").fetchall() == [(1,)]
