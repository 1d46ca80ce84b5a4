"""What the functions of a region need around them, and how clients and the other region get there."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final

from failover.planner import Unknown
from ops.readiness.check import Check, Problems, both, each, judged, unknown
from ops.readiness.facts import Facts, HostName, Secret, Seen, Table
from ops.readiness.questions import TABLES

_EXPIRES_SOON: Final = timedelta(days=30)  # ACM renews 60 days before; who is here by then was not renewed
_ROUTES: Final = 3  # of each private subnet


def secrets(seen: Seen) -> Iterator[Check]:
    yield from both(
        seen, "secrets", lambda one: one.secrets, _of_secrets, lambda found: f"{len(found)} in sync"
    )


def _of_secrets(here: Mapping[str, Secret], there: Mapping[str, Secret]) -> Problems:
    for user in sorted(here.keys() | there.keys()):
        mine, theirs = here.get(user), there.get(user)
        if mine is None or theirs is None:
            yield f"there is no secret of {user} in one region", "deploy again"
            continue
        behind = sorted({*mine.behind, *theirs.behind})
        if behind:
            yield f"the replica of {user} in {', '.join(behind)} is not in sync", "have it replicated again"
        elif mine.version != theirs.version:
            yield (
                f"another version of {user} is in use in each region",
                "ask again; a rotation may be under way",
            )


def keys(seen: Seen) -> Iterator[Check]:
    yield from each(
        seen,
        "key",
        lambda one: one.key,
        lambda _, state: (
            [] if state == "Enabled" else [(f"it is {state}", "enable it, or cancel its deletion")]
        ),
        lambda state: state.lower(),
    )


def tables(seen: Seen) -> Iterator[Check]:
    yield from each(
        seen,
        "tables",
        lambda one: one.tables,
        lambda one, found: _of_tables(seen, one, found),
        lambda found: f"{len(found)} tables with their replicas and witnesses",
    )


def _of_tables(seen: Seen, one: Facts, found: Mapping[str, Table]) -> Problems:
    peer = seen.there.region if one is seen.here else seen.here.region
    witness, todo = seen.settings.regions.witness, "ask again; DynamoDB's health events say more"
    for name, strong in TABLES.items():
        table = found[name]
        if table.state != "ACTIVE":
            yield f"table {name} is {table.state}", todo
        if (state := table.replicas.get(peer, "not there")) != "ACTIVE":
            yield f"the replica of {name} in {peer} is {state}", todo
        if table.strong != strong:
            yield f"table {name} is not as consistent as its template says", "make it anew"
        if strong and (state := table.witnesses.get(witness, "not there")) != "ACTIVE":
            yield f"the witness of {name} in {witness} is {state}", todo


def copies(seen: Seen) -> Iterator[Check]:
    names = seen.settings.names
    for one in seen.facts:
        if isinstance(one.copies, Unknown):
            yield unknown("log copies", one.region, one.copies.why)
            continue
        wanted = names.bucket("received", "secondary" if one.place == "primary" else "primary")
        problems = []
        if not one.copies.enabled:
            problems.append(("the transaction log is not sent to the other region", "deploy again"))
        elif one.copies.destination != wanted:
            problems.append((f"the transaction log is sent to {one.copies.destination}", "deploy again"))
        yield judged("log copies", one.region, problems, f"sent to {wanted}")


def certificates(seen: Seen) -> Iterator[Check]:
    yield from each(
        seen,
        "certificates",
        lambda one: one.hosts,
        lambda _, found: _of_certificates(seen, found),
        lambda found: f"issued for {' and '.join(sorted(found))}",
    )


def _of_certificates(seen: Seen, found: Mapping[str, HostName]) -> Problems:
    for name, host in found.items():
        certificate = host.certificate
        if certificate.state != "ISSUED":
            yield f"the certificate of {name} is {certificate.state}", "is the zone still delegated?"
        elif name not in certificate.hosts:
            yield f"the certificate of {name} is not for it", "deploy again"
        elif certificate.expires is not None and certificate.expires - seen.status.at < _EXPIRES_SOON:
            todo = "ACM renews by DNS: are its records still in the zone, and is that delegated?"
            yield f"the certificate of {name} expires on {certificate.expires:%Y-%m-%d}", todo


def hosts(seen: Seen) -> Iterator[Check]:
    yield from each(
        seen,
        "host names",
        lambda one: one.hosts,
        lambda _, found: _of_hosts(found),
        lambda found: f"{len(found)} lead to the API",
    )


def _of_hosts(found: Mapping[str, HostName]) -> Problems:
    for name, host in found.items():
        if host.state != "AVAILABLE":
            yield f"{name} is {host.state} in API Gateway", "ask again, then deploy again"
        if not host.mapped:
            yield f"{name} leads to no API", "deploy again"


def records(seen: Seen) -> Iterator[Check]:
    name, records, names = "records", seen.records, seen.settings.names
    if isinstance(records, Unknown):
        yield unknown(name, None, records.why)
        return
    todo = "deploy again, or undo what was changed in the zone"
    problems, silent = [], []
    for one in seen.facts:
        of_it = "PRIMARY" if one.place == "primary" else "SECONDARY"
        wanted = {
            names.domain: records.failover.get(of_it),
            names.host(one.place): records.regional.get(names.host(one.place)),
        }
        for host, record in wanted.items():
            if record is None:
                problems.append((f"there is no record of {host} for {one.region}", todo))
            elif isinstance(one.hosts, Unknown):
                silent.append(f"{one.region}: {one.hosts.why}")
            elif record.target != one.hosts[host].target:
                problems.append((f"{host} leads to {record.target} for {one.region}", todo))
        record = records.failover.get(of_it)
        if record is not None and (record.health_check is not None) != (one.place == "primary"):
            problems.append(
                (f"the {of_it} record has {'a' if record.health_check else 'no'} health check", todo)
            )
    if records.check != (wanted_check := (names.host("primary"), "/health")):
        asked = "nothing" if records.check is None else "".join(records.check)
        problems.append((f"the health check asks {asked}, not {''.join(wanted_check)}", todo))
    if silent and not problems:
        yield unknown(name, None, "; ".join(dict.fromkeys(silent)))
        return
    yield judged(name, None, problems, "as deployed")


def peering(seen: Seen) -> Iterator[Check]:
    for one in seen.facts:
        if isinstance(one.peering, Unknown):
            yield unknown("peering", one.region, one.peering.why)
            continue
        problems = []
        if one.peering.state != "active":
            problems.append((f"it is {one.peering.state}", "deploy again"))
        elif one.peering.holes or one.peering.routes < _ROUTES:
            what = f"{one.peering.routes} of {_ROUTES} subnets have a way to the other network"
            problems.append((what, "deploy again"))
        yield judged("peering", one.region, problems, f"active, {one.peering.routes} routes")
