"""Making a region the active one by the Region switch plan: started in that region, followed to its end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from adapters.aws import code, unknown_is_unavailable
from adapters.region_switch import find_plan, start_plan
from failover.clock import Clock, Instant
from failover.control import ControlRecord, Phase
from failover.errors import Unavailable
from failover.planner import Mode
from ops.directory import Rejected
from ops.failover import Wanted

PATIENCE_SECONDS: Final = 3600.0
_LOOK_EVERY_SECONDS: Final = 1.0
_GOES_ON: Final = frozenset({"pending", "inProgress"})
# The step with an ungraceful way. Of functions AWS documents no other than to be skipped, and none may be.
PROMOTION: Final = "promote"
_SWITCHED: Final = frozenset({"running", "failed"})
_TOO_LATE: Final = frozenset({"IllegalStateException", "ResourceNotFoundException"})
_TAKES_EFFECT_SECONDS: Final = 30.0  # until what was switched shows in what Region switch says
_DIRECTLY: Final = "or do it without Region switch: the same command with --direct"


@dataclass(frozen=True, slots=True)
class Execution:
    """What is to be followed. `steps` are what they have come to, by name, in their order; `to_switch` is
    the promotion while it runs, or failed, as a graceful one.
    """

    mode: str
    state: str
    steps: dict[str, str]
    to_switch: frozenset[str]


@dataclass(frozen=True, slots=True)
class RegionSwitch:
    """The plan of that name, in the region that is to be active; there it is started and known."""

    client: Any
    plan: str

    def find(self) -> tuple[str, str | None]:
        """Its ARN, whose end nobody can compute, and the execution under way, if any."""
        found = find_plan(self.client, self.plan)
        if found is None:
            todo = "deploy it, or check --environment; " + _DIRECTLY
            raise Rejected(f"Region switch: there is no plan {self.plan}; {todo}", 1)
        return found

    def start(self, arn: str, wanted: Wanted) -> str | None:
        """None where another execution is in the way: somebody else was faster."""
        return start_plan(self.client, arn, wanted.target, wanted.mode, wanted.recorded)

    def execution(self, arn: str, execution_id: str) -> Execution:
        with unknown_is_unavailable("Region switch"):
            answer = self.client.get_plan_execution(planArn=arn, executionId=execution_id)
        states = answer.get("stepStates", ())
        steps = {step["name"]: step["status"] for step in states}
        graceful = {step["name"] for step in states if step.get("stepMode") == Mode.GRACEFUL}
        to_switch = frozenset(name for name in graceful & {PROMOTION} if steps[name] in _SWITCHED)
        return Execution(answer["mode"], answer["executionState"], steps, to_switch)

    def switch_to_ungraceful(self, arn: str, execution_id: str, seen: Execution, why: str) -> None:
        """All that is left of it, and the step that runs or failed, which is tried again so.

        Done twice, or too late, it is refused: then it is what it is.
        """
        named = {"planArn": arn, "executionId": execution_id, "comment": why}
        if seen.mode != Mode.UNGRACEFUL:
            self._change(self.client.update_plan_execution, **named, action="switchToUngraceful")
        for name in sorted(seen.to_switch):
            step = self.client.update_plan_execution_step
            self._change(step, **named, stepName=name, actionToTake="switchToUngraceful")

    def _change(self, ask: Callable[..., Any], **asked: str) -> None:
        try:
            with unknown_is_unavailable("Region switch"):
                ask(**asked)
        except ClientError as error:
            if code(error) not in _TOO_LATE:
                raise


def switched(
    wanted: Wanted,
    switch: RegionSwitch,
    read: Callable[[], ControlRecord],
    clock: Clock,
    tell: Callable[[str], None],
    patience: float = PATIENCE_SECONDS,
) -> int:
    """The epoch under which the target is active and steady. Raises Rejected where it is not.

    An execution that is under way is followed: it was started by an earlier run, by somebody else, or by the
    function that decides. One that is graceful is switched where the loss of data was accepted.
    """
    arn, active = switch.find()
    if active is None:
        active = switch.start(arn, wanted) or switch.find()[1]
    if active is None:
        raise Rejected("Region switch: an execution ended a moment ago; run the same command again", 1)
    tell(f"execution {active} of {switch.plan} in {wanted.target}")
    _follow(wanted, switch, arn, active, clock, tell, patience)
    record = read()
    if record.active != wanted.target or record.phase is not Phase.STEADY:
        todo = "`status` says how far it is"
        raise Rejected(f"control record: {record.active} is {record.phase} after the execution; {todo}", 1)
    return record.epoch


def _follow(
    wanted: Wanted,
    switch: RegionSwitch,
    arn: str,
    execution_id: str,
    clock: Clock,
    tell: Callable[[str], None],
    patience: float,
) -> None:
    give_up = clock.now().later(patience)
    takes_effect: Instant | None = None
    told: dict[str, str] = {}
    while True:
        try:
            seen = switch.execution(arn, execution_id)
            other = seen.mode != wanted.mode
            if wanted.accept_data_loss and (other or seen.to_switch) and not _over(takes_effect, clock):
                switch.switch_to_ungraceful(arn, execution_id, seen, wanted.recorded)
                if takes_effect is None:
                    takes_effect = clock.now().later(_TAKES_EFFECT_SECONDS)
                    tell("switched to ungraceful: it goes on without the old writer")
        except Unavailable as unknown:
            why = str(unknown)
        else:
            for name, state in seen.steps.items():
                if told.get(name) != state and state != "notStarted":
                    tell(f"{name}: {state}")
            told = seen.steps
            if seen.state.startswith("completed"):
                return
            if takes_effect is None or _over(takes_effect, clock):
                _check(seen, wanted, execution_id)
            why = f"execution {execution_id} is {seen.state}"
        if clock.now().reached(give_up):
            raise Rejected(f"Region switch: {why}; run the same command again to go on following it", 1)
        clock.sleep(_LOOK_EVERY_SECONDS)


def _over(takes_effect: Instant | None, clock: Clock) -> bool:
    return takes_effect is not None and clock.now().reached(takes_effect)


def _check(seen: Execution, wanted: Wanted, execution_id: str) -> None:
    """Raises Rejected where following it leads nowhere."""
    if seen.mode != wanted.mode:
        what = f"execution {execution_id} is under way, {seen.mode}"
        todo = "wait until it has ended, or cancel it there"
        if wanted.mode is Mode.UNGRACEFUL:
            todo += "; or say --accept-data-loss to switch it"
        raise Rejected(f"Region switch: {what}; {todo}", 1)
    if seen.state not in _GOES_ON:
        failed = ", ".join(name for name, state in seen.steps.items() if state == "failed")
        todo = f"read the log of that step's function, and try it again in Region switch; {_DIRECTLY}"
        raise Rejected(f"Region switch: execution {execution_id} is {seen.state} ({failed}); {todo}", 1)
