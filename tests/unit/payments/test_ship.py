"""Shipping the log, with a crash, a lost answer or somebody else's run at every single step."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest

from failover.control import ControlRecord
from failover.errors import Unavailable
from failover.writer import Member
from payments import ship
from payments.errors import LedgerUnavailable, LogDiverged, NotStandby
from payments.ship import BOOKMARK, LogPage, Shipped, Shipper, head
from payments.standby import Standby
from payments.transaction_log import FIRST, LedgerRow, Link, Position, Segment, verified
from tests.unit.payments.fakes import HERE, THERE, FakeClock, record
from tests.unit.payments.test_transaction_log import MOMENT, row


class Crash(BaseException):
    """The process is gone: nothing after this runs."""


@dataclass
class World:
    """Two regions with one ledger, and a callback around everything that a shipper asks for."""

    writer: str = HERE
    epoch: int = 1
    rows: list[LedgerRow] = field(default_factory=list)
    copied: list[LedgerRow] = field(default_factory=list)
    cutoff: int = 10_000
    fence: int = 0
    bookmarks: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    buckets: dict[str, dict[int, bytes]] = field(default_factory=lambda: {HERE: {}, THERE: {}})
    clock: FakeClock = field(default_factory=lambda: FakeClock(wall=MOMENT.timestamp() + 100))
    step: Callable[[str], None] = lambda _when: None

    def post(self, *numbers: int) -> None:
        self.rows += [row(number) for number in numbers]

    def replicate(self) -> None:
        self.copied = sorted(self.rows, key=lambda each: each.position)

    @property
    def standby(self) -> str:
        return THERE if self.writer == HERE else HERE

    def take_over(self) -> None:
        """The standby becomes the writer with the rows it has, and the old writer its copy."""
        self.writer = self.standby
        self.rows = list(self.copied)
        self.epoch += 1
        self.fence = self.epoch
        self.replicate()

    def shipper(self, region: str | None = None) -> Shipper:
        region = region or self.standby
        return Shipper(
            standby=Standby(_Control(self), _Clusters(self), region, "ledger"),
            progress=_Progress(self),
            rows=_Rows(self, region),
            segments=_Bucket(self, region),
            clock=self.clock,
        )

    def run(self, region: str | None = None, seconds: float = 60.0) -> Shipped:
        return self.shipper(region).run(self.clock.now().later(seconds))

    def chain(self) -> list[str]:
        """The payments of the log in order. Fails when it is broken, or two copies of a segment differ."""
        found: dict[int, bytes] = {}
        for bucket in self.buckets.values():
            for number, lines in bucket.items():
                assert found.setdefault(number, lines) == lines
        after, rows = FIRST, 0
        assert sorted(found) == list(range(1, len(found) + 1))
        for number in sorted(found):
            after, count = verified(found[number], after)
            rows += count
        shipped = [each for each in self.everything() if each.position <= after.position]
        assert len(shipped) == rows, "the log is not what the ledger holds up to its end"
        return [each.payment.payment_id for each in shipped]

    def everything(self) -> list[LedgerRow]:
        return sorted(self.rows, key=lambda each: each.position)


def ids(*numbers: int) -> list[str]:
    return [row(number).payment.payment_id for number in numbers]


@dataclass
class _Control:
    world: World

    def read(self) -> ControlRecord:
        self.world.step("control")
        return record(active=self.world.writer, epoch=self.world.epoch)


@dataclass
class _Clusters:
    world: World

    def members(self) -> tuple[Member, ...]:
        self.world.step("cluster")
        return tuple(
            Member(region, "ledger", writer=region == self.world.writer, connected=True)
            for region in (HERE, THERE)
        )


@dataclass
class _Rows:
    world: World
    region: str

    def page(self, epoch: int, after: Position, through: Position | None, limit: int) -> LogPage:
        self.world.step("rows")
        self._check(epoch)
        rows = [
            each
            for each in self._copy()
            if after < each.position
            and each.txid < self.world.cutoff
            and (through is None or each.position <= through)
        ]
        return LogPage(self.world.cutoff, tuple(rows[:limit]))

    def waiting_since(self, epoch: int, after: Position) -> datetime | None:
        self._check(epoch)
        return next((each.posted_at for each in self._copy() if each.position > after), None)

    def _copy(self) -> list[LedgerRow]:
        """The writer's own readers are in recovery as well, and have what nobody else has."""
        return self.world.copied if self.region == self.world.standby else self.world.everything()

    def _check(self, epoch: int) -> None:
        if epoch > 1 and self.world.fence < epoch:
            raise NotStandby


