"""Failing over from a terminal: whether to begin, and the way through, against a world in memory."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from failover.clock import Instant
from failover.control import ControlRecord, Phase
from failover.errors import Unavailable
from failover.planner import Admit, Fence, Finish, Mode, Promote, Recover, Step, Unknown
from failover.writer import Change
from ops.cli import main
from ops.directory import Rejected
from ops.failover import Wanted, announced, carried_out, check_function, finished, objection, recovered
from ops.observation import Observation
from tests.unit.ops.observations import (
    HEALTHY,
    HERE,
    LEDGER,
    PRIMARY,
    RECORD,
    SECONDARY,
    SILENT,
    THERE,
    both,
    dead,
    primary,
    secondary,
)

GRACEFUL = Wanted(target=THERE, mode=Mode.GRACEFUL, reason="drill", accept_data_loss=False)
UNGRACEFUL = replace(GRACEFUL, mode=Mode.UNGRACEFUL)
ACCEPTED = replace(UNGRACEFUL, accept_data_loss=True)
FIRST, SECOND = LEDGER.members
LOST = replace(HEALTHY, regions=(dead(PRIMARY), SECONDARY))
PROMOTED = replace(
    LEDGER, members=(replace(FIRST, writer=False, connected=False), replace(SECOND, writer=True))
)


def refusal(seen: Observation, wanted: Wanted) -> str:
    return str(objection(seen, wanted) or "")


def test_between_healthy_regions_nothing_speaks_against_it() -> None:
    assert objection(HEALTHY, GRACEFUL) is None
    assert objection(HEALTHY, ACCEPTED) is None
    assert announced(HEALTHY, GRACEFUL) == f"{HERE} is active; {THERE} is to be, graceful"


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (primary(control=SILENT), "us-east-1: control is unknown (ConnectTimeoutError)"),
        (primary(health=SILENT), "us-east-1: health is unknown"),
        (secondary(health=SILENT), "us-east-2: health is unknown"),
        (primary(ledger=SILENT), "us-east-1: ledger is unknown"),
        (secondary(ledger=SILENT), "us-east-2: ledger is unknown"),
        (secondary(health=500), "us-east-2: /health says 500"),
        (
            both(ledger=replace(LEDGER, members=(FIRST, replace(SECOND, connected=None)))),
            "us-east-2 is not known",
        ),
        (both(ledger=replace(LEDGER, members=(FIRST,))), "us-east-2 is not known to be attached"),
        (both(ledger=replace(LEDGER, members=(FIRST, replace(SECOND, writer=True)))), "2 of 2 members"),
        (both(control=replace(RECORD, phase=Phase.RECOVERING)), "us-east-1 is recovering"),
        (LOST, "us-east-1: control is unknown"),
    ],
)
def test_gracefully_nothing_is_begun_that_could_not_be_ended(seen: Observation, why: str) -> None:
    assert why in refusal(seen, GRACEFUL)
    assert "--mode ungraceful --accept-data-loss" in refusal(seen, GRACEFUL)
    assert objection(seen, ACCEPTED) is None


@pytest.mark.parametrize("seen", [HEALTHY, LOST])
def test_ungracefully_the_loss_is_accepted_by_name(seen: Observation) -> None:
    why = refusal(seen, UNGRACEFUL)
    assert "12 ms behind" in why
    assert "nothing acknowledged is lost" in why
    assert why.endswith("say --accept-data-loss to go on")
    assert "12 ms behind" in announced(seen, ACCEPTED)


def test_what_nobody_measured_is_not_called_small() -> None:
    assert "an unknown time behind" in refusal(secondary(lag=None), UNGRACEFUL)


@pytest.mark.parametrize("wanted", [GRACEFUL, ACCEPTED])
@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (secondary(control=SILENT), "us-east-2 does not answer"),
        (both(ledger=replace(LEDGER, members=(FIRST, replace(SECOND, connected=False)))), "is not attached"),
        (
            both(ledger=replace(LEDGER, change=Change("pending", HERE, loses_data=False))),
            "changes over to us-east-1",
        ),
    ],
)
def test_no_flag_leads_past_what_would_lose_payments(seen: Observation, why: str, wanted: Wanted) -> None:
    assert why in refusal(seen, wanted)


def test_a_region_of_another_part_cannot_be_active() -> None:
    refused = objection(HEALTHY, replace(GRACEFUL, target="us-west-2"))
    assert refused is not None
    assert refused.exit_code == 2


def test_what_was_begun_is_gone_on_with_whatever_the_old_writer_says() -> None:
    """The takeover of a region that is the writer already asks nothing of the other."""
    begun = replace(RECORD, epoch=4, active=THERE, phase=Phase.RECOVERING)
    seen = replace(HEALTHY, regions=(dead(PRIMARY), replace(SECONDARY, control=begun, ledger=PROMOTED)))
    for wanted in (GRACEFUL, UNGRACEFUL):
        assert objection(seen, wanted) is None
    assert announced(seen, GRACEFUL).startswith(
        "us-east-2 is active, recovering, and its takeover is gone on"
    )
    assert not finished(seen, THERE)


def test_failing_back_waits_until_the_old_writer_is_attached() -> None:
    after = replace(RECORD, epoch=4, active=THERE)
    back = replace(GRACEFUL, target=HERE)
    assert "is not attached" in refusal(both(control=after, ledger=PROMOTED), back)
    attached = replace(PROMOTED, members=(replace(PROMOTED.members[0], connected=True), PROMOTED.members[1]))
    assert objection(both(control=after, ledger=attached), back) is None


def test_what_is_done_is_known_to_be() -> None:
    assert finished(HEALTHY, HERE)
    assert objection(HEALTHY, replace(UNGRACEFUL, target=HERE)) is None
    for seen in (HEALTHY, both(control=replace(RECORD, active=THERE)), both(control=SILENT)):
        assert not finished(seen, THERE)


def test_the_record_says_what_was_accepted() -> None:
    assert GRACEFUL.recorded == "drill (by an operator, graceful)"
    assert ACCEPTED.recorded == "drill (by an operator, ungraceful, data loss accepted)"


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> Instant:
        return Instant(self.seconds, 1_795_000_000.0 + self.seconds)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class World:
    """A control record and a writer; promotion takes two looks. `breaks` is called after each step."""

    record: ControlRecord = RECORD
    writing: str = HERE
    posted_under: int = 0
    looks: int = 2
    breaks: Any = None

    def control(self) -> ControlRecord | Unknown:
        return self.record

    def writer(self) -> str | Unknown:
        return self.writing

    def do(self, step: Step, target: str) -> bool:
        done = self._do(step, target)
        if self.breaks is not None:
            self.breaks(step)
        return done

    def _do(self, step: Step, target: str) -> bool:
        match step:
            case Fence(after):
                if self.record.epoch != after:
                    return False
                self.record = replace(self.record, epoch=after + 1, active=target, phase=Phase.FENCING)
            case Admit():
                self.record = replace(self.record, phase=Phase.RECOVERING)
            case Promote():
                self.looks -= 1
                if self.looks:
                    return False
                self.writing = target
            case Recover(epoch):
                self.posted_under = epoch
            case Finish():
                self.record = replace(self.record, phase=Phase.STEADY)
        return True


def test_each_step_is_said_as_it_is_done() -> None:
    world, said = World(), list[str]()
    assert carried_out(GRACEFUL, world, Clock(), said.append) == 4
    assert (world.record.active, world.record.phase, world.writing, world.posted_under) == (
        THERE,
        Phase.STEADY,
        THERE,
        4,
    )
    assert [line.split(":")[0] for line in said if line.endswith("done")] == [
        "fence",
        "wait",
        "admit",
        "promote",
        "recover",
        "finish",
    ]
    assert said[0] == "fence: open epoch 4 for us-east-2 ..."
    assert len(said) == len(set(said))


@pytest.mark.parametrize("last", [Fence, Admit, Promote, Recover, Finish])
def test_killed_after_any_step_and_run_again_it_ends_the_same(last: type[Step]) -> None:
    def killed(step: Step) -> None:
        if isinstance(step, last):
            raise KeyboardInterrupt

    world = World(breaks=killed)
    with pytest.raises(KeyboardInterrupt):
        carried_out(GRACEFUL, world, Clock(), lambda _: None)
    world.breaks = None
    assert carried_out(GRACEFUL, world, Clock(), lambda _: None) == 4
    assert (world.record.epoch, world.record.phase, world.writing) == (4, Phase.STEADY, THERE)
    assert world.posted_under == 4


def test_two_at_once_open_one_epoch() -> None:
    """The other one runs through between any two steps of this one."""
    world = World()
    inside = list[int]()

    def other(step: Step) -> None:
        world.breaks = None
        inside.append(carried_out(GRACEFUL, world, Clock(), lambda _: None))

    world.breaks = other
    assert carried_out(GRACEFUL, world, Clock(), lambda _: None) == 4
    assert inside == [4]


def test_another_s_takeover_ends_this_one() -> None:
    world = World()

    def overtaken(step: Step) -> None:
        if isinstance(step, Admit):
            world.record = replace(world.record, epoch=9, active=HERE)

    world.breaks = overtaken
    with pytest.raises(Rejected, match="another takeover opened epoch 9 for us-east-1"):
        carried_out(GRACEFUL, world, Clock(), lambda _: None)


def test_what_does_not_come_about_says_how_to_go_on() -> None:
    with pytest.raises(
        Rejected, match=r"Promote is not done yet; run the same command again.*--mode ungraceful"
    ):
        carried_out(GRACEFUL, World(looks=10**9), Clock(), lambda _: None, patience=5)


@pytest.fixture
def function() -> Iterator[tuple[Any, Stubber]]:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("lambda", region_name=THERE, **keys)  # type: ignore[call-overload]
    with Stubber(client) as stubber:
        yield client, stubber
        stubber.assert_no_pending_responses()


def answers(stubber: Stubber, said: dict[str, Any], **more: Any) -> None:
    body = json.dumps(said).encode()
    payload = StreamingBody(io.BytesIO(body), len(body))
    stubber.add_response(
        "invoke", {"StatusCode": 200, "Payload": payload, **more}, {"FunctionName": "r", "Payload": b"{}"}
    )


def test_recovering_is_done_under_its_own_epoch_only(function: tuple[Any, Stubber]) -> None:
    client, stubber = function
    answers(stubber, {"outcome": "Done(epoch=4)", "epoch": 4})
    assert recovered(client, "r", 4)
    answers(stubber, {"outcome": "Done(epoch=5)", "epoch": 5})
    assert not recovered(client, "r", 4)


def test_a_step_that_failed_is_tried_again_and_a_mistake_is_for_people(function: tuple[Any, Stubber]) -> None:
    client, stubber = function
    answers(stubber, {"errorType": "StepFailed", "errorMessage": "Blocked(...)"}, FunctionError="Unhandled")
    with pytest.raises(Unavailable, match="Blocked"):
        recovered(client, "r", 4)
    answers(stubber, {"errorType": "BooksDoNotBalance", "errorMessage": "2"}, FunctionError="Unhandled")
    with pytest.raises(Rejected, match="BooksDoNotBalance: 2; payments are accepted meanwhile; read its log"):
        recovered(client, "r", 4)


def test_without_the_function_nothing_is_begun(function: tuple[Any, Stubber]) -> None:
    client, stubber = function
    stubber.add_client_error("get_function_configuration", "ResourceNotFoundException", http_status_code=404)
    with pytest.raises(Rejected, match="there is none; deploy the release"):
        check_function(client, "r", ACCEPTED)
    for _ in range(2):
        stubber.add_client_error("get_function_configuration", "ServiceException", http_status_code=500)
    with pytest.raises(Rejected, match="nothing was begun"):
        check_function(client, "r", GRACEFUL)
    check_function(client, "r", ACCEPTED)


@pytest.mark.parametrize(
    "command",
    [
        ["failover", "--direct"],
        ["failover", "--direct", "--to", "us-east-2", "--reason", "x" * 501],
        ["failover", "--direct", "--to", "us-east-2", "--mode", "brutal"],
        ["failback", "--direct", "--to", "us-east-2"],
    ],
)
def test_bad_usage_ends_with_2(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert capsys.readouterr().err
