"""What Aurora's API does to real databases: the actions of RDS that create, join, leave and remove them.

MiniStack keeps the records; each action here first refuses what AWS refuses, then lets MiniStack do its
part, then does it to PostgreSQL through the lab's supervisor. If that fails, the record is taken back.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ministack.core.responses import get_region
from ministack.services import rds

from lab.control import ControlError
from lab.embedded import cluster_snapshots, rds_features, rds_parameters
from lab.embedded.global_writer import under_way
from lab.embedded.handlers import Response
from lab.embedded.rds_parameters import DATABASE, database_of
from lab.plan import restored
from lab.postgres import Master

Parameters = dict[str, Any]
Action = Callable[[Parameters], Response]
Record = dict[str, Any]


class DatabaseControl(Protocol):
    """The supervisor's side, `lab.control.Control`. One cluster per region, and one restored beside it."""

    def found_database(self, region: str, master: Master) -> None: ...
    def replicate_database(self, region: str, source: str) -> None: ...
    def promote_database(self, region: str) -> None: ...
    def destroy_database(self, region: str) -> None: ...
    def set_instances(self, region: str, count: int) -> None: ...
    def set_password(self, region: str, username: str, password: str) -> None: ...
    def set_parameters(self, region: str, values: dict[str, str]) -> None: ...
    def restore_backup(self, region: str, name: str) -> None: ...
    def copy_backup(self, name: str, copy: str) -> None: ...
    def delete_backup(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a region's cluster is: two addresses and, as on AWS, one port."""

    writer: str
    reader: str
    port: int


class Aurora:
    """`endpoints` says where the TLS endpoints of a region's cluster are."""

    def __init__(self, databases: DatabaseControl, endpoints: Callable[[str], Endpoints]) -> None:
        self._databases = databases
        self._endpoints = endpoints
        self._snapshots = cluster_snapshots.Snapshots(databases)
        self._change = threading.RLock()  # requests run on threads; databases change one at a time

    def actions(self) -> dict[str, Action]:
        return {
            "CreateDBCluster": self.create_cluster,
            "ModifyDBCluster": self.modify_cluster,
            "DeleteDBCluster": self.delete_cluster,
            "RestoreDBClusterFromSnapshot": self.restore_cluster,
            **self._snapshots.actions(),
            "CreateDBInstance": self.create_instance,
            "DeleteDBInstance": self.delete_instance,
            "RemoveFromGlobalCluster": self.remove_from_global_cluster,
        }

    def create_cluster(self, parameters: Parameters) -> Response:
        """The first member of a global cluster founds it, the next streams from the writer."""
        with self._change:
            writer = _global_writer(parameters)
            if (
                refusal := _changing(parameters)
                or _refusal(parameters, writer)
                or rds_features.cluster_refusal(parameters)
            ):
                return refusal
            response: Response = rds._create_db_cluster(parameters)
            if response[0] >= 400:
                return response
            identifier = rds._p(parameters, "DBClusterIdentifier")
            cluster: Record = rds._clusters[identifier]
            self.publish(cluster)
            rds_features.note_cluster(cluster, parameters)
            try:
                if writer is None:
                    self._databases.found_database(get_region(), _master(cluster))
                else:
                    self._databases.replicate_database(get_region(), _region_of(writer))
            except ControlError as error:
                _forget(cluster)
                return _failed(error)
            try:
                rds_parameters.apply(cluster, self._databases)
            except ControlError as error:
                self._databases.destroy_database(get_region())
                _forget(cluster)
                return _failed(error)
            return _cluster_response("CreateDBCluster", cluster)

    def modify_cluster(self, parameters: Parameters) -> Response:
        with self._change:
            if refusal := _changing(parameters):
                return refusal
            response: Response = rds._modify_db_cluster(parameters)
            cluster: Record | None = rds._clusters.get(rds._p(parameters, "DBClusterIdentifier"))
            if response[0] >= 400 or cluster is None:
                return response
            self.publish(cluster)
            rds_features.note_cluster(cluster, parameters)
            try:
                rds_parameters.apply(cluster, self._databases)
            except ControlError as error:
                return _failed(error)
            if password := rds._p(parameters, "MasterUserPassword"):
                try:
                    self._databases.set_password(database_of(cluster), cluster["MasterUsername"], password)
                except ControlError as error:
                    return _failed(error)
            return _cluster_response("ModifyDBCluster", cluster)

    def delete_cluster(self, parameters: Parameters) -> Response:
        with self._change:
            cluster: Record = rds._clusters.get(rds._p(parameters, "DBClusterIdentifier")) or {}
            response: Response = rds._delete_db_cluster(parameters)
            if response[0] < 400:
                try:
                    self._databases.destroy_database(database_of(cluster))
                    self._snapshots.follow(cluster)
                except ControlError as error:
                    return _failed(error)
            return response

    def restore_cluster(self, parameters: Parameters) -> Response:
        """A snapshot's data in a cluster of its own, the second one of its region."""
        with self._change:
            snapshot, refusal = self._snapshots.restorable(parameters)
            if refusal or (refusal := rds_features.cluster_refusal(parameters)):
                return refusal
            database = restored(get_region())
            if any(one.get(DATABASE) == database for one in rds._clusters.values()):
                return _refused(
                    "DBClusterQuotaExceededFault", "The lab has one restored cluster in a region at a time."
                )
            response: Response = rds._create_db_cluster(cluster_snapshots.of_cluster(snapshot, parameters))
            if response[0] >= 400:
                return response
            cluster: Record = rds._clusters[rds._p(parameters, "DBClusterIdentifier")]
            cluster[DATABASE] = database
            self.publish(cluster)
            rds_features.note_cluster(cluster, parameters)
            try:
                self._databases.restore_backup(get_region(), snapshot[cluster_snapshots.BACKUP])
            except ControlError as error:
                _forget(cluster)
                return _failed(error)
            return _cluster_response("RestoreDBClusterFromSnapshot", cluster)

    def create_instance(self, parameters: Parameters) -> Response:
        with self._change:
            if refusal := rds_features.instance_refusal(parameters):
                return refusal
            response: Response = rds._create_db_instance(parameters)
            instance: Record | None = rds._instances.get(rds._p(parameters, "DBInstanceIdentifier"))
            cluster: Record | None = rds._clusters.get(rds._p(parameters, "DBClusterIdentifier"))
            if response[0] < 400 and instance is not None and cluster is not None:
                rds_features.note_instance(instance, parameters)
                try:
                    rds_parameters.apply(cluster, self._databases)
                except ControlError as error:
                    return _failed(error)
            return self._count_instances(rds._p(parameters, "DBClusterIdentifier"), response)

    def delete_instance(self, parameters: Parameters) -> Response:
        with self._change:
            instance: Record = rds._instances.get(rds._p(parameters, "DBInstanceIdentifier")) or {}
            response: Response = rds._delete_db_instance(parameters)
            return self._count_instances(instance.get("DBClusterIdentifier"), response)

    def remove_from_global_cluster(self, parameters: Parameters) -> Response:
        """A secondary that leaves becomes a cluster of its own and takes writes."""
        with self._change:
            if refusal := _changing(parameters):
                return refusal
            cluster: Record | None = rds._resolve_cluster(rds._p(parameters, "DbClusterIdentifier"))
            writer = _global_writer(parameters)
            response: Response = rds._remove_from_global_cluster(parameters)
            if response[0] < 400 and cluster is not None and cluster is not writer:
                try:
                    self._databases.promote_database(_region_of(cluster))
                except ControlError as error:
                    return _failed(error)
            return response

    def _count_instances(self, cluster_id: str | None, response: Response) -> Response:
        cluster: Record | None = rds._clusters.get(cluster_id) if cluster_id else None
        if response[0] < 400 and cluster is not None:
            try:
                self._databases.set_instances(database_of(cluster), len(cluster["DBClusterMembers"]))
            except ControlError as error:
                return _failed(error)
        return response

    def publish(self, cluster: Record) -> None:
        """Writes the endpoints into the record, whatever MiniStack would have them be.

        The shared endpoint is what it gives each instance as its own: one that answers in either role.
        """
        where = self._endpoints(str(cluster.get(DATABASE) or _region_of(cluster)))
        shared = {"Address": where.reader, "Port": where.port, "HostedZoneId": cluster["HostedZoneId"]}
        cluster.update(
            Endpoint=where.writer, ReaderEndpoint=where.reader, Port=where.port, _shared_endpoint=shared
        )


def _refusal(parameters: Parameters, writer: Record | None) -> Response | None:
    """What AWS says to a cluster that cannot be, and MiniStack does not."""

    def given(name: str) -> bool:
        return bool(rds._p(parameters, name))

    if writer is None:
        if given("MasterUsername"):
            return None
        return _refused(
            "InvalidParameterValue", "The parameter MasterUsername must be provided and must not be blank."
        )
    if given("MasterUsername") or given("MasterUserPassword"):
        return _refused(
            "InvalidParameterCombination", "Cannot specify user name for cross region replication cluster"
        )
    if given("DatabaseName"):
        return _refused(
            "InvalidParameterCombination", "Cannot specify database name for cross region replication cluster"
        )
    if writer["StorageEncrypted"] and not given("KmsKeyId"):
        return _refused(
            "InvalidParameterCombination",
            "For encrypted cross-region replica, kmsKeyId should be explicitly specified",
        )
    if not writer["DBClusterMembers"]:
        return _refused(
            "InvalidDBClusterStateFault",
            f"Source cluster: {writer['DBClusterArn']} is in a state which is not valid for "
            "physical replication",
        )
    return None


def _changing(parameters: Parameters) -> Response | None:
    """Neither a global cluster nor its members are changed while another becomes the writer."""
    cluster = rds._clusters.get(rds._p(parameters, "DBClusterIdentifier")) or {}
    name = rds._p(parameters, "GlobalClusterIdentifier") or cluster.get("GlobalClusterIdentifier")
    return under_way(rds._global_clusters.get(name)) if name else None


def _global_writer(parameters: Parameters) -> Record | None:
    global_cluster = rds._resolve_global_cluster(rds._p(parameters, "GlobalClusterIdentifier"))
    if global_cluster is None:
        return None
    writer: Record | None = rds._global_cluster_writer_cluster(global_cluster)
    return writer


def _master(cluster: Record) -> Master:
    return Master(
        username=cluster["MasterUsername"],
        password=cluster["_MasterUserPassword"],
        database=cluster.get("DatabaseName") or None,
    )


def _region_of(cluster: Record) -> str:
    return str(cluster["DBClusterArn"]).split(":")[3]


def _forget(cluster: Record) -> None:
    """As if it had not been created: it is nobody's member any more, then gone."""
    if global_id := cluster.get("GlobalClusterIdentifier"):
        members = {"GlobalClusterIdentifier": global_id, "DbClusterIdentifier": cluster["DBClusterArn"]}
        rds._remove_from_global_cluster(members)
    rds._clusters.pop(cluster["DBClusterIdentifier"], None)
    rds._tags.pop(cluster["DBClusterArn"], None)


def _cluster_response(action: str, cluster: Record) -> Response:
    inner = f"<{action}Result><DBCluster>{rds._cluster_xml(cluster)}</DBCluster></{action}Result>"
    response: Response = rds._xml(200, f"{action}Response", inner)
    return response


def _refused(code: str, message: str) -> Response:
    response: Response = rds._error(code, message, 400)
    return response


def _failed(error: ControlError) -> Response:
    response: Response = rds._error("InternalFailure", rds._esc(str(error)), 500)
    return response