@dataclass
class _Progress:
    world: World

    def read(self, key: str) -> Mapping[str, Any] | None:
        self.world.step("bookmark read")
        if key not in self.world.bookmarks:
            return None
        version, value = self.world.bookmarks[key]
        return value | {"version": version}

    def write(self, key: str, value: Mapping[str, Any], expected: Mapping[str, Any] | None) -> bool:
        self.world.step("bookmark write")
        before, _ = self.world.bookmarks.get(key, (0, None))
        written = before == (expected["version"] if expected is not None else 0)
        if written:
            kept = {name: each for name, each in value.items() if name != "version"}
            self.world.bookmarks[key] = before + 1, kept
        self.world.step("bookmark written")
        return written


@dataclass
class _Bucket:
    world: World
    region: str

    def put(self, segment: Segment) -> None:
        self.world.step("put")
        held = self.world.buckets[self.region].setdefault(segment.number, segment.lines)
        if held != segment.lines:
            raise LogDiverged(f"segment {segment.number}")
        self.world.step("put done")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """With segments of three rows, so that a few payments make several."""
    monkeypatch.setattr(ship, "MAX_ROWS", 3)
    return prepared()


def prepared() -> World:
    world = World()
    world.post(1, 2, 3, 4, 5, 6, 7)
    world.replicate()
    return world


def test_everything_is_shipped_once_and_then_nothing(world: World) -> None:
    first = world.run()
    assert (first.segments, first.rows, first.stopped, first.age) == (3, 7, "", 0.0)
    assert world.chain() == ids(1, 2, 3, 4, 5, 6, 7)
    bookmarks = dict(world.bookmarks)
    again = world.run()
    assert (again.segments, again.stopped) == (0, "")
    assert world.bookmarks == bookmarks
    assert sorted(world.buckets[THERE]) == [1, 2, 3]
    assert world.buckets[HERE] == {}


def test_an_empty_ledger_writes_nothing() -> None:
    world = World()
    assert world.run() == Shipped(age=0.0)
    assert not world.bookmarks
    assert world.buckets == {HERE: {}, THERE: {}}


def test_what_is_not_replicated_is_not_shipped(world: World) -> None:
    world.post(8)
    world.run()
    assert world.chain() == ids(1, 2, 3, 4, 5, 6, 7)


def test_a_transaction_that_runs_holds_back_what_came_after_it(world: World) -> None:
    world.copied = [each for each in world.copied if each.txid != 704]
    world.cutoff = 704  # still running
    now = world.run()
    assert world.chain() == ids(1, 2, 3)
    assert now.age == pytest.approx(100 - 5.456789)
    world.cutoff = 10_000
    world.replicate()
    world.run()
    assert world.chain() == ids(1, 2, 3, 4, 5, 6, 7)


def test_only_the_standby_ships(world: World) -> None:
    assert world.run(world.writer) == Shipped(stopped="not-standby")
    world.fence, world.epoch = 1, 2  # a copy that does not descend from this epoch's ledger
    assert world.run().stopped == "not-standby"
    assert not world.bookmarks


def test_what_only_a_writer_has_is_not_shipped_by_who_was_the_standby_just_now(world: World) -> None:
    for at, step in enumerate(steps_of_a_run()):
        if step != "rows":
            continue
        world = prepared()

        def meanwhile(world: World = world) -> None:
            world.step = lambda _when: None
            world.take_over()
            world.post(8)  # and nobody copies it

        world.step = _at(at, meanwhile)
        assert world.run(THERE).stopped == "not-standby"
        world.take_over()
        world.post(9)
        world.replicate()
        world.run()
        assert world.chain() == ids(1, 2, 3, 4, 5, 6, 7, 9)


def test_the_time_it_is_given_ends_a_run_between_segments(world: World) -> None:
    def slow(when: str) -> None:
        world.clock.pass_time(10 if when == "put" else 0)

    world.step = slow
    assert (world.run(seconds=15).stopped, len(world.chain())) == ("time", 6)
    assert (world.run(seconds=15).stopped, len(world.chain())) == ("", 7)


@pytest.mark.parametrize(
    ("error", "stopped", "mistakes"),
    [
        (Unavailable("s3"), "unavailable", 0),
        (LedgerUnavailable("slow"), "ledger-slow", 0),
        (LedgerUnavailable("no-credentials", mistake=ValueError("secret")), "ledger-no-credentials", 1),
        (LogDiverged("segment 1"), "segment 1", 1),
        (ValueError("ours"), "mistake", 1),
    ],
    ids=str,
)
def test_what_stops_a_run_is_told_and_how_long_rows_wait(
    world: World, error: Exception, stopped: str, mistakes: int
) -> None:
    def fail(when: str) -> None:
        if when == "put" and world.buckets[THERE]:
            raise error

    world.step = fail
    done = world.run()
    assert (done.segments, done.rows, done.stopped, done.mistakes.count) == (1, 3, stopped, mistakes)
    assert done.age == pytest.approx(100 - 4.456789)


def steps_of_a_run() -> list[str]:
    world, steps = prepared(), list[str]()
    world.step = steps.append
    world.run()
    return steps


