"""What the API function is made of, built once per execution environment."""

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.aws import client
from adapters.control import DynamoControl
from adapters.directory import DynamoDirectory
from adapters.forwarding import PeerFunction
from adapters.journal import DynamoJournal
from adapters.sessions import DynamoSessions
from failover.clock import Clock, Elapsed, SystemClock
from handlers.forwarding import Forwarding
from handlers.region import ledger
from payments.lease import Leases
from payments.ports import Directory, Journal, Ledger, Sessions


@dataclass(frozen=True, slots=True)
class Service:
    sessions: Sessions
    directory: Directory
    leases: Leases
    journal: Journal
    ledger: Ledger
    clock: Clock
    forwarding: Forwarding


def wired(environment: Mapping[str, str]) -> Service:
    """Every region's function talks to its own region only: tables, secret and database. What only the active
    region answers it hands to the function like itself there.
    """
    tables = client("dynamodb")
    clock = SystemClock()
    elapsed = Elapsed(clock)
    return Service(
        sessions=DynamoSessions(tables, environment["SESSIONS_TABLE"]),
        directory=DynamoDirectory(tables, environment["DIRECTORY_TABLE"], elapsed),
        leases=Leases(DynamoControl(tables, environment["CONTROL_TABLE"]), environment["AWS_REGION"], clock),
        journal=DynamoJournal(tables, environment["JOURNAL_TABLE"]),
        ledger=ledger(environment),
        clock=clock,
        forwarding=Forwarding(
            environment["AWS_REGION"],
            PeerFunction(environment["PEER_REGION"], environment["PEER_FUNCTION"], elapsed),
            clock,
        ),
    )
