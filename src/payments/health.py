"""Whether this region can accept a payment now: active, with a lease, and the journal answers.

The ledger is not asked: a slow one must not turn the region red, or promotion itself would cause a second
failover.
"""

from typing import Final

from payments.errors import NotActive, Unavailable
from payments.lease import Leases
from payments.ports import Journal

_PROBE_ID: Final = "pay_health"  # never the id of a payment


def healthy(*, leases: Leases, journal: Journal) -> bool:
    try:
        leases.hold(patience=0)
        journal.find(_PROBE_ID)
    except (NotActive, Unavailable):
        return False
    return True
