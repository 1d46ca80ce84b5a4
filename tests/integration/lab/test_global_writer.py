"""Another member of a global cluster becomes the writer: what is kept, what is lost, and who follows whom."""

import threading
import time
from contextlib import suppress

import psycopg
import pytest
from botocore.exceptions import ClientError

from lab.control import Control, ControlError
from lab.plan import LabPlan
from tests.integration.lab.clusters import PRIMARY, SECONDARY, connect, is_replica, measured, readers
from tests.integration.lab.conftest import eventually
from tests.integration.lab.global_ledger import GLOBAL, LONG, OTHER, Global, held, post, writes

pytestmark = pytest.mark.lab


class Traffic:
    """One client that posts to whichever region takes writes, and knows what was acknowledged."""

    def __init__(self, lab: LabPlan) -> None:
        self._lab = lab
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.acknowledged: list[int] = []

    def __enter__(self) -> "Traffic":
        self._thread.start()
        eventually(lambda: len(self.acknowledged) > 20)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=LONG)

    def _run(self) -> None:
        number = 0
        while not self._over.is_set():
            for region in OTHER:
                with suppress(psycopg.Error), connect(self._lab, region, connect_timeout=2) as writer:
                    while not self._over.is_set():
                        number += 1
                        writer.execute("INSERT INTO posted VALUES (%s)", (number,))
                        self.acknowledged.append(number)


def test_a_switchover_under_traffic_loses_nothing_in_either_direction(lab: LabPlan, ledger: Global) -> None:
    with Traffic(lab) as traffic:
        for target in (SECONDARY, PRIMARY, SECONDARY):
            ledger.switch_over(target)
            eventually(lambda: not ledger.described().get("FailoverState"), LONG)
            eventually(ledger.is_settled, LONG)
            assert ledger.writer() == target
            already = len(traffic.acknowledged)
            eventually(lambda already=already: len(traffic.acknowledged) > already + 20, LONG)  # type: ignore[misc]
    acknowledged = set(traffic.acknowledged)
    assert acknowledged <= held(lab, SECONDARY)
    eventually(lambda: acknowledged <= held(lab, PRIMARY))
    assert writes(lab, SECONDARY)
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connect(lab, PRIMARY)
    with readers(lab, PRIMARY) as reader:
        assert is_replica(reader)


def test_a_switchover_shows_while_it_is_under_way_and_is_the_only_one(
    lab: LabPlan, ledger: Global, control: Control
) -> None:
    control.delay_replication(SECONDARY, 1)
    arns = {region: member["DBClusterArn"] for region, member in ledger.members().items()}
    post(lab, PRIMARY, 1)
    answer = ledger.switch_over(SECONDARY)
    assert answer["FailoverState"]["Status"] == "pending"
    eventually(lambda: ledger.described().get("FailoverState", {}).get("Status") == "switching-over")
    described = ledger.described()
    assert described["Status"] == "switching-over"
    assert described["FailoverState"] == {
        "Status": "switching-over",
        "FromDbClusterArn": arns[PRIMARY],
        "ToDbClusterArn": arns[SECONDARY],
        "IsDataLossAllowed": False,
    }
    assert (ledger.status(PRIMARY), ledger.status(SECONDARY)) == ("modifying", "promoting")
    for again in (ledger.switch_over, ledger.fail_over):
        with pytest.raises(ClientError, match="InvalidGlobalClusterStateFault"):
            again(SECONDARY)
    with pytest.raises(ClientError, match="InvalidGlobalClusterStateFault"):
        ledger.regions[PRIMARY].rds.remove_from_global_cluster(
            GlobalClusterIdentifier=GLOBAL, DbClusterIdentifier=arns[SECONDARY]
        )
    eventually(ledger.is_settled, LONG)
    assert ledger.writer() == SECONDARY
    assert held(lab, SECONDARY) == {1}
    assert (ledger.status(PRIMARY), ledger.status(SECONDARY)) == ("available", "available")
    named = f"DB cluster ledger-secondary in Region {SECONDARY}"
    assert ledger.events(SECONDARY)[-3:] == [
        f"Global switchover to {named} started.",
        f"New primary {named} was successfully promoted.",
        f"Global switchover to {named} finished.",
    ]
    with pytest.raises(ClientError, match="InvalidGlobalClusterStateFault"):
        ledger.switch_over(SECONDARY)  # the writer already


