"""Posting what the journal holds and the ledger lacks: the active region's work, under its own lease.

The journal decides and the ledger follows, so whatever is open and not in the ledger is posted, in whatever
order it is found, under the epoch of the lease the sweeper itself holds at that moment. Posting again is
nothing new, so a sweep may end at any point, run twice at once, or see a list that lags behind.

Before that it sees to the fence. A takeover raised it, but a promotion that came late, of a plan that was
overtaken, may have taken the ledger away and lost that: it is promoted again, under the same epoch, and
without the fence nothing would ever be settled.

Entries stay on the work list until the standby has them: without a standby there may be millions, all posted.
So each pass looks at the newest first, and a walk over everything else goes on where it ended, run after run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from failover.clock import Clock, Instant
from payments.errors import Unavailable
from payments.journal import shards
from payments.lease import Leases, hold_steady
from payments.listing import batches, listed
from payments.mistakes import Mistakes
from payments.ports import Ledger, Progress, WorkList
from payments.posting import BATCH, NOT_NOW, Posting
from payments.stopping import MISTAKE, NOT_ACTIVE, why_stopped

PAGE: Final = 500  # ids, of about 150 bytes each
FRESH: Final = timedelta(minutes=15)
OVERLAP: Final = timedelta(minutes=1)  # for entries that reached the journal or its index late
PAUSE_SECONDS: Final = 5.0
MOST_COUNTED: Final = 1000  # open entries of one shard; what is beyond is not counted


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is on the work list. `count` is capped: `more` says that it means "at least"."""

    count: int
    more: bool
    oldest_age: float  # seconds; 0 when nothing is open


