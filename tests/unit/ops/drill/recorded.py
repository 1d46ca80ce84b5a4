"""Attempts and outcomes as traffic records them, made up."""

from datetime import UTC, datetime

from ops.drill.books import Books, Line, Row
from ops.drill.measures import PAYMENTS, Asked, Try
from ops.traffic import Attempt, Order, Outcome, Sent

BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)
MERCHANT = "drill-1"


def order(number: int = 0, due: float = 0.0, client: int = 0) -> Order:
    return Order(due, client, f"k-{number}", 100, "USD", "debtor", "creditor", f"drill {number}")


def paid(client: int, at: float, seconds: float = 0.1) -> Try:
    return Try(client, at, at + seconds, paid=True, failed=False)


def failed(client: int, at: float, seconds: float = 0.1) -> Try:
    return Try(client, at, at + seconds, paid=False, failed=True)


def steady(clients: int, start: float, end: float) -> list[Try]:
    """Each client pays every half second."""
    return [paid(client, start + n / 2) for client in range(clients) for n in range(int((end - start) * 2))]


def asked(
    number: int = 0, *, at: float = 0.0, outcome: Outcome = Outcome.POSTED, attempts: tuple[Attempt, ...] = ()
) -> Asked:
    status = {Outcome.POSTED: 201, Outcome.ACCEPTED: 202, Outcome.REFUSED: 422}.get(outcome)
    made = attempts or (Attempt(PAYMENTS, at, 0.1, status),)
    ended = made[-1].at + made[-1].seconds
    return Asked(MERCHANT, Sent(order(number, at), outcome, made, ended, {}))


def row(one: Asked, posted_at: datetime = BEGAN, amount: int | None = None) -> Row:
    wanted = one.sent.order
    said = amount if amount is not None else wanted.amount
    return Row(one.id, MERCHANT, said, "USD", wanted.debtor, wanted.creditor, wanted.reference, 1, posted_at)


def lines(one: Asked) -> tuple[Line, ...]:
    return ((1, "debtor", -100, "USD"), (2, "creditor", 100, "USD"))


def booked(*all_asked: Asked, posted_at: datetime = BEGAN) -> Books:
    return Books(tuple(row(one, posted_at) for one in all_asked), {one.id: lines(one) for one in all_asked})
