"""SwitchoverGlobalCluster and FailoverGlobalCluster: another member really becomes the writer.

https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html
The API answers at once; what it began shows in `FailoverState` and in events until it has ended. A failover
does not fence the old writer: AWS tries to, and promises nothing.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ministack.core.responses import get_account_id, new_uuid, request_scope
from ministack.services import rds

from lab.control import ControlError
from lab.embedded import cluster_snapshots
from lab.embedded.handlers import Response

Parameters = dict[str, Any]
Record = dict[str, Any]
_ASK_AGAIN = 1.0  # seconds between two looks whether a region is back
_UNDER_WAY = {True: "failing-over", False: "switching-over"}


class RoleControl(Protocol):
    """The supervisor's side, `lab.control.Control`."""

    def status(self) -> dict[str, Any]: ...
    def replicates(self, region: str) -> bool: ...
    def switch_over_database(self, region: str) -> None: ...
    def fail_over_database(self, region: str) -> None: ...
    def reattach_database(self, region: str, source: str, keep: str | None = None) -> int | None: ...
    def delete_backup(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Change:
    """One of a writer: between members of a global cluster."""

    global_cluster: Record
    old: Record
    new: Record
    loses: bool

    def member(self, cluster: Record) -> Record | None:
        members: list[Record] = self.global_cluster["GlobalClusterMembers"]
        return next((one for one in members if one["DBClusterArn"] == cluster["DBClusterArn"]), None)

    def stands(self) -> bool:
        """Nobody has taken a member out since, or changed the writer again."""
        new = self.member(self.new)
        return self.member(self.old) is not None and new is not None and bool(new["IsWriter"])


class GlobalWriter:
    """`rejoin_seconds`: how long after a failover, at least, the old writer is left alone."""

    def __init__(self, databases: RoleControl, rejoin_seconds: float) -> None:
        self._databases = databases
        self._rejoin_seconds = rejoin_seconds
        self._begin = threading.Lock()

    def actions(self) -> dict[str, Callable[[Parameters], Response]]:
        return {
            "SwitchoverGlobalCluster": self.switch_over,
            "FailoverGlobalCluster": self.fail_over,
        }

    def switch_over(self, parameters: Parameters) -> Response:
        return self._change("SwitchoverGlobalCluster", parameters, loses=False)

    def fail_over(self, parameters: Parameters) -> Response:
        if "AllowDataLoss" in parameters and "Switchover" in parameters:
            return _refused(
                "InvalidParameterCombination", "AllowDataLoss and Switchover cannot both be specified."
            )
        loses = str(rds._p(parameters, "AllowDataLoss")).lower() == "true"
        return self._change("FailoverGlobalCluster", parameters, loses=loses)

    def _change(self, action: str, parameters: Parameters, *, loses: bool) -> Response:
        with self._begin:
            found, error = rds._resolve_global_writer_switch(parameters)
            if error:
                refusal: Response = error
                return refusal
            global_cluster, new, new_member, old_member = found
            old = rds._resolve_global_member_cluster(old_member)
            change = Change(global_cluster, old, new, loses)
            if refused := self._refusal(change, new_member):
                return refused
            answer = rds._global_cluster_writer_switch_response(
                global_cluster, old_member, new_member, allow_data_loss=loses
            )
            _show(change, "pending")
        self._start(change)
        inner = f"<GlobalCluster>{rds._global_cluster_xml(answer)}</GlobalCluster>"
        response: Response = rds._xml(200, f"{action}Response", f"<{action}Result>{inner}</{action}Result>")
        return response

    def _refusal(self, change: Change, target: Record) -> Response | None:
        name = change.global_cluster["GlobalClusterIdentifier"]
        if refused := under_way(change.global_cluster):
            return refused
        if target["SynchronizationStatus"] != "connected":
            return _invalid(f"The target DB cluster of global cluster {name} is pending resynchronization.")
        if not change.new["DBClusterMembers"]:
            return _invalid(f"The target DB cluster of global cluster {name} has no DB instances.")
        try:
            if change.loses and not self._is_up(_region(change.new)):
                return _refused(
                    "InvalidDBClusterStateFault",
                    f"DB cluster {change.new['DBClusterIdentifier']} is not available.",
                )
            if not change.loses and not self._databases.replicates(_region(change.new)):
                return _invalid(
                    f"Global cluster {name} cannot be switched over: not all of its members are healthy."
                )
        except ControlError as error:
            return _invalid(rds._esc(str(error)))
        return None

    def _start(self, change: Change) -> None:
        account, region = get_account_id(), _region(change.new)
        steps = self._fail_over if change.loses else self._switch_over

        def run() -> None:
            with request_scope(account, region):
                try:
                    steps(change)
                finally:
                    _show(change, None)

        threading.Thread(target=run, name=f"global writer to {region}", daemon=True).start()

    def _switch_over(self, change: Change) -> None:
        what = f"Global switchover to {_named(change.new)}"
        _show(change, _UNDER_WAY[False])
        _note(change.new, f"{what} started.")
        if not self._promoted(change, self._databases.switch_over_database):
            _show(change, "cancelling")
            _note(change.new, f"{what} is cancelled.")
            return
        _note(change.old, f"Old primary {_named(change.old)} successfully shut down.")
        _note(change.new, f"New primary {_named(change.new)} was successfully promoted.")
        attached = self._attached(change)
        _note(change.new, f"{what} finished.")
        _show(change, None)
        if not attached:
            self._attach_when_possible(change)

    def _fail_over(self, change: Change) -> None:
        what = f"Global failover to {_named(change.new)}"
        _show(change, _UNDER_WAY[True])
        _note(change.new, f"{what} started.")
        promoted = self._promoted(change, self._databases.fail_over_database)
        _note(change.new, f"{what} {'completed' if promoted else 'failed'}.")
        _show(change, None)
        if promoted:
            self._attach_when_possible(change, self._rejoin_seconds)

    def _promoted(self, change: Change, promote: Callable[[str], None]) -> bool:
        """Whether the new member is the writer, as its database is; the old one takes no part then."""
        region = _region(change.new)
        try:
            promote(region)
        except ControlError:
            try:
                if self._databases.status()["databases"][region]["streams_from"] is not None:
                    return False
            except ControlError:
                return False
        with rds._shared_container_lock:
            rds._set_global_cluster_writer(change.global_cluster, change.member(change.new))
            if old := change.member(change.old):
                old["SynchronizationStatus"] = "pending-resync"
        return True

    def _attach_when_possible(self, change: Change, patience: float = 0.0) -> None:
        """Not before the old writer has been there, and within reach, for so long."""
        after = f"resynchronizing members of {_named(change.new)} after global failover."
        said, since, keep = False, time.monotonic(), new_uuid() if change.loses else None
        while change.stands():
            try:
                if not (self._is_there(_region(change.old)) and self._is_there(_region(change.new))):
                    since = time.monotonic()
                elif time.monotonic() - since >= patience:
                    if not said:
                        _note(change.new, f"Started {after}")
                        said = True
                    if self._attached(change, keep):
                        _note(change.new, f"Finished {after}")
                        return
            except ControlError:
                return  # the lab is ending
            time.sleep(_ASK_AGAIN)

    def _attached(self, change: Change, keep: str | None = None) -> bool:
        """`keep`: as what to keep the data of a writer that may have some which nobody else has."""
        region = _region(change.old)
        try:
            kept = self._databases.reattach_database(region, _region(change.new), keep)
            if keep and kept is not None:
                with request_scope(get_account_id(), region), rds._shared_container_lock:
                    too_many = cluster_snapshots.rescue(change.old, keep)
                for name in too_many:
                    self._databases.delete_backup(name)
        except ControlError:
            return False
        with rds._shared_container_lock:
            if old := change.member(change.old):
                old["SynchronizationStatus"] = "connected"
        return True

    def _is_up(self, region: str) -> bool:
        database = self._databases.status()["databases"][region]
        return not (database["stopped"] or database["frozen"])

    def _is_there(self, region: str) -> bool:
        return self._is_up(region) and not self._databases.status()["databases"][region]["isolated"]


def under_way(global_cluster: Record | None) -> Response | None:
    """What AWS says to whoever changes a global cluster whose writer is changing."""
    if global_cluster is None or not global_cluster.get("FailoverState"):
        return None
    return _invalid(
        f"Global cluster {global_cluster['GlobalClusterIdentifier']} is in state "
        f"{global_cluster['Status']}, and cannot be changed."
    )


def _show(change: Change, state: str | None) -> None:
    """None: it has ended. AWS does not say what the clusters' own status is meanwhile."""
    with rds._shared_container_lock:
        ended = state is None
        change.global_cluster["Status"] = "available" if ended else _UNDER_WAY[change.loses]
        change.global_cluster["FailoverState"] = (
            {}
            if ended
            else {
                "Status": state,
                "FromDbClusterArn": change.old["DBClusterArn"],
                "ToDbClusterArn": change.new["DBClusterArn"],
                "IsDataLossAllowed": change.loses,
            }
        )
        change.new["Status"] = "available" if ended else "promoting"
        change.old["Status"] = "available" if ended or change.loses else "modifying"


def _note(cluster: Record, message: str) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_Events.Messages.html"""
    with request_scope(get_account_id(), _region(cluster)), rds._shared_container_lock:
        rds._events[new_uuid()] = {
            "SourceIdentifier": cluster["DBClusterIdentifier"],
            "SourceType": "db-cluster",
            "SourceArn": cluster["DBClusterArn"],
            "Message": message,
            "Date": time.time(),
            "EventCategories": ["global-failover"],
        }


def _named(cluster: Record) -> str:
    return f"DB cluster {cluster['DBClusterIdentifier']} in Region {_region(cluster)}"


def _region(cluster: Record) -> str:
    return str(cluster["DBClusterArn"]).split(":")[3]


def _invalid(message: str) -> Response:
    return _refused("InvalidGlobalClusterStateFault", message)


def _refused(code: str, message: str) -> Response:
    response: Response = rds._error(code, message, 400)
    return response
