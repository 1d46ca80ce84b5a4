"""How long a payment's details are kept in the journal. Its id and fingerprint are kept for ever."""

from datetime import datetime, timedelta

from payments.journal import JournalEntry


def removable(entry: JournalEntry, now: datetime, days: int) -> bool:
    """Whether the request may go, of an entry just seen to be equal in the ledger, which keeps it.

    Only what is settled is in both regions' ledgers; an open entry may have to be posted from what it says.
    """
    if days < 1:
        raise ValueError(f"requests are kept for days, not {days}")
    return entry.request is not None and entry.open is None and entry.accepted_at < now - timedelta(days=days)
