"""One key, one body, one outcome: how a payment gets its id and how two requests are compared."""

import base64
import hashlib
import json
import re
from typing import Final

from payments.errors import Fault, IdempotencyKeyMissing, Malformed
from payments.model import Money, PaymentRequest

_KEY: Final = re.compile(r"[!-~]{1,255}")
_PAYMENT_ID: Final = re.compile(r"pay_[a-z2-7]{32}")


def idempotency_key(value: str | None) -> str:
    """The key as the client sent it: up to 255 visible ASCII characters, compared byte for byte."""
    if value is None or value == "":
        raise IdempotencyKeyMissing
    if not _KEY.fullmatch(value):
        raise Malformed(Fault("Idempotency-Key", "must be 1 to 255 visible ASCII characters"))
    return value


def payment_id(merchant_id: str, key: str) -> str:
    """160 bits of SHA-256 over merchant and key: the same everywhere, and no merchant can reach another's."""
    digest = hashlib.sha256(b"\0".join((b"payment/1", merchant_id.encode(), key.encode()))).digest()
    return "pay_" + base64.b32encode(digest[:20]).decode().lower()


def is_payment_id(value: str) -> bool:
    return _PAYMENT_ID.fullmatch(value) is not None


def canonical(request: PaymentRequest) -> str:
    """The request as one sorted, compact ASCII JSON text: what is stored and what the fingerprint covers."""
    return json.dumps(
        {
            "amount": request.money.amount,
            "creditor": request.creditor,
            "currency": request.money.currency,
            "debtor": request.debtor,
            "merchant_id": request.merchant_id,
            "reference": request.reference,
        },
        sort_keys=True,
        separators=(",", ":"),
    )


def from_canonical(text: str) -> PaymentRequest:
    """The inverse of `canonical`; trusts its own writing."""
    fields = json.loads(text)
    return PaymentRequest(
        merchant_id=fields["merchant_id"],
        money=Money(fields["amount"], fields["currency"]),
        debtor=fields["debtor"],
        creditor=fields["creditor"],
        reference=fields["reference"],
    )


def fingerprint(request: PaymentRequest) -> str:
    return hashlib.sha256(canonical(request).encode()).hexdigest()
