"""Who is active, and whether both regions hold the same payments: what a failover starts from."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from failover.control import ControlRecord, Phase
from failover.planner import Unknown
from failover.writer import GlobalDatabase
from ops.observation import OpenEntries
from ops.readiness.check import ASK_AGAIN, Check, Problems, judged, unknown
from ops.readiness.facts import Books, Comparison, Seen

# From when on the alarms of the same names ring.
_LONGEST_LAG_MS: Final = 5000
_LONGEST_OPEN: Final = timedelta(minutes=10)
# How alarms begin that are no reason to stay: about the other region, which may be why it is left; and about
# the region's own health check, which is red for as long as it is not the active one.
_NO_REASON: Final = ("peer-unreachable-", "health-")
_HEALTHY: Final = {True: 200, False: 503}  # by whether the region is active


def control(seen: Seen) -> Iterator[Check]:
    record, name = seen.status.control, "control record"
    mine = seen.status_of(seen.here).control
    if isinstance(record, Unknown):
        yield unknown(name, None, record.why)
    elif isinstance(mine, Unknown):  # which is asked when it takes over
        yield unknown(name, seen.here.region, mine.why)
    else:
        yield judged(name, None, _of_control(seen, record), f"{record.active}, epoch {record.epoch}, steady")


def _of_control(seen: Seen, record: ControlRecord) -> Problems:
    if record.active == seen.here.region:
        yield f"{seen.here.region} is active already", "nothing, or name the other region with --to"
    elif record.active != seen.there.region:
        yield f"it names {record.active}, which is neither region", "check --config and --environment"
    if record.phase is not Phase.STEADY:
        todo = "ask again; if it stays, read the log of its function recover"
        yield f"the takeover under epoch {record.epoch} is {record.phase}", todo


def health(seen: Seen) -> Iterator[Check]:
    record = seen.status.control
    for one in seen.facts:
        health = seen.status_of(one).health
        active = isinstance(record, ControlRecord) and record.active == one.region
        if isinstance(health, Unknown):
            yield unknown("health", one.region, health.why)
        elif isinstance(record, Unknown):
            yield unknown("health", one.region, f"/health says {health}, and who is active is unknown")
        else:
            wrong = health != _HEALTHY[active]
            what = f"/health says {health}, not {_HEALTHY[active]}", "read the log of its function api"
            yield judged("health", one.region, [what] if wrong else [], f"/health says {health}")


def ledger(seen: Seen) -> Iterator[Check]:
    """As the region that is to be promoted sees it: it is the one that is asked to."""
    ledger, name = seen.status_of(seen.here).ledger, "ledger"
    if isinstance(ledger, Unknown):
        yield unknown(name, seen.here.region, ledger.why)
        return
    silent = [m.cluster for m in ledger.members if m.connected is None and not m.writer]
    problems = list(_of_ledger(seen, ledger))
    if silent and not problems:
        yield unknown(name, None, f"whether {' and '.join(silent)} is attached, RDS does not say")
        return
    yield judged(name, None, problems, "every member is attached")


def _of_ledger(seen: Seen, ledger: GlobalDatabase) -> Problems:
    regions = {member.region for member in ledger.members}
    for one in seen.facts:
        if one.region not in regions:
            yield f"the cluster of {one.region} is not a member of the global cluster", "add it again"
    writers = [member.region for member in ledger.members if member.writer]
    if writers != [seen.there.region]:
        named = " and ".join(writers) or "nobody"
        yield f"the writer is {named}, not {seen.there.region}", "run `status`: it says what is under way"
    for member in ledger.members:
        if member.connected is False:
            todo = "wait until RDS has made it anew from the writer"
            yield f"cluster {member.cluster} is not attached", todo
    if ledger.change is not None:
        yield f"the writer changes over to {ledger.change.target}", "ask again until it has ended"
    elif ledger.state != "available":
        yield f"the global cluster is {ledger.state}", "ask again; RDS's events say why"


def lag(seen: Seen) -> Iterator[Check]:
    name, region, lag = "lag", seen.here.region, seen.status_of(seen.here).lag
    if isinstance(lag, Unknown):
        yield unknown(name, region, lag.why)
    elif lag is None:
        todo = "ask again in a minute, then look at the cluster"
        yield unknown(name, region, "nobody measured lately how far its copy is behind", todo)
    else:
        late = [(f"its copy is {lag:.0f} ms behind", "look at the load of both clusters")]
        yield judged(name, region, late if lag > _LONGEST_LAG_MS else [], f"{lag:.0f} ms behind the writer")


def journal(seen: Seen) -> Iterator[Check]:
    name, region, open_ = "journal", seen.here.region, seen.status_of(seen.here).open
    if isinstance(open_, Unknown):
        yield unknown(name, region, open_.why)
        return
    fine = f"{'at least ' if open_.at_least else ''}{open_.count} open entries"
    yield judged(name, region, _of_journal(seen, open_), fine)


def _of_journal(seen: Seen, found: OpenEntries) -> Problems:
    if found.oldest is not None and (age := seen.status.at - found.oldest) > _LONGEST_OPEN:
        todo = "read the logs of sweep in the active region and settle in the standby"
        yield f"{found.count} entries are open, the oldest for {age.total_seconds() / 60:.0f} minutes", todo


def alarms(seen: Seen) -> Iterator[Check]:
    """Of the region that is to take over: what rings in the other may be the reason to leave it."""
    name, region, ringing = "alarms", seen.here.region, seen.status_of(seen.here).alarms
    if isinstance(ringing, Unknown):
        yield unknown(name, region, ringing.why)
        return
    todo = "its description says what it means"
    excused = tuple(f"{seen.settings.names.service}-{one}" for one in _NO_REASON)
    problems = [(f"{alarm} rings", todo) for alarm in ringing if not alarm.startswith(excused)]
    yield judged(name, region, problems, "none rings")


def comparison(seen: Seen) -> Iterator[Check]:
    """What the region that is to take over sees decides; the other's word is for when it is silent."""
    name = "ledgers"
    told = [one.comparison for one in (seen.here, seen.there) if isinstance(one.comparison, Comparison)]
    complete = [each for each in told if not _silent(each)]
    if not complete:
        silent = [why for each in told for why in _silent(each)]
        why = [
            f"{one.region}: {one.comparison.why}" for one in seen.facts if isinstance(one.comparison, Unknown)
        ]
        yield unknown(name, None, "; ".join(dict.fromkeys((*silent, *why))))
        return
    yield judged(name, None, _of_comparison(seen, complete[0]), _compared(complete[0]))


