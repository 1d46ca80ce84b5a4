"""Copies that AWS makes from one region to another: at once or, where there is no way, late and in order."""

from collections.abc import Callable
from dataclasses import dataclass

from ministack.core.responses import get_account_id, request_scope

from lab.embedded import deliveries, outage
from lab.embedded.handlers import Handlers

Make = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Late:
    account: str
    source: str
    target: str
    make: Make


_late: list[_Late] = []


def register(_: Handlers) -> None:
    deliveries.add(catch_up)


def make(source: str, target: str, copy: Make) -> bool:
    """In the account and region of the source; whether it was made at once."""
    waits = any((one.source, one.target) == (source, target) for one in _late)
    late = _Late(get_account_id(), source, target, copy)
    if waits or not outage.now().reaches(source, target):
        _late.append(late)
        return False
    _run(late)
    return True


def catch_up() -> None:
    """What has a way now."""
    if not _late:
        return
    reaches = outage.now().reaches
    possible = [one for one in _late if reaches(one.source, one.target)]
    for one in possible:
        _late.remove(one)  # first: one that fails must not keep the others waiting
        _run(one)


def _run(one: _Late) -> None:
    with request_scope(one.account, one.source):
        one.make()
