"""The numbers of a drill, as functions of what was recorded: attempts, events, the journal, the ledger.

All times are seconds since the traffic began, by this machine's clock.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ops.drill.books import Books, Row
from ops.traffic import Attempt, Order, Outcome, Sent
from payments.idempotency import payment_id

PAYMENTS: Final = "/payments"
_ACKNOWLEDGED: Final = frozenset({201, 202})
SUCCESS_SECONDS: Final = 60.0  # in which every client has to succeed, at real timers
POSTED_SECONDS: Final = 60.0  # after `steady`; not scaled


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, and in which region if in one. `kind` is for the measures, `event` for people."""

    at: float
    kind: str
    event: str
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt of a client: that a payment was acknowledged by, or that kept the client from paying."""

    client: int
    at: float
    ended: float
    paid: bool
    failed: bool


def tries(sent: Iterable[Sent]) -> list[Try]:
    return [tried(one.order, attempt) for one in sent for attempt in one.attempts]


def tried(order: Order, attempt: Attempt) -> Try:
    """A session that was opened pays nothing; one that ran out, 401, is the client's to renew."""
    paid = attempt.path == PAYMENTS and attempt.status in _ACKNOWLEDGED
    opened = attempt.path != PAYMENTS and attempt.status == 201
    failed = not paid and not opened and attempt.status != 401
    return Try(order.client, attempt.at, attempt.at + attempt.seconds, paid, failed)


def recovered(attempts: Iterable[Try], since: float, window: float, clients: int) -> float | None:
    """When the first `window` seconds began in which every client succeeded; None while there are none.

    No attempt that failed reaches into them, and every client has one in them that was acknowledged.
    """
    after = [one for one in attempts if one.ended >= since]
    last = max((one.ended for one in after), default=since)
    for begins, ends in _gaps([(one.at, one.ended) for one in after if one.failed], since, last):
        inside = {
            one.client for one in after if one.paid and begins <= one.at and one.ended <= begins + window
        }
        if ends - begins >= window and len(inside) == clients:
            return begins
    return None


def _gaps(
    failures: Iterable[tuple[float, float]], since: float, last: float
) -> Iterator[tuple[float, float]]:
    """What lies between the failures, from `since` to `last`."""
    clear = since
    for at, ended in sorted(failures):
        if at > clear:
            yield clear, at
        clear = max(clear, ended)
    if last > clear:
        yield clear, last


def first(events: Iterable[Event], kind: str, *, since: float, region: str | None = None) -> float | None:
    found = (
        event.at
        for event in events
        if event.kind == kind and event.at >= since and region in (None, event.region)
    )
    return min(found, default=None)


@dataclass(frozen=True, slots=True)
class Asked:
    """A payment that somebody asked for, and what they were told."""

    merchant: str
    sent: Sent

    @property
    def id(self) -> str:
        return payment_id(self.merchant, self.sent.order.key)

    def is_booked(self, rows: Sequence[Row], books: Books) -> bool:
        """Exactly once, with the right amount and accounts."""
        order = self.sent.order
        lines = (
            (1, order.debtor, -order.amount, order.currency),
            (2, order.creditor, order.amount, order.currency),
        )
        return (
            len(rows) == 1
            and rows[0].says
            == (self.merchant, order.amount, order.currency, order.debtor, order.creditor, order.reference)
            and books.lines.get(self.id, ()) == lines
        )


def lost(asked: Iterable[Asked], books: Books) -> list[Asked]:
    """Acknowledged, and not in the ledger exactly once with the right amount and accounts."""
    rows = books.by_id()
    return [one for one in asked if one.sent.acknowledged and not one.is_booked(rows.get(one.id, ()), books)]


def duplicated(asked: Iterable[Asked], books: Books) -> int:
    """How many rows there are too many: by id, and by what was wanted under another id."""
    wanted = {(one.merchant, one.sent.order.reference) for one in asked}
    found = Counter((row.merchant, row.reference) for row in books.rows)
    return sum(times - 1 for what, times in found.items() if what in wanted and times > 1)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the journal says of a payment: accepted when, and under which epoch."""

    accepted_at: datetime
    epoch: int


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    epoch: int
    began: float
    ended: float


def acknowledgements(
    asked: Iterable[Asked], journal: Mapping[str, Entry], began: datetime, slack: float = 0.05
) -> list[Acknowledgement]:
    """Those whose epoch is known: the attempt that was acknowledged is the one that made the journal's entry.

    A retry that joins an entry of before is acknowledged under an epoch that nobody wrote down, so it is left
    out. `slack` is what clocks of machines may differ by.
    """
    found = []
    for one in asked:
        entry = journal.get(one.id)
        answered = [
            each for each in one.sent.attempts if each.path == PAYMENTS and each.status in _ACKNOWLEDGED
        ]
        if entry is None or not answered:
            continue
        attempt = answered[-1]
        accepted = (entry.accepted_at - began).total_seconds()
        ended = attempt.at + attempt.seconds
        if attempt.at - slack <= accepted <= ended + slack:
            found.append(Acknowledgement(entry.epoch, attempt.at, ended))
    return found


def two_active(found: Collection[Acknowledgement]) -> float:
    """Seconds between the first acknowledgement of an epoch and the last start of one under an older epoch.

    Both are seen by the client: what was only on its way while the epoch changed does not count.
    """
    overlap = 0.0
    for epoch in {one.epoch for one in found}:
        first_answer = min(one.ended for one in found if one.epoch == epoch)
        older = [one.began for one in found if one.epoch < epoch]
        overlap = max(overlap, max(older, default=first_answer) - first_answer)
    return overlap


def posted_in_time(
    asked: Iterable[Asked], books: Books, began: datetime, steady: datetime | None
) -> float | None:
    """The share of 202s that were posted at most a minute after `steady`, or after they were told if that was
    later; None where there was no 202.
    """
    rows = books.by_id()
    accepted = [one for one in asked if one.sent.outcome is Outcome.ACCEPTED]
    if not accepted or steady is None:
        return None
    in_time = 0
    for one in accepted:
        since = max(steady, began + timedelta(seconds=one.sent.finished))
        posted = [row.posted_at for row in rows.get(one.id, ())]
        in_time += bool(posted) and (min(posted) - since).total_seconds() <= POSTED_SECONDS
    return in_time / len(accepted)


def rpo(missing: Iterable[Asked], fault: float) -> float:
    """How far before the fault the oldest acknowledged payment lies that is missing; 0 where none is."""
    oldest = min((one.sent.order.due for one in missing), default=fault)
    return max(0.0, fault - oldest)


def slowest(sent: Iterable[Sent]) -> float:
    return max((one.seconds for one in sent), default=0.0)