def test_the_steps_are_those_that_are_broken_off_below(world: World) -> None:
    steps = steps_of_a_run()
    assert steps.count("put") == steps.count("put done") == 3
    assert steps.count("bookmark write") == 6


@pytest.mark.parametrize("move", [False, True], ids=["same region", "other region"])
@pytest.mark.parametrize("error", [Crash(), Unavailable("no answer")], ids=["crash", "lost answer"])
def test_whatever_step_ends_a_run_the_next_one_goes_on(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, move: bool
) -> None:
    monkeypatch.setattr(ship, "MAX_ROWS", 3)
    for at in range(len(steps_of_a_run())):
        world = prepared()
        world.step = _at(at, lambda: _raise(error))
        with suppress(Crash):
            world.run()
        world.step = lambda _when: None
        world.chain()
        if move:
            world.take_over()
        world.post(8, 9)
        world.replicate()
        world.run()
        assert world.chain() == ids(1, 2, 3, 4, 5, 6, 7, 8, 9), at
        assert world.run().segments == 0


@pytest.mark.parametrize("move", [False, True], ids=["same region", "other region"])
@pytest.mark.parametrize("lossy", [False, True], ids=["nothing lost", "rows lost"])
def test_who_froze_at_any_step_and_goes_on_after_others_does_no_harm(
    monkeypatch: pytest.MonkeyPatch, move: bool, lossy: bool
) -> None:
    monkeypatch.setattr(ship, "MAX_ROWS", 3)
    for at in range(len(steps_of_a_run())):
        world = prepared()
        if lossy:
            world.post(8)  # committed by the writer only

        def meanwhile(world: World = world) -> None:
            world.step = lambda _when: None
            if move:
                world.take_over()
            world.post(9, 10)
            world.replicate()
            world.run()
            world.chain()

        world.step = _at(at, meanwhile)
        frozen = world.run()
        assert frozen.mistakes.count == 0
        world.chain()
        world.replicate()
        world.run()
        kept = ids(*range(1, 8), *([8] if lossy and not move else []), 9, 10)
        assert world.chain() == kept, at


def test_two_takeovers_while_somebody_is_frozen_do_no_harm(world: World) -> None:
    for at in range(len(steps_of_a_run())):
        world = prepared()

        def meanwhile(world: World = world) -> None:
            world.step = lambda _when: None
            for number in (9, 10):
                world.take_over()
                world.post(number)
                world.replicate()
                world.run()

        world.step = _at(at, meanwhile)
        world.run()
        world.run()
        assert world.chain() == ids(1, 2, 3, 4, 5, 6, 7, 9, 10)


def test_a_copy_that_lags_behind_carries_nothing_out(world: World) -> None:
    world.step = _before("put", lambda: _raise(Crash()))
    with suppress(Crash):
        world.run()
    world.step = lambda _when: None
    world.cutoff = 703  # as another reader of the region may see it
    assert world.run().stopped == "unavailable"
    assert world.chain() == []
    world.cutoff = 10_000
    world.run()
    assert world.chain() == ids(1, 2, 3, 4, 5, 6, 7)


@pytest.mark.parametrize("shipped", [False, True])
def test_rows_that_are_not_those_of_the_last_segment_stop_everything(world: World, shipped: bool) -> None:
    world.run()
    version, value = world.bookmarks[BOOKMARK]
    world.bookmarks[BOOKMARK] = version, value | {"shipped": shipped}
    everything = list(world.copied)
    puts = {region: dict(bucket) for region, bucket in world.buckets.items()}
    last = everything[-1]
    late = next(number for number in range(100, 200) if row(number, last.txid).position < last.position)
    for wrong in (
        everything[:-1],  # restored from a backup
        [*everything[:-1], replace(last, epoch=9)],
        [*everything[:-1], row(late, last.txid), last],  # turned up when nothing could any more
    ):
        world.copied = wrong
        done = world.run()
        assert isinstance(done.mistakes.first[0].error, LogDiverged)
        assert world.buckets == puts


def test_a_bookmark_that_makes_no_sense_is_a_mistake(world: World) -> None:
    world.bookmarks[BOOKMARK] = 1, {"segment": 1}
    assert world.run().mistakes.count == 2  # neither shipped nor measured
    assert world.buckets == {HERE: {}, THERE: {}}


def test_a_bookmark_says_what_it_said(world: World) -> None:
    known = ship.Head(FIRST, Link(1, "h", Position(5, "pay_x")), 7, shipped=False)
    assert head(ship.bookmark(known)) == known
    assert known.chain == FIRST
    assert replace(known, shipped=True).chain == known.end


def _at(number: int, action: Callable[[], None]) -> Callable[[str], None]:
    left = iter(range(number, -1, -1))

    def step(_when: str) -> None:
        if next(left, None) == 0:
            action()

    return step


def _before(step: str, action: Callable[[], None]) -> Callable[[str], None]:
    def before(when: str) -> None:
        if when == step:
            action()

    return before


def _raise(error: BaseException) -> None:
    raise error
