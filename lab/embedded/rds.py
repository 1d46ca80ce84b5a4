"""AWS::RDS::GlobalCluster, DBCluster and DBInstance: CloudFormation's view of `lab.embedded.aurora`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ministack.core import iam_actions
from ministack.services import rds
from ministack.services.cloudformation import provisioners

from lab.control import Control
from lab.embedded import rds_features, rds_logs, rds_parameters
from lab.embedded.aurora import Aurora, Endpoints
from lab.embedded.global_writer import GlobalWriter
from lab.embedded.handlers import Created, Handler, Handlers, Properties, ResourceError, checked
from lab.plan import PLAN_VARIABLE, LabPlan, read_plan, restored

# Where the API's name is another than CloudFormation's.
_API_NAMES = {"VPCSecurityGroups": "VpcSecurityGroupIds"}
_LONGEST_NAME = 63
_GLOBAL, _CLUSTER, _INSTANCE = "AWS::RDS::GlobalCluster", "AWS::RDS::DBCluster", "AWS::RDS::DBInstance"


def register(handlers: Handlers) -> None:
    plan = read_plan(Path(os.environ[PLAN_VARIABLE]))
    control = Control(plan.control_socket)
    install(handlers, Aurora(control, _endpoints(plan)))
    rds._ACTION_MAP.update(GlobalWriter(control, plan.scaled(plan.rejoin_seconds)).actions())
    rds_features.install()
    rds_parameters.install(control)
    rds_logs.install(plan)


def install(handlers: Handlers, aurora: Aurora) -> None:
    rds._get_docker = lambda: None  # the lab's own servers stand behind a cluster, never a container
    rds._ACTION_MAP.update(aurora.actions())
    rds._sync_cluster_endpoints = aurora.publish
    iam_actions.extract_resource_arn = _naming_global_clusters(iam_actions.extract_resource_arn)
    types = Types(aurora)
    handlers[_GLOBAL] = {
        "create": types.create_global,
        "update": types.update_global,
        "update_with_logical_id": True,
        "delete": types.delete_global,
    }
    handlers[_CLUSTER] = {
        **handlers[_CLUSTER],
        "create": types.create_cluster,
        "update": types.update_cluster,
        "delete": types.delete_cluster,
    }
    handlers[_INSTANCE] = {
        **handlers[_INSTANCE],
        "create": types.create_instance,
        "update": _updates_instance(handlers[_INSTANCE], types),
        "delete": types.delete_instance,
    }


class Types:
    def __init__(self, aurora: Aurora) -> None:
        self._aurora = aurora

    def create_global(self, logical_id: str, properties: Properties, stack_name: str) -> Created:
        name = _name(properties, "GlobalClusterIdentifier", stack_name, logical_id)
        if source := properties.get("SourceDBClusterIdentifier"):
            properties = {**properties, "SourceDBClusterIdentifier": str(source).rpartition(":")[2]}
        checked(rds._create_global_cluster(_query({**properties, "GlobalClusterIdentifier": name})))
        return name, {}

    def update_global(
        self, physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str
    ) -> Created:
        if _replaces(_GLOBAL, old, new):
            return _replace(
                self.create_global, self.delete_global, physical_id, old, new, stack_name, logical_id
            )
        changed = _changes(old, new, "DeletionProtection", "EngineVersion")
        if changed:
            checked(rds._modify_global_cluster(_query({**changed, "GlobalClusterIdentifier": physical_id})))
        return physical_id, {}

    def delete_global(self, physical_id: str, _properties: Properties) -> None:
        if physical_id in rds._global_clusters:
            checked(rds._delete_global_cluster({"GlobalClusterIdentifier": physical_id}))

    def create_cluster(self, logical_id: str, properties: Properties, stack_name: str) -> Created:
        name = _name(properties, "DBClusterIdentifier", stack_name, logical_id)
        checked(self._aurora.create_cluster(_query({**properties, "DBClusterIdentifier": name})))
        return name, _cluster_attributes(name)

    def update_cluster(
        self, physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str
    ) -> Created:
        if _replaces(_CLUSTER, old, new):
            return _replace(
                self.create_cluster, self.delete_cluster, physical_id, old, new, stack_name, logical_id
            )
        before, after = old.get("GlobalClusterIdentifier"), new.get("GlobalClusterIdentifier")
        if before and not after:
            self._leave_global(physical_id)
        elif before != after:
            raise ResourceError("An existing cluster cannot be moved into another global cluster")
        changed = {name: value for name, value in new.items() if old.get(name) != value}
        changed.pop("GlobalClusterIdentifier", None)
        if changed:
            checked(self._aurora.modify_cluster(_query({**changed, "DBClusterIdentifier": physical_id})))
            arn = rds._clusters[physical_id]["DBClusterArn"]
            provisioners._rds_sync_tags(arn, old, new, _CLUSTER)
        return physical_id, _cluster_attributes(physical_id)

    def delete_cluster(self, physical_id: str, _properties: Properties) -> None:
        """CloudFormation takes a member out of its global cluster before it deletes it."""
        cluster = rds._clusters.get(physical_id)
        if cluster is None:
            return
        if cluster["DeletionProtection"]:
            raise ResourceError(
                "Cannot delete protected Cluster, please disable deletion protection and try again."
            )
        if cluster.get("GlobalClusterIdentifier"):
            self._leave_global(physical_id)
        checked(
            self._aurora.delete_cluster({"DBClusterIdentifier": physical_id, "SkipFinalSnapshot": "true"})
        )

    def create_instance(self, logical_id: str, properties: Properties, stack_name: str) -> Created:
        name = _name(properties, "DBInstanceIdentifier", stack_name, logical_id)
        checked(self._aurora.create_instance(_query({**properties, "DBInstanceIdentifier": name})))
        return name, provisioners._rds_db_instance_attrs(rds._instances[name])

    def delete_instance(self, physical_id: str, _properties: Properties) -> None:
        if physical_id in rds._instances:
            query = {"DBInstanceIdentifier": physical_id, "SkipFinalSnapshot": "true"}
            checked(self._aurora.delete_instance(query))

    def _leave_global(self, cluster_id: str) -> None:
        cluster = rds._clusters[cluster_id]
        query = {
            "GlobalClusterIdentifier": cluster["GlobalClusterIdentifier"],
            "DbClusterIdentifier": cluster["DBClusterArn"],
        }
        checked(self._aurora.remove_from_global_cluster(query))


def _naming_global_clusters(inherited: Callable[..., str]) -> Callable[..., str]:
    """What a request is checked against: MiniStack knows instances and clusters, and takes the rest for `*`,
    which no grant on a global cluster covers. Its ARN names no region.
    """

    def resource_arn(service: str, *request: Any) -> str:
        found = inherited(service, *request)
        *_, parameters, _region, account_id = request
        name = iam_actions._query_param(parameters, "GlobalClusterIdentifier") if service == "rds" else None
        return f"arn:aws:rds::{account_id}:global-cluster:{name}" if name and found == "*" else found

    return resource_arn


def _updates_instance(inherited: Handler, types: Types) -> Callable[..., Any]:
    """MiniStack's own update in place; a replacement goes through our create and delete."""

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str) -> Any:
        if _replaces(_INSTANCE, old, new):
            return _replace(
                types.create_instance, types.delete_instance, physical_id, old, new, stack_name, logical_id
            )
        refusal = rds_features.instance_refusal(_query(new))
        checked(refusal or (200, {}, b""))
        endpoint = dict(rds._instances[physical_id]["Endpoint"])
        updated = inherited["update"](physical_id, old, new, stack_name, logical_id)
        rds._instances[physical_id]["Endpoint"] = endpoint
        rds_features.note_instance(rds._instances[physical_id], _query(new))
        return updated

    return update