@dataclass(slots=True)
class Swept:
    """What a run did: `passes` through all fresh entries; `stopped`, why the last one ended early, if so."""

    posted: int = 0
    passes: int = 0
    stopped: str = ""
    backlog: Backlog | None = None
    mistakes: Mistakes = field(default_factory=Mistakes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    region: str
    leases: Leases
    work: WorkList
    ledger: Ledger
    progress: Progress
    clock: Clock

    def run(self, until: Instant) -> Swept:
        """Passes, with short pauses, until then. Ends at once in a region that is not active."""
        run = _Run(self, until)
        while run.goes_on() and not run.over(PAUSE_SECONDS):
            self.clock.sleep(PAUSE_SECONDS)
        if run.swept.stopped != NOT_ACTIVE:
            run.swept.backlog = self._backlog(run.swept.mistakes)
        return run.swept

    def _backlog(self, mistakes: Mistakes) -> Backlog | None:
        """None while it cannot be found out."""
        try:
            found = [self.work.backlog(shard, MOST_COUNTED) for shard in shards()]
        except Unavailable:
            return None
        except Exception as mistake:  # noqa: BLE001 - what was posted is reported all the same
            mistakes.add(mistake)
            return None
        oldest = min((one.oldest for one in found if one.oldest is not None), default=None)
        age = (self.clock.now().time() - oldest).total_seconds() if oldest is not None else 0.0
        return Backlog(
            count=sum(one.count for one in found),
            more=any(one.count >= MOST_COUNTED for one in found),
            oldest_age=max(0.0, age),
        )


class _Run:
    """The passes of one run, and what they know of each other."""

    def __init__(self, sweeper: Sweeper, until: Instant) -> None:
        self.swept = Swept()
        self._sweeper = sweeper
        self._clock = sweeper.clock
        self._until = until
        self._since = self._clock.now().time() - FRESH
        self._fenced = False  # once in this run is enough
        self._walked = False  # so is once round
        self._key = f"sweep#{sweeper.region}"
        self._posting = Posting(
            sweeper.work, sweeper.ledger, lambda: hold_steady(sweeper.leases).epoch, self.swept.mistakes
        )

    def over(self, seconds: float = 0.0) -> bool:
        return self._clock.now().later(seconds).reached(self._until)

    def goes_on(self) -> bool:
        """One pass. Whether another one may find something to do."""
        self.swept.stopped = ""
        try:
            self._pass()
        except Exception as error:  # noqa: BLE001 - reported with what was done before it
            self.swept.stopped = why_stopped(error, self.swept.mistakes)
        finally:
            self.swept.posted = self._posting.posted
        return self.swept.stopped not in (NOT_ACTIVE, MISTAKE)

    def _pass(self) -> None:
        lease = hold_steady(self._sweeper.leases)
        if not self._fenced:
            self._sweeper.ledger.raise_fence(lease.epoch)
            self._fenced = True
        started = self._clock.now()
        fresh_until = self._until if self._walked else _halfway(started, self._until)
        if self._fresh(fresh_until):
            self.swept.passes += 1
            self._since = max(self._since, started.time() - OVERLAP)
        if not self._walked:
            self._walk()

    def _fresh(self, until: Instant) -> bool:
        """Whether all were looked at. Begins at another shard each minute, in case that never happens."""
        mistakes = self.swept.mistakes
        first = int(self._clock.now().wall // 60)
        ids = listed(self._sweeper.work, shards(first), PAGE, mistakes, since=self._since)
        before = mistakes.general
        for batch in batches(ids, BATCH):
            self._posting.work_off(batch)
            if self._clock.now().reached(until):
                return False
        return mistakes.general == before

    def _walk(self) -> None:
        """On from the bookmark, round once at most. A bookmark that is lost costs a walk, nothing else."""
        found = self._bookmark()
        place = _Place.of(found)
        try:
            while not self._walked and not self.over():
                self._step(place)
        finally:
            if place != _Place.of(found):
                self._mark(place, found)

    def _bookmark(self) -> Mapping[str, Any] | None:
        try:
            return self._sweeper.progress.read(self._key)
        except Unavailable:
            raise
        except Exception as mistake:  # noqa: BLE001 - the walk begins anew
            self.swept.mistakes.add(mistake)
            return None

    def _mark(self, place: "_Place", found: Mapping[str, Any] | None) -> None:
        """Where another sweeper wrote meanwhile, its bookmark is as good."""
        try:
            self._sweeper.progress.write(self._key, place.bookmark(), found)
        except Unavailable:
            raise
        except Exception as mistake:  # noqa: BLE001 - what was posted stays posted
            self.swept.mistakes.add(mistake)

    def _step(self, place: "_Place") -> None:
        """One page. One that cannot be read by a mistake, such as a bookmark's, ends its shard."""
        after: str | None = None
        try:
            page = self._sweeper.work.page(place.shard, place.after, PAGE)
            for batch in batches(page.ids, BATCH):
                self._posting.work_off(batch)
            after = page.after
        except NOT_NOW:
            raise
        except Exception as mistake:  # noqa: BLE001 - the other shards are worked on all the same
            self.swept.mistakes.add(mistake)
        self._walked = place.advance(after)


@dataclass(slots=True)
class _Place:
    """Where the walk is."""

    shard: str
    after: str | None

    @classmethod
    def of(cls, bookmark: Any) -> "_Place":
        """The beginning, for none and for one that makes no sense."""
        value = bookmark or {}
        shard, after = value.get("shard"), value.get("after")
        if shard not in shards() or not isinstance(after, str | None):
            return cls(shards()[0], None)
        return cls(shard, after)

    def bookmark(self) -> dict[str, Any]:
        return {"shard": self.shard, "after": self.after}

    def advance(self, after: str | None) -> bool:
        """To the rest of the shard or to the next one. Whether that was the last of them."""
        self.after = after
        if after is not None:
            return False
        everything = shards()
        self.shard = everything[(everything.index(self.shard) + 1) % len(everything)]
        return self.shard == everything[0]


def _halfway(now: Instant, until: Instant) -> Instant:
    return now.later(max(0.0, until.monotonic - now.monotonic) / 2)