def test_a_switchover_whose_source_dies_is_cancelled_and_changes_nothing(
    lab: LabPlan, ledger: Global, control: Control
) -> None:
    control.delay_replication(SECONDARY, 3)
    post(lab, PRIMARY, 1)
    ledger.switch_over(SECONDARY)
    control.stop_database(PRIMARY, crash=True)
    eventually(lambda: not ledger.described().get("FailoverState"), LONG)
    assert ledger.writer() == PRIMARY
    assert ledger.events(SECONDARY)[-1].endswith("is cancelled.")
    with pytest.raises(ClientError, match="InvalidGlobalClusterStateFault"):
        ledger.switch_over(SECONDARY)  # one of them is not healthy
    control.start_database(PRIMARY)
    post(lab, PRIMARY, 2)
    control.delay_replication(SECONDARY, 0)
    eventually(lambda: held(lab, SECONDARY) == {1, 2})


def test_a_failover_loses_what_was_on_its_way_and_the_old_writer_comes_back_without_it(
    lab: LabPlan, ledger: Global, control: Control
) -> None:
    post(lab, PRIMARY, 1)
    eventually(lambda: held(lab, SECONDARY) == {1})
    control.delay_replication(SECONDARY, 20)
    post(lab, PRIMARY, 2, 3)
    control.isolate_database(PRIMARY)
    assert ledger.fail_over(SECONDARY)["FailoverState"]["IsDataLossAllowed"] is True
    eventually(lambda: ledger.writer() == SECONDARY, LONG)
    assert held(lab, SECONDARY) == {1}
    post(lab, SECONDARY, 4)
    assert writes(lab, PRIMARY)  # left behind, it does not know
    post(lab, PRIMARY, 5)
    assert ledger.members()[PRIMARY]["SynchronizationStatus"] == "pending-resync"
    with pytest.raises(ClientError, match="InvalidGlobalClusterStateFault"):
        ledger.fail_over(PRIMARY)
    control.isolate_database(PRIMARY, isolated=False)
    eventually(ledger.is_settled, LONG)
    eventually(lambda: held(lab, PRIMARY) == {1, 4})
    assert not writes(lab, PRIMARY)
    post(lab, SECONDARY, 2)
    eventually(lambda: held(lab, PRIMARY) == {1, 2, 4})
    assert ledger.events(SECONDARY)[-1].startswith("Finished resynchronizing")


@pytest.mark.parametrize("fault", ["stopped", "frozen"])
def test_a_failover_does_not_ask_a_region_that_does_not_answer(
    lab: LabPlan, ledger: Global, control: Control, fault: str
) -> None:
    post(lab, PRIMARY, 1)
    eventually(lambda: held(lab, SECONDARY) == {1})
    if fault == "stopped":
        control.stop_database(PRIMARY, crash=True)
    else:
        control.freeze_database(PRIMARY)
    with pytest.raises(ClientError, match="InvalidGlobalClusterStateFault"):
        ledger.switch_over(SECONDARY)
    ledger.fail_over(SECONDARY)
    eventually(lambda: writes(lab, SECONDARY), LONG)
    post(lab, SECONDARY, 2)
    assert ledger.members()[PRIMARY]["SynchronizationStatus"] == "pending-resync"
    if fault == "stopped":
        control.start_database(PRIMARY)
    else:
        control.freeze_database(PRIMARY, frozen=False)
    eventually(ledger.is_settled, LONG)
    eventually(lambda: held(lab, PRIMARY) == {1, 2})
    ledger.switch_over(PRIMARY)
    eventually(lambda: ledger.writer() == PRIMARY, LONG)
    eventually(ledger.is_settled, LONG)
    post(lab, PRIMARY, 3)
    eventually(lambda: held(lab, SECONDARY) == {1, 2, 3})


def test_a_writer_whose_region_died_comes_back_as_what_it_was_and_is_attached(
    lab: LabPlan, ledger: Global, control: Control
) -> None:
    post(lab, PRIMARY, 1)
    eventually(lambda: held(lab, SECONDARY) == {1})
    control.delay_replication(SECONDARY, 20)
    post(lab, PRIMARY, 2)
    assert control.kill_region(PRIMARY)
    with pytest.raises(psycopg.OperationalError):
        connect(lab, PRIMARY)
    with pytest.raises(ClientError, match="InvalidGlobalClusterStateFault"):
        ledger.switch_over(SECONDARY)
    with pytest.raises(ControlError, match="us-east-1 is down"):
        control.start_database(PRIMARY)
    ledger.fail_over(SECONDARY)
    eventually(lambda: writes(lab, SECONDARY), LONG)
    post(lab, SECONDARY, 3)
    time.sleep(3)  # Aurora waits for it to be there, not for the clock
    control.isolate_database(PRIMARY)  # to have a look before it is attached
    assert control.restore_region(PRIMARY)
    assert held(lab, PRIMARY) == {1, 2}
    assert writes(lab, PRIMARY)
    control.isolate_database(PRIMARY, isolated=False)
    control.delay_replication(SECONDARY, 0)
    eventually(ledger.is_settled, LONG)
    eventually(lambda: held(lab, PRIMARY) == {1, 3})
    assert not writes(lab, PRIMARY)


