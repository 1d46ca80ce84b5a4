"""What a payment asks for on a warm path, counted at the proxy and at PostgreSQL: no more than it must."""

from lab.bench import JOURNAL, OCCASIONAL, SESSION, measure
from tests.integration.system.deployment import System

_PAYMENTS = 40


def test_a_payment_is_one_session_read_one_journal_write_and_one_ledger_transaction(system: System) -> None:
    measured = measure(system.plan, system.status(), payments=_PAYMENTS, name="round-trips")
    trips = measured.trips
    assert (trips.each(SESSION), trips.each(JOURNAL), trips.statements) == (1.0, 1.0, _PAYMENTS)
    assert set(trips.calls) <= {SESSION, JOURNAL, *OCCASIONAL}
    assert all(trips.each(call) < 0.5 for call in OCCASIONAL), trips.calls
    assert len(measured.writes) == len(measured.payments) == _PAYMENTS
