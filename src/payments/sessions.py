"""Who is calling: a merchant's key buys a session token, the token names the merchant for an hour."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from failover.clock import Clock
from payments.errors import Unauthenticated
from payments.model import Merchant, Session, Standing
from payments.parse import TOKEN
from payments.ports import Directory, Sessions

SESSION_SECONDS: Final = 3600
_MAX_SECRET: Final = 128
_NO_HASH: Final = "0" * 64


def secret_hash(secret: str) -> str:
    """Keys and tokens are 256 random bits: one SHA-256 is as good as a slow hash, and costs nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class OpenedSession:
    token: str
    expires_at: datetime


def open_session(
    merchant_id: str,
    key: str,
    *,
    directory: Directory,
    sessions: Sessions,
    clock: Clock,
    new_token: Callable[[], str],
) -> OpenedSession:
    """Raises Unauthenticated without saying which of merchant and key was wrong."""
    if not TOKEN.fullmatch(merchant_id) or not _plausible(key):
        raise Unauthenticated
    merchant = directory.merchant(merchant_id)
    expected = merchant.key_hash if merchant is not None else _NO_HASH
    known = hmac.compare_digest(secret_hash(key), expected)
    if merchant is None or not known or merchant.status is not Standing.OPEN:
        raise Unauthenticated
    token = new_token()
    expires_at = datetime.fromtimestamp(int(clock.now().wall) + SESSION_SECONDS, UTC)
    sessions.put(Session(secret_hash(token), merchant_id, expires_at))
    return OpenedSession(token, expires_at)


def authenticated(token: str | None, *, sessions: Sessions, clock: Clock) -> str:
    """The merchant a token speaks for. An expired session may still be stored: its time is compared, too."""
    if token is None or not _plausible(token):
        raise Unauthenticated
    session = sessions.find(secret_hash(token))
    if session is None or session.expires_at.timestamp() <= clock.now().wall:
        raise Unauthenticated
    return session.merchant_id


def check_open(merchant: Merchant | None) -> None:
    """A session outlives its merchant by what the directory's cache is old, a few seconds."""
    if merchant is None or merchant.status is not Standing.OPEN:
        raise Unauthenticated


def _plausible(secret: str) -> bool:
    return 0 < len(secret) <= _MAX_SECRET and secret.isascii()
