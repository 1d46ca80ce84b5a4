"""A trace as somebody reads it: calls, answers and what went wrong, in a few words each."""

import json
from functools import singledispatch
from typing import Any

from failover.control import ControlRecord
from failover.writer import Member
from payments.idempotency import payment_id
from payments.journal import JournalEntry
from payments.model import Payment
from payments.ports import Entries, Ids
from payments.ship import LogPage
from payments.transaction_log import Position, Segment
from tests.model.ports import MERCHANT
from tests.model.replay import Call, Raised
from tests.model.world import KEYS, REGIONS

_NAMES = {payment_id(MERCHANT, key): key for key in KEYS}


def told_call(call: Call) -> str:
    arguments = ", ".join(told(argument) for argument in call.args if argument is not None)
    return f"{REGIONS[call.region]}: {call.to}({arguments})"


@singledispatch
def told(value: Any) -> str:
    return str(value)


@told.register
def _(text: str) -> str:
    if text.startswith("{"):
        head = json.loads(text)
        return f"segment {head['segment']} {'shipped' if head['shipped'] else 'intended'}"
    return _NAMES.get(text, text)


@told.register
def _(value: tuple) -> str:  # type: ignore[type-arg] # singledispatch takes classes only
    return f"[{', '.join(told(one) for one in value)}]"


@told.register
def _(value: frozenset) -> str:  # type: ignore[type-arg] # the same
    return told(tuple(sorted(value)))


@told.register
def _(record: ControlRecord) -> str:
    return f"epoch {record.epoch}, {record.active} active, {record.phase.value}"


@told.register
def _(entry: JournalEntry) -> str:
    amount = "stripped" if entry.request is None else str(entry.request.money.amount)
    state = "settled" if entry.open is None else "open"
    return f"{told(entry.payment_id)} of {amount} under epoch {entry.epoch}, {state}"


@told.register
def _(payment: Payment) -> str:
    return f"{told(payment.payment_id)} of {payment.request.money.amount}"


@told.register
def _(entries: Entries) -> str:
    return told(entries.entries)


@told.register
def _(ids: Ids) -> str:
    return told(ids.ids)


@told.register
def _(member: Member) -> str:
    return f"{member.region}{' writes' if member.writer else ''}"


@told.register
def _(position: Position) -> str:
    return f"after transaction {position.txid}"


@told.register
def _(page: LogPage) -> str:
    return told(tuple(row.payment for row in page.rows))


@told.register
def _(segment: Segment) -> str:
    return f"segment {segment.number} of {segment.rows} rows"


@told.register
def _(raised: Raised) -> str:
    return f"{raised.kind.__name__}{': ' if raised.detail else ''}{raised.detail}"
