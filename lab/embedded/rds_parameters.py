"""Parameter groups that take effect: what PostgreSQL knows and can change while it runs is set on the server.

https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_WorkingWithParamGroups.html: an instance's
group is above its cluster's. Names of Aurora's own (`rds.force_ssl`, which the endpoint honours) and static
parameters, which wait for a restart, are described only.
"""

from collections.abc import Callable
from typing import Any, Protocol

from ministack.core.responses import get_region
from ministack.services import rds

from lab.control import ControlError
from lab.embedded.handlers import Response

Record = dict[str, Any]
DATABASE = "_database"  # of a cluster's record, where it is not the region's own
_ACTIONS = {
    "ModifyDBParameterGroup": "_modify_param_group",
    "ResetDBParameterGroup": "_reset_param_group",
    "ModifyDBClusterParameterGroup": "_modify_db_cluster_param_group",
    "ResetDBClusterParameterGroup": "_reset_db_cluster_param_group",
}


class ParameterControl(Protocol):
    """The supervisor's side, `lab.control.Control`."""

    def set_parameters(self, region: str, values: dict[str, str]) -> None: ...


def install(databases: ParameterControl) -> None:
    """A change of a group reaches the clusters that use it."""
    for action, name in _ACTIONS.items():
        changed = _reaching_clusters(getattr(rds, name), databases)
        setattr(rds, name, changed)
        rds._ACTION_MAP[action] = changed


def apply(cluster: Record, databases: ParameterControl) -> None:
    """Raises ControlError with PostgreSQL's words for a value it does not take."""
    databases.set_parameters(database_of(cluster), parameters(cluster))


def database_of(cluster: Record) -> str:
    """What the lab's supervisor calls the database behind a cluster of the request's region."""
    return str(cluster.get(DATABASE) or get_region())


def parameters(cluster: Record) -> dict[str, str]:
    """What the groups of the cluster and of its writer say; defaults are not theirs to say."""
    members = cluster["DBClusterMembers"]
    writer = rds._instances.get(members[0]["DBInstanceIdentifier"]) if members else None
    named = [group["DBParameterGroupName"] for group in (writer or {}).get("DBParameterGroups", ())]
    groups = [
        rds._db_cluster_param_groups.get(cluster.get("DBClusterParameterGroup")),
        *(rds._param_groups.get(name) for name in named),
    ]
    return {
        name: str(value["ParameterValue"])
        for group in groups
        for name, value in (group or {}).get("Parameters", {}).items()
    }


def _reaching_clusters(
    inherited: Callable[[Any], Response], databases: ParameterControl
) -> Callable[[Any], Response]:
    def change(request: Any) -> Response:
        groups = [*rds._param_groups.values(), *rds._db_cluster_param_groups.values()]
        before = [(group, dict(group.get("Parameters", {}))) for group in groups]
        response = inherited(request)
        if response[0] >= 400:
            return response
        clusters = [cluster for cluster in rds._clusters.values() if cluster["DBClusterMembers"]]
        try:
            for cluster in clusters:
                apply(cluster, databases)
        except ControlError as error:
            for group, values in before:
                group["Parameters"] = values
            for cluster in clusters:
                apply(cluster, databases)
            refusal: Response = rds._error("InvalidParameterValue", rds._esc(str(error)), 400)
            return refusal
        return response

    return change
