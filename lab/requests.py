"""What went through the regions' proxies, and what of it nobody may ask while a region is dead.

To recover, nothing may be needed of the region that died, nor of a control plane: Route 53, IAM and
CloudFormation change things in one region only, which may be the dead one. Operators may ask what they like:
their calls are told by the account's own key. What CloudFormation and StackSets do passes no proxy.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from failover.control import LEASE_SECONDS
from lab.proxy import LogEntry

CONTROL_PLANES = frozenset({"route53", "iam", "cloudformation"})
_WRITES = frozenset({"PutItem", "UpdateItem"})
_LATE = 1.0  # seconds from a decision to the request that follows from it


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A call that recovery must not make, and why not."""

    call: LogEntry
    why: str

    def __str__(self) -> str:
        call = self.call
        who = call.function or call.access_key or "somebody"
        asked = f"{call.service} {call.operation} {call.resource}".rstrip()
        return (
            f"{call.at:.3f} {who} in {call.caller} asked {call.target}: {asked} ({call.status}): {self.why}"
        )


def read(logs: Path) -> tuple[LogEntry, ...]:
    """All proxies', in the order in which the requests came; a line that is being written is left out."""
    entries = [entry for file in sorted(logs.glob("requests-*.jsonl")) for entry in _entries(file)]
    return tuple(sorted(entries, key=lambda entry: entry.at))


def forbidden(calls: Iterable[LogEntry], dead: str, since: float, until: float) -> tuple[Forbidden, ...]:
    """Of what came between the region's death and the recovery, what must not have.

    Two things are asked of a dead region by design: whether it answers, by probes; and what a client wants,
    by the API of a region that is not active, as long as the control record names the dead one.
    """
    during = [call for call in calls if since <= call.at <= until and not call.operator]
    known = min((_done(call) for call in during if _changes_who_is_active(call)), default=until)
    found = []
    for call in during:
        if call.service in CONTROL_PLANES:
            found.append(Forbidden(call, "a control plane"))
        elif call.target == dead != call.caller and not _may_ask_the_dead(call, known):
            found.append(Forbidden(call, "the region is dead"))
    return tuple(found)


def _may_ask_the_dead(call: LogEntry, known: float) -> bool:
    if _runs(call, "probe"):
        return True
    handed_over = call.service == "lambda" and "-api-" in call.resource and "invocations" in call.resource
    return handed_over and _runs(call, "api") and call.at <= known + LEASE_SECONDS + _LATE


def _changes_who_is_active(call: LogEntry) -> bool:
    written = call.service == "dynamodb" and call.operation in _WRITES and call.status == 200
    return written and "-control-" in call.resource


def _done(call: LogEntry) -> float:
    return call.at + call.ms / 1000


def _runs(call: LogEntry, component: str) -> bool:
    """Whether it is a function of that name, in whichever place and environment."""
    return bool(re.search(rf"-{component}-(primary|secondary|witness)-", call.function))


def _entries(file: Path) -> Iterator[LogEntry]:
    for line in file.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            yield LogEntry(**json.loads(line))