def _silent(found: Comparison) -> list[str]:
    if len(found.ledgers) < 2:
        return ["the global cluster has no two members"]
    return [f"{region}: {books.why}" for region, books in found.ledgers.items() if isinstance(books, Unknown)]


def _books(found: Comparison) -> dict[str, Books]:
    return {region: books for region, books in found.ledgers.items() if isinstance(books, Books)}


def _compared(found: Comparison) -> str:
    (first, *_) = _books(found).values()
    return f"the newest {first.payments} payments are the same"


def _of_comparison(seen: Seen, found: Comparison) -> Problems:
    books = _books(found)
    here, there = books.get(seen.here.region), books.get(seen.there.region)
    todo = "stop and look: the copy is not what the writer is; the audit names payments"
    if here is None or there is None:
        yield f"the members are {' and '.join(sorted(books))}", "check --config and --environment"
        return
    if not here.copy:
        yield f"the ledger of {seen.here.region} is no copy", "run `status`: it says who is the writer"
    if (here.payments, here.digest) != (there.payments, there.digest):
        yield f"the newest {there.payments} payments differ from the copy's {here.payments}", todo
    if here.epoch != there.epoch:
        yield f"the fence is {there.epoch} at the writer and {here.epoch} in its copy", "ask again"


def migrations(seen: Seen) -> Iterator[Check]:
    """Of the ledger that the region will have against its own code: whoever was not the writer when its
    release came migrated nothing, and nobody does after the roles have changed.
    """
    for one in seen.facts:
        found = one.comparison
        if isinstance(found, Unknown):
            yield unknown("migrations", one.region, found.why)
            continue
        books = found.ledgers.get(one.region, Unknown("its cluster is not a member"))
        if isinstance(books, Unknown):
            books = next((each for each in found.ledgers.values() if isinstance(each, Books)), books)
        if isinstance(books, Unknown):
            yield unknown("migrations", one.region, books.why)
        elif books.applied is None:
            yield unknown(
                "migrations", one.region, "the ledger does not say", "deploy again: it migrates the writer"
            )
        else:
            missing = [name for name in found.expected if name not in books.applied]
            problems = [
                (f"the ledger lacks {name}", "deploy again: it migrates the writer") for name in missing
            ]
            yield judged("migrations", one.region, problems, f"{len(found.expected)} are applied")


def plan(seen: Seen) -> Iterator[Check]:
    name, region, found = "plan", seen.here.region, seen.here.plan
    todo = "see the plan in Region switch; meanwhile: failover --direct"
    if isinstance(found, Unknown):
        yield unknown(name, region, found.why, f"{ASK_AGAIN}; meanwhile: failover --direct")
    elif found.state in ("pendingEvaluation", "unknown"):
        yield unknown(
            name, region, f"Region switch says {found.state}", "ask again; it looks every half hour"
        )
    else:
        problems = [(warning, todo) for warning in found.warnings]
        if found.state != "passed" and not problems:
            problems.append((f"Region switch says {found.state}", todo))
        if found.execution is not None:
            problems.append(
                (f"execution {found.execution} is under way", "follow it: the same `failover` command")
            )
        yield judged(name, region, problems, "Region switch finds nothing wrong with it")
