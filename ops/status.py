"""What an observation means: who takes payments, what is wrong, what is unknown; as text and as JSON."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from failover.control import ControlRecord, Phase
from failover.planner import Unknown
from failover.writer import GlobalDatabase, Member
from ops.observation import QUESTIONS, DnsAnswer, Observation, OpenEntries, Region
from payments.audit import Bookmark, Stage
from payments.ship import Head

# From when on the alarms of the same names ring.
_LONGEST_LAG_MS: Final = 5000
_LONGEST_OPEN: Final = timedelta(minutes=10)
_AUDIT_DUE: Final = timedelta(hours=26)
_LEASE, _NO_LEASE = 200, 503  # what /health says


class Kind(StrEnum):
    WRONG = "wrong"
    UNKNOWN = "unknown"  # not answered, which is not "no"


@dataclass(frozen=True, slots=True)
class Finding:
    """`region` is None where it is about both; `todo` is what to do next."""

    kind: Kind
    region: str | None
    what: str
    todo: str

    @property
    def text(self) -> str:
        return f"{self.region or 'both regions'}: {self.what}; {self.todo}"


@dataclass(frozen=True, slots=True)
class Report:
    observation: Observation
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        return not self.findings


def report(seen: Observation) -> Report:
    """What is wrong before what is unknown."""
    found = (
        *_takeover(seen),
        *_health(seen),
        *_dns(seen),
        *_ledger(seen),
        *_backlog(seen),
        *_alarms(seen),
        *_audit(seen),
    )
    findings = sorted((*found, *_unanswered(seen)), key=lambda finding: list(Kind).index(finding.kind))
    return Report(seen, tuple(findings))


def _wrong(region: str | None, what: str, todo: str) -> Finding:
    return Finding(Kind.WRONG, region, what, todo)


def _unanswered(seen: Observation) -> Iterator[Finding]:
    """One for each reason: a region that is gone has few reasons for many questions."""
    todo = "look at the region, the network, and what these credentials may do; ask again"
    if isinstance(seen.dns, Unknown):
        yield Finding(Kind.UNKNOWN, None, f"dns: {seen.dns.why}", "look at this machine's name servers")
    for one in seen.regions:
        questions: dict[str, list[str]] = {}
        for question, unknown in one.unanswered.items():
            questions.setdefault(unknown.why, []).append(question)
        for why, asked in questions.items():
            yield Finding(Kind.UNKNOWN, one.region, f"{', '.join(asked)}: {why}", todo)


def _takeover(seen: Observation) -> Iterator[Finding]:
    record = seen.control
    if isinstance(record, Unknown):
        return
    if seen.named(record.active) is None:
        todo = "check --config and --environment"
        yield _wrong(None, f"the control record names {record.active}, which is neither of them", todo)
    if record.phase is not Phase.STEADY:
        what = f"the takeover under epoch {record.epoch} is {record.phase} since {_text(record.changed_at)}"
        todo = "ask again; if it stays, read the log of its function recover"
        yield _wrong(record.active, what, todo)


def _health(seen: Observation) -> Iterator[Finding]:
    record = seen.control
    if isinstance(record, Unknown):
        return
    for one in seen.regions:
        if isinstance(one.health, Unknown):
            continue
        if one.region == record.active and one.health != _LEASE:
            what = f"it is active and takes no payments: /health says {one.health}"
            yield _wrong(one.region, what, "read the log of its function api")
        if one.region != record.active and one.health == _LEASE:
            what = f"/health says {_LEASE}, though {record.active} is active"
            yield _wrong(one.region, what, "ask again: it may have changed a moment ago")
        if one.region != record.active and one.health not in (_LEASE, _NO_LEASE):
            what = f"/health of the standby says {one.health}, not {_NO_LEASE}: it may be unable to take over"
            yield _wrong(one.region, what, "read the log of its function api")


def _dns(seen: Observation) -> Iterator[Finding]:
    record, dns = seen.control, seen.dns
    if isinstance(dns, Unknown):
        return
    if dns.region is None:
        what = f"whose addresses DNS has for the domain ({', '.join(dns.addresses)}), nobody knows"
        yield Finding(Kind.UNKNOWN, None, what, "compare them with those of the regions' own host names")
    elif isinstance(record, ControlRecord) and dns.region != record.active:
        what = f"DNS leads clients to it, though {record.active} is active"
        todo = "ask again in two minutes, then look at the health check of the primary's record"
        yield _wrong(dns.region, what, todo)


def _ledger(seen: Observation) -> Iterator[Finding]:
    known = [(one, one.ledger) for one in seen.regions if isinstance(one.ledger, GlobalDatabase)]
    if not known:
        return
    writer = seen.writer
    if isinstance(writer, Unknown):
        yield Finding(Kind.UNKNOWN, None, writer.why, "ask again: the writer may be changing")
    else:
        yield from _roles(seen, writer)
    _, ledger = max(known, key=lambda pair: pair[0].region == writer)
    for member in ledger.members:
        yield from _replication(member)
    missing = [one.region for one in seen.regions if one.region not in {m.region for m in ledger.members}]
    for region in missing:
        yield _wrong(region, "its cluster is not a member of the global cluster", "add it again")
    if (change := ledger.change) is not None:
        loss = ", with loss of what was not replicated" if change.loses_data else ""
        what = f"the writer changes over to it ({change.state}{loss})"
        yield _wrong(change.target, what, "ask again until it has ended")
    elif ledger.state != "available":
        yield _wrong(None, f"the global cluster is {ledger.state}", "ask again; RDS's events say why")


def _roles(seen: Observation, writer: str) -> Iterator[Finding]:
    record = seen.control
    if isinstance(record, ControlRecord) and record.active != writer:
        what = f"it is active, and the ledger's writer is in {writer}: payments wait in the journal"
        yield _wrong(record.active, what, "read the log of its function recover")
    for one in seen.regions:
        if one.region == writer:
            continue
        if one.lag is None:
            what = "nobody measured lately how far its copy of the ledger is behind"
            yield Finding(Kind.UNKNOWN, one.region, what, "ask again in a minute, then look at the cluster")
        elif not isinstance(one.lag, Unknown) and one.lag > _LONGEST_LAG_MS:
            what = f"its copy of the ledger is {one.lag:.0f} ms behind the writer"
            yield _wrong(one.region, what, "look at the load of both clusters")


def _replication(member: Member) -> Iterator[Finding]:
    if member.connected is False:
        what = f"cluster {member.cluster} is not attached: it gets nothing from the writer"
        yield _wrong(member.region, what, "wait until RDS has made it anew from the writer")
    if member.connected is None and not member.writer:
        what = f"whether cluster {member.cluster} is attached, RDS does not say"
        yield Finding(Kind.UNKNOWN, member.region, what, "ask again, then look at the cluster")


def _backlog(seen: Observation) -> Iterator[Finding]:
    backlog = _said(seen, lambda one: one.open)
    if not isinstance(backlog, OpenEntries) or backlog.oldest is None:
        return
    if seen.at - backlog.oldest > _LONGEST_OPEN:
        what = f"a payment of {_text(backlog.oldest)} is not known to be in both databases yet"
        yield _wrong(None, what, "read the logs of sweep in the active region and settle in the standby")


def _alarms(seen: Observation) -> Iterator[Finding]:
    for one in seen.regions:
        for name in () if isinstance(one.alarms, Unknown) else one.alarms:
            yield _wrong(one.region, f"alarm {name}", "its description says what it means")


def _audit(seen: Observation) -> Iterator[Finding]:
    last = _said(seen, lambda one: one.audit)
    if not isinstance(last, Bookmark):
        return
    if last.differences:
        what = f"the audit of {last.day} found {last.differences} differences between journal and ledger"
        yield _wrong(None, what, "the log of the function audit in the active region names each payment")
    if seen.at - (last.completed or last.since) > _AUDIT_DUE:
        what = f"no audit got through since {_text(last.completed or last.since)}"
        yield _wrong(None, what, "read the log of the function audit in the active region")


def _said(seen: Observation, question: Callable[[Region], object]) -> object:
    """What is the same wherever it is asked: the active region's answer, else the other's."""
    record = seen.control
    active = record.active if isinstance(record, ControlRecord) else None
    answers = [question(one) for one in sorted(seen.regions, key=lambda one: one.region != active)]
    return next((answer for answer in answers if not isinstance(answer, Unknown)), None)


def document(found: Report) -> dict[str, Any]:
    """The shape that docs/operations.md describes."""
    seen = found.observation
    return {
        "at": _text(seen.at),
        "healthy": found.healthy,
        "control": _or_unknown(seen.control, _control),
        "writer": _or_unknown(seen.writer, str),
        "dns": _or_unknown(seen.dns, _direction),
        "regions": {one.region: _region(seen, one) for one in seen.regions},
        "findings": [
            {"kind": each.kind.value, "region": each.region, "what": each.what, "todo": each.todo}
            for each in found.findings
        ],
    }


def _region(seen: Observation, one: Region) -> dict[str, Any]:
    return {
        "place": one.place,
        "role": _role(seen, one),
        "answered": _answered(one),
        "control": _or_unknown(one.control, _control),
        "health": _or_unknown(one.health, lambda status: {"status": status, "lease": status == _LEASE}),
        "ledger": _or_unknown(one.ledger, _described),
        "lag_ms": _or_unknown(one.lag, lambda lag: lag),
        "open": _or_unknown(one.open, lambda backlog: _open(seen.at, backlog)),
        "alarms": _or_unknown(one.alarms, list),
        "audit": _or_unknown(one.audit, _audited),
        "log": _or_unknown(one.log, _position),
    }


def _or_unknown(answer: Any, shown: Callable[[Any], Any]) -> Any:
    return {"unknown": answer.why} if isinstance(answer, Unknown) else shown(answer)


def _role(seen: Observation, one: Region) -> str:
    if isinstance(seen.control, Unknown):
        return "unknown"
    return "active" if one.region == seen.control.active else "standby"


def _answered(one: Region) -> str:
    if not one.unanswered:
        return "everything"
    return "nothing" if len(one.unanswered) == len(QUESTIONS) else "some"


def _control(record: ControlRecord) -> dict[str, Any]:
    return {
        "active": record.active,
        "epoch": record.epoch,
        "phase": record.phase.value,
        "since": _text(record.changed_at),
        "reason": record.reason,
    }


def _direction(dns: DnsAnswer) -> dict[str, Any]:
    return {"addresses": list(dns.addresses), "region": dns.region, "ttl_seconds": dns.ttl_seconds}


def _described(ledger: GlobalDatabase) -> dict[str, Any]:
    change = ledger.change
    return {
        "state": ledger.state,
        "members": [
            {
                "region": each.region,
                "cluster": each.cluster,
                "writer": each.writer,
                "connected": each.connected,
            }
            for each in ledger.members
        ],
        "change": None
        if change is None
        else {"state": change.state, "to": change.target, "loses_data": change.loses_data},
    }


def _open(at: datetime, backlog: OpenEntries) -> dict[str, Any]:
    return {
        "count": backlog.count,
        "at_least": backlog.at_least,
        "oldest_seconds": None if backlog.oldest is None else _age(at, backlog.oldest),
    }


def _age(at: datetime, moment: datetime) -> float:
    return round(max(0.0, (at - moment).total_seconds()), 1)


def _audited(last: Bookmark | None) -> dict[str, Any] | None:
    if last is None:
        return None
    return {
        "day": last.day.isoformat(),
        "done": last.stage is Stage.DONE,
        "compared": last.compared,
        "differences": last.differences,
        "completed": None if last.completed is None else _text(last.completed),
    }


def _position(head: Head | None) -> dict[str, Any] | None:
    if head is None:
        return None
    return {
        "segment": head.chain.segment,
        "hash": head.chain.hash,
        "txid": head.chain.position.txid,
        "payment_id": head.chain.position.payment_id,
        "intended": None if head.shipped else head.end.segment,
    }


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def text(found: Report) -> str:
    seen = found.observation
    table = [("", *(one.region for one in seen.regions))]
    table += [(title, *(cell(seen, one) for one in seen.regions)) for title, cell in _ROWS]
    findings = [f"{each.kind:<7}  {each.text}" for each in found.findings]
    return "\n".join((_headline(seen), _dns_line(seen), *columns(table), *(findings or ["nothing is wrong"])))


def _headline(seen: Observation) -> str:
    record = seen.control
    if isinstance(record, Unknown):
        return "which region is active is unknown"
    since = _text(record.changed_at)
    return f"{record.active} is active, epoch {record.epoch}, {record.phase} since {since}: {record.reason}"


def _dns_line(seen: Observation) -> str:
    dns = seen.dns
    if isinstance(dns, Unknown):
        return "where DNS leads is unknown"
    where = dns.region or "nobody knows which region"
    return f"DNS leads to {where} ({', '.join(dns.addresses)}), for {dns.ttl_seconds:.0f} s"


def columns(table: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _known(answer: Any, shown: Callable[[Any], str]) -> str:
    """Why it is unknown is among the findings: cells are narrow."""
    return "unknown" if isinstance(answer, Unknown) else shown(answer)


def _ledger_cell(seen: Observation, one: Region) -> str:
    if not isinstance(one.ledger, GlobalDatabase):
        return "unknown"
    mine = [member for member in one.ledger.members if member.region == one.region]
    if not mine:
        return "not a member"
    attached = {True: "attached", False: "not attached", None: "attachment unknown"}[mine[0].connected]
    return "writer" if mine[0].writer else f"copy, {attached}"


def _open_cell(at: datetime, backlog: OpenEntries) -> str:
    if backlog.oldest is None:
        return "none"
    more = "at least " if backlog.at_least else ""
    return f"{more}{backlog.count}, oldest {_age(at, backlog.oldest):.0f} s"


def _audit_cell(last: Bookmark | None) -> str:
    if last is None:
        return "none yet"
    state = "done" if last.stage is Stage.DONE else "under way"
    return f"{last.day} {state}, {last.differences} differences"


_ROWS: Final[tuple[tuple[str, Callable[[Observation, Region], str]], ...]] = (
    ("role", _role),
    ("answered", lambda _, one: _answered(one)),
    ("epoch", lambda _, one: _known(one.control, lambda record: f"{record.epoch} {record.phase}")),
    ("/health", lambda _, one: _known(one.health, str)),
    ("ledger", _ledger_cell),
    ("lag", lambda _, one: _known(one.lag, lambda lag: "-" if lag is None else f"{lag:.0f} ms")),
    ("open entries", lambda seen, one: _known(one.open, lambda backlog: _open_cell(seen.at, backlog))),
    ("alarms", lambda _, one: _known(one.alarms, lambda names: str(len(names)) if names else "none")),
    ("audit", lambda _, one: _known(one.audit, _audit_cell)),
    ("log", lambda _, one: _known(one.log, lambda h: f"segment {h.chain.segment}" if h else "none yet")),
)