def _replaces(type_name: str, old: Properties, new: Properties) -> bool:
    return bool(provisioners._requires_replacement(type_name, old, new))


def _replace(
    create: Callable[[str, Properties, str], Created],
    delete: Callable[[str, Properties], None],
    physical_id: str,
    old: Properties,
    new: Properties,
    stack_name: str,
    logical_id: str,
) -> Created:
    created: Created = provisioners._seeded_create(create, logical_id, new, stack_name)
    provisioners._delete_predecessor(delete, physical_id, old)
    return created


def _name(properties: Properties, key: str, stack_name: str, logical_id: str) -> str:
    """RDS keeps identifiers in lower case."""
    given = properties.get(key)
    return (
        str(given).lower()
        if given
        else str(provisioners._physical_name(stack_name, logical_id, lowercase=True, max_len=_LONGEST_NAME))
    )


def _query(properties: Properties) -> dict[str, str]:
    """Parameters as the query protocol has them."""
    query: dict[str, str] = provisioners._ec_query(properties, _API_NAMES)
    return query


def _changes(old: Properties, new: Properties, *names: str) -> Properties:
    return {name: new[name] for name in names if name in new and old.get(name) != new[name]}


def _cluster_attributes(name: str) -> dict[str, Any]:
    attributes: dict[str, Any] = provisioners._rds_db_cluster_attrs(rds._clusters[name])
    return attributes


def _endpoints(plan: LabPlan) -> Callable[[str], Endpoints]:
    def endpoints(region: str) -> Endpoints:
        beside = {restored(where.name): where for where in plan.data_regions}
        if where := beside.get(region):
            return Endpoints(writer=where.address, reader=where.reader_address, port=where.restored_port)
        try:
            where = plan.regions[region]
        except KeyError:
            raise ResourceError(f"The lab has no databases in {region}") from None
        return Endpoints(writer=where.address, reader=where.reader_address, port=where.postgres_port)

    return endpoints
