"""The one table from what went wrong to what a client is told (RFC 9457)."""

from dataclasses import dataclass
from typing import Final

from payments import errors
from payments.parse import MAX_BODY_BYTES

_TYPE: Final = "urn:payments:problem:"


@dataclass(frozen=True, slots=True)
class Problem:
    kind: str
    status: int
    title: str
    retry_after: int | None = None  # seconds

    def document(self, detail: str = "", faults: tuple[errors.Fault, ...] = ()) -> dict[str, object]:
        document: dict[str, object] = {"type": _TYPE + self.kind, "title": self.title, "status": self.status}
        if detail:
            document["detail"] = detail
        if faults:
            document["errors"] = [{"field": fault.field, "detail": fault.detail} for fault in faults]
        return document


class BodyTooLarge(Exception):  # noqa: N818 - named like the domain's errors, which stand beside it in the table
    """Refused before it is parsed."""


class UnsupportedMediaType(Exception):  # noqa: N818 - as above
    """Refused before it is parsed."""


class NoSuchRoute(Exception):  # noqa: N818 - as above
    """API Gateway lets nothing through that the document does not name; a direct call may."""


INTERNAL: Final = Problem("internal-error", 500, "Something went wrong; the outcome is unknown.")

PROBLEMS: Final[dict[type[Exception], Problem]] = {
    errors.Malformed: Problem("malformed-request", 400, "The request is malformed."),
    errors.IdempotencyKeyMissing: Problem(
        "idempotency-key-missing", 400, "An Idempotency-Key header is required."
    ),
    errors.Unauthenticated: Problem("unauthenticated", 401, "Valid credentials are required."),
    errors.NotFound: Problem("not-found", 404, "There is no such resource."),
    NoSuchRoute: Problem("not-found", 404, "There is no such resource."),
    BodyTooLarge: Problem("body-too-large", 413, f"The request body is larger than {MAX_BODY_BYTES} bytes."),
    UnsupportedMediaType: Problem(
        "unsupported-media-type", 415, "The request body must be application/json."
    ),
    errors.IdempotencyKeyReused: Problem(
        "idempotency-key-reused", 422, "This Idempotency-Key was used for a different payment."
    ),
    errors.UnknownCurrency: Problem("unknown-currency", 422, "The currency is not a current ISO 4217 code."),
    errors.UnknownAccount: Problem("unknown-account", 422, "An account is unknown or not open to you."),
    errors.AccountClosed: Problem("account-closed", 422, "An account is closed."),
    errors.CurrencyMismatch: Problem("currency-mismatch", 422, "An account is held in another currency."),
    errors.SameAccount: Problem("same-account", 422, "Debtor and creditor are the same account."),
    errors.NotActive: Problem("not-active", 503, "This region does not take payments now.", retry_after=5),
    errors.Unavailable: Problem(
        "unavailable", 503, "The service cannot answer now; the outcome is unknown.", retry_after=1
    ),
}
