"""From the bytes of a request to a payment request: everything JSON allows and we do not is refused here."""

import json
import re
from typing import Any, Final

from payments.errors import Fault, Malformed
from payments.model import MAX_AMOUNT, Money, PaymentRequest

MAX_BODY_BYTES: Final = 4096
MAX_REFERENCE: Final = 140  # characters; what ISO 20022 allows for unstructured remittance information
_MAX_DIGITS: Final = 19
_MAX_FAULTS: Final = 10

# Starting with a letter, so that no card number is ever taken for an account token.
TOKEN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_REFERENCE: Final = re.compile(rf"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,{MAX_REFERENCE}}}")

_ACCOUNT_RULE: Final = "must be 1 to 64 letters, digits, '-' or '_', starting with a letter"
_TEXT_FIELDS: Final = {
    "currency": (_CURRENCY, "must be three capital letters"),
    "debtor": (TOKEN, _ACCOUNT_RULE),
    "creditor": (TOKEN, _ACCOUNT_RULE),
    "reference": (_REFERENCE, f"must be 1 to {MAX_REFERENCE} characters without control characters"),
}
_FIELDS: Final = ("amount", *_TEXT_FIELDS)


def payment_request(merchant_id: str, body: bytes) -> PaymentRequest:
    """Raises Malformed with every fault found."""
    fields = _object(body)
    faults = [
        *(Fault(_shown(name), "is not a known field") for name in fields if name not in _FIELDS),
        *(Fault(name, "is missing") for name in _FIELDS if name not in fields),
        *_bad_amount(fields),
        *(
            Fault(name, rule)
            for name, (pattern, rule) in _TEXT_FIELDS.items()
            if name in fields and not (isinstance(fields[name], str) and pattern.fullmatch(fields[name]))
        ),
    ]
    if faults:
        raise Malformed(*faults[:_MAX_FAULTS])
    return PaymentRequest(
        merchant_id=merchant_id,
        money=Money(fields["amount"], fields["currency"]),
        debtor=fields["debtor"],
        creditor=fields["creditor"],
        reference=fields["reference"],
    )


def _bad_amount(fields: dict[str, Any]) -> list[Fault]:
    if "amount" not in fields:
        return []
    amount = fields["amount"]
    if type(amount) is int and 1 <= amount <= MAX_AMOUNT:  # `True` is an int to isinstance
        return []
    return [Fault("amount", f"must be an integer in minor units, between 1 and {MAX_AMOUNT}")]


def _object(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_BODY_BYTES:
        raise _malformed(f"must be at most {MAX_BODY_BYTES} bytes")
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_float=_no_float,
            parse_int=_bounded_int,
            parse_constant=_no_float,
        )
    except UnicodeDecodeError:
        raise _malformed("must be UTF-8") from None
    except json.JSONDecodeError:
        raise _malformed("must be JSON") from None
    except RecursionError:
        raise _malformed("is nested too deeply") from None
    if not isinstance(value, dict):
        raise _malformed("must be a JSON object")
    return value


def _malformed(detail: str) -> Malformed:
    return Malformed(Fault("body", detail))


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _malformed("names a field twice")
    return found


def _no_float(_text: str) -> Any:
    raise _malformed("holds a number that is not an integer")


def _bounded_int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise _malformed("holds a number that is too large")
    return int(text)


def _shown(name: str) -> str:
    """A field's name as it may be echoed: short, printable, encodable."""
    return name[:40].encode("ascii", "backslashreplace").decode()