def test_a_writer_that_is_cut_off_is_attached_once_it_is_within_reach(
    lab: LabPlan, ledger: Global, control: Control
) -> None:
    post(lab, PRIMARY, 1)
    eventually(lambda: held(lab, SECONDARY) == {1})
    assert control.partition_region(PRIMARY)
    post(lab, PRIMARY, 2)
    with pytest.raises(ClientError, match="InvalidGlobalClusterStateFault"):
        ledger.switch_over(SECONDARY)
    ledger.fail_over(SECONDARY)
    eventually(lambda: writes(lab, SECONDARY), LONG)
    post(lab, SECONDARY, 3)
    time.sleep(3)
    assert writes(lab, PRIMARY)
    assert control.heal()
    eventually(ledger.is_settled, LONG)
    eventually(lambda: held(lab, PRIMARY) == {1, 3})


def test_a_ledger_that_stands_still_goes_on_with_its_connections(
    lab: LabPlan, ledger: Global, control: Control
) -> None:
    with connect(lab, PRIMARY) as writer:
        assert control.freeze_region(PRIMARY)
        posting = threading.Thread(target=writer.execute, args=("INSERT INTO posted VALUES (1)",))
        posting.start()
        posting.join(1)
        assert posting.is_alive()
        assert control.heal()
        posting.join(LONG)
    eventually(lambda: held(lab, SECONDARY) == {1})


@pytest.mark.parametrize("dies", [PRIMARY, SECONDARY])
def test_a_region_that_dies_in_a_switchover_stays_dead_and_comes_back(
    lab: LabPlan, ledger: Global, control: Control, dies: str
) -> None:
    control.delay_replication(SECONDARY, 2)
    post(lab, PRIMARY, 1)
    ledger.switch_over(SECONDARY)
    eventually(lambda: not writes(lab, PRIMARY))  # it has ended; what it sent last is on its way
    assert control.kill_region(dies)
    with pytest.raises(psycopg.OperationalError):
        readers(lab, dies)
    control.delay_replication(SECONDARY, 0)
    time.sleep(1)
    with pytest.raises(psycopg.OperationalError):
        readers(lab, dies)
    assert control.restore_region(dies)
    eventually(ledger.is_settled, LONG)
    eventually(lambda: held(lab, PRIMARY) == {1} == held(lab, SECONDARY), LONG)
    assert [region for region in OTHER if writes(lab, region)] == [ledger.writer()]


def test_an_old_writer_that_cannot_be_rewound_is_copied_anew(
    lab: LabPlan, ledger: Global, control: Control
) -> None:
    post(lab, PRIMARY, 1)
    eventually(lambda: held(lab, SECONDARY) == {1})
    control.stop_database(PRIMARY, crash=True)
    ledger.fail_over(SECONDARY)
    eventually(lambda: ledger.writer() == SECONDARY, LONG)
    for segment in (lab.runtime_directory / "databases" / PRIMARY / "pg_wal").glob("0*"):
        segment.unlink()
    with pytest.raises(ControlError, match="ended"):
        control.start_database(PRIMARY)
    eventually(ledger.is_settled, LONG)
    eventually(lambda: held(lab, PRIMARY) == {1})


def test_the_lag_of_a_late_replica_is_measured_on_whichever_side_it_is(
    ledger: Global, lab: LabPlan, control: Control
) -> None:
    ledger.switch_over(SECONDARY)
    eventually(ledger.is_settled, LONG)
    control.delay_replication(PRIMARY, 4)
    with Traffic(lab):

        def late() -> bool:
            lag = measured(ledger.regions[PRIMARY], "AuroraGlobalDBReplicationLag", "ledger-primary")
            return bool(lag) and lag[0] > 2_000

        eventually(late, LONG)
