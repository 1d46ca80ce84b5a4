"""HTTP as API Gateway's REST proxy integration speaks it: from its event, and back to its response."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from handlers.problems import BodyTooLarge, Problem, UnsupportedMediaType
from payments.errors import Fault, Malformed, Unauthenticated
from payments.parse import MAX_BODY_BYTES

_ALWAYS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Request:
    """`headers` by lower-case name, each with every value it was sent with."""

    method: str
    resource: str
    path: Mapping[str, str]
    headers: Mapping[str, tuple[str, ...]]
    raw_body: str
    is_base64: bool

    def header(self, name: str) -> str | None:
        values = self.headers.get(name.lower(), ())
        if len(values) > 1:
            raise Malformed(Fault(name, "is given more than once"))
        return values[0].strip() if values else None

    def json_body(self) -> bytes:
        """Still unparsed, but of an acceptable type and size."""
        media_type = (self.header("Content-Type") or "").split(";")[0].strip().lower()
        if media_type != "application/json":
            raise UnsupportedMediaType
        if len(self.raw_body) > (2 * MAX_BODY_BYTES if self.is_base64 else MAX_BODY_BYTES):
            raise BodyTooLarge
        body = self._bytes()
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge
        return body

    def bearer(self) -> str | None:
        scheme, _, token = (self.header("Authorization") or "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    def basic(self) -> tuple[str, str]:
        scheme, _, encoded = (self.header("Authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            raise Unauthenticated
        encoded = encoded.strip()
        try:
            decoded = base64.b64decode(encoded, validate=True)
            user, colon, password = decoded.decode().partition(":")
        except ValueError:  # binascii.Error and UnicodeDecodeError are both
            raise Unauthenticated from None
        if not colon or base64.b64encode(decoded).decode() != encoded:  # validated, more padding still passes
            raise Unauthenticated
        return user, password

    def _bytes(self) -> bytes:
        if not self.is_base64:
            return self.raw_body.encode("utf-8", "surrogatepass")  # a surrogate is the parser's to refuse
        try:
            return base64.b64decode(self.raw_body, validate=True)
        except (binascii.Error, ValueError):
            raise Malformed(Fault("body", "must be readable")) from None


def request_from(event: Mapping[str, Any]) -> Request:
    """From a REST proxy event; header names arrive as the client wrote them."""
    headers: dict[str, tuple[str, ...]] = {}
    many = event.get("multiValueHeaders") or {
        name: [value] for name, value in (event.get("headers") or {}).items()
    }
    for name, values in many.items():
        headers[name.lower()] = headers.get(name.lower(), ()) + tuple(values)
    return Request(
        method=str(event.get("httpMethod", "")),
        resource=str(event.get("resource", "")),
        path=event.get("pathParameters") or {},
        headers=headers,
        raw_body=event.get("body") or "",
        is_base64=bool(event.get("isBase64Encoded")),
    )


@dataclass(frozen=True, slots=True)
class Response:
    """`facts` are what the log and the metrics may know about it: never a token, a key or an account.

    `mistake` is an error of ours met on the way to it, whether or not the client notices. `lease_age` is how
    many seconds old the lease was that it was given under.
    """

    status: int
    document: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"
    facts: Mapping[str, str] = field(default_factory=dict)
    mistake: Exception | None = None
    lease_age: float | None = None

    def proxied(self) -> dict[str, object]:
        return {
            "statusCode": self.status,
            "headers": {**_ALWAYS, "Content-Type": self.media_type, **self.headers},
            "body": json.dumps(self.document, separators=(",", ":")),
            "isBase64Encoded": False,
        }


def problem_response(problem: Problem, detail: str = "", faults: tuple[Fault, ...] = ()) -> Response:
    headers = {} if problem.retry_after is None else {"Retry-After": str(problem.retry_after)}
    return Response(
        problem.status,
        problem.document(detail, faults),
        headers,
        media_type="application/problem+json",
        facts={"problem": problem.kind},
    )
