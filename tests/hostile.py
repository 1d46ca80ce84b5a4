"""Requests nobody should send: each is refused with a 4xx and leaves nothing behind.

`{token}`, `{basic}`, `{debtor}` and `{creditor}` stand for what would be taken, and `GOOD` is the body of a
payment that would be. Values of headers are sent as Latin-1, as HTTP does.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

_FIELDS: dict[str, Any] = {
    "amount": 1250,
    "currency": "USD",
    "debtor": "{debtor}",
    "creditor": "{creditor}",
    "reference": "Invoice 7",
}
GOOD = json.dumps(_FIELDS).encode()
NOBODYS = "pay_" + "a" * 32
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Hostile:
    """`path` is the request target as it is sent; `status` what the function itself answers, None where it is
    never asked.
    """

    name: str
    status: int | None
    method: str = "POST"
    path: str = "/payments"
    headers: Headers = ()
    body: bytes = GOOD

    def filled(self, **real: str) -> "Hostile":
        """With something real in the place of each name in braces."""
        headers, body = self.headers, self.body
        for name, value in real.items():
            sign = "{" + name + "}"
            headers = tuple((header, text.replace(sign, value)) for header, text in headers)
            body = body.replace(sign.encode(), value.encode())
        return replace(self, headers=headers, body=body)


def _headers(**changes: str | None) -> Headers:
    sent: dict[str, str | None] = {
        "Authorization": "Bearer {token}",
        "Content-Type": "application/json",
        "Idempotency-Key": "hostile",
    }
    sent |= {name.replace("_", "-"): value for name, value in changes.items()}
    return tuple((name, value) for name, value in sent.items() if value is not None)


def _body(name: str, body: bytes, status: int = 400) -> Hostile:
    return Hostile(name, status, headers=_headers(), body=body)


def _with(name: str, status: int = 400, **fields: Any) -> Hostile:
    return _body(name, json.dumps({**_FIELDS, **fields}).encode(), status)


def _amount(text: str, name: str = "") -> Hostile:
    body = GOOD.replace(b"1250", text.encode())
    return _body(f"amount {name or text}", body)


def _key(name: str, key: str | None) -> Hostile:
    return Hostile(f"key {name}", 400, headers=_headers(Idempotency_Key=key))


def _type(name: str, kind: str | None, status: int = 415) -> Hostile:
    return Hostile(f"type {name}", status, headers=_headers(Content_Type=kind))


def _bearer(name: str, value: str | None, status: int = 401) -> Hostile:
    return Hostile(f"bearer {name}", status, headers=_headers(Authorization=value))


def _basic(name: str, value: str | None, status: int = 401) -> Hostile:
    headers = () if value is None else (("Authorization", value),)
    return Hostile(f"basic {name}", status, path="/sessions", headers=headers, body=b"")


def _twice(name: str, value: str, other: str) -> Hostile:
    headers = _headers(**{name.replace("-", "_"): value})
    return Hostile(f"{name} {value} and {other}", 400, headers=(*headers, (name, other)))


def _read(name: str, path: str, status: int = 404) -> Hostile:
    headers = (("Authorization", "Bearer {token}"),)
    return Hostile(f"path {name}", status, "GET", path, headers, b"")


def _elsewhere(method: str, path: str) -> Hostile:
    return Hostile(f"{method} {path}", 404, method, path, _headers(), GOOD if method != "HEAD" else b"")


def _bodies() -> Iterator[Hostile]:
    yield _body("deep arrays", b"[" * 4000)
    yield _body("deep balanced arrays", b"[" * 2000 + b"]" * 2000)
    yield _body("deep objects", b'{"a":' * 600 + b"1" + b"}" * 600)
    yield _body("deep inside a field", GOOD.replace(b'"Invoice 7"', b"[" * 1900 + b"]" * 1900))
    yield _body("nothing", b"")
    yield _body("blanks", b" \t\r\n")
    yield _body("an array", b"[" + GOOD + b"]")
    yield _body("a text", json.dumps(GOOD.decode()).encode())
    yield _body("null", b"null")
    yield _body("a number", b"1")
    yield _body("two documents", GOOD + GOOD)
    yield _body("something after it", GOOD + b"}")
    yield _body("cut off", GOOD[:-1])
    yield _body("a trailing comma", GOOD[:-1] + b",}")
    yield _body("single quotes", GOOD.replace(b'"', b"'"))
    yield _body("a comment", GOOD[:-1] + b"/* */}")
    yield _body("a form", b"amount=1250&currency=USD")
    yield _body(
        "XML", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><a>&b;</a>'
    )
    yield _body("a field twice", GOOD[:-1] + b', "amount": 1}')
    yield _body("a field twice, escaped", GOOD[:-1] + b', "\\u0061mount": 1}')
    yield _body("an inner field twice", GOOD[:-1] + b', "more": {"a": 1, "a": 2}}')
    yield _with("an unknown field", tip=1)
    yield _with("__proto__", __proto__={"amount": 1})
    yield _with("a merchant of its own choice", merchant_id="rival")
    yield _with("an id of its own choice", payment_id=NOBODYS)
    yield _with("an unknown field with a surrogate in its name", **{"\ud800": 1})
    yield _body("fields in capitals", GOOD.replace(b'"amount"', b'"Amount"'))
    yield _body("byte order mark", b"\xef\xbb\xbf" + GOOD)
    yield _body("UTF-16", GOOD.decode().encode("utf-16"))
    yield _body("UTF-16 without a mark", GOOD.decode().encode("utf-16-le"))
    yield _body("UTF-32", GOOD.decode().encode("utf-32-be"))
    yield _body("UTF-7", b"+AHsAIgBhAG0AbwB1AG4AdAAiADoAMQB9-")
    yield _body("gzip", bytes.fromhex("1f8b0800000000000003abae050043bfa6a302000000"))
    yield _body("a byte that is no UTF-8 between values", GOOD + b"\xff")
    yield _body("a null byte", GOOD + b"\x00")
    yield _body("a null byte in front", b"\x00" + GOOD)
    yield _body("a control character in a text", GOOD.replace(b"Invoice", b"Inv\x01ice"))
    yield _body("4096 blanks too many", GOOD + b" " * 4096, 413)
    yield _body("64 kB", GOOD.ljust(65_536), 413)
    yield _body("a megabyte", b"[" * 1_000_000, 413)


def _amounts() -> Iterator[Hostile]:
    for text in (
        "0",
        "-0",
        "-1",
        "-1250",
        "1250.0",
        "1.5",
        "-0.0",
        "1e3",
        "1E+3",
        "1e400",
        "-1e400",
        "1e-400",
    ):
        yield _amount(text)
    for text in ("NaN", "Infinity", "-Infinity", "0x10", "0b1", "01", "+1", "1_000", "1,000", "null", "true"):
        yield _amount(text)
    for text in ('"1250"', '""', "[]", "[1250]", "{}", '{"$numberLong": "1250"}', "1000000000000", "9" * 19):
        yield _amount(text)
    for text, name in (
        ("9" * 20, "of 20 digits"),
        ("9" * 3500, "of 3,500 digits"),
        ("-" + "9" * 3500, "of minus 3,500 digits"),
        ("9" * 400 + ".5", "of 400 digits and a half"),
        ("18446744073709551616", "of 2 to the 64th"),
        ("9223372036854775808", "of 2 to the 63rd"),
        ("\u0661\u0662", "in Arabic digits"),
    ):
        yield _amount(text, name)


def _texts() -> Iterator[Hostile]:
    for field in ("currency", "debtor", "creditor", "reference"):
        for name, value in (
            ("missing text", ""),
            ("null", None),
            ("number", 1),
            ("array", ["USD"]),
            ("object", {"a": "USD"}),
            ("null byte", "USD\x00"),
            ("line", "USD\n"),
            ("lone surrogate", "\ud800"),
            ("reversed surrogates", "\udc00\ud800"),
            ("endless", "A" * 3000),
        ):
            yield _body(f"{field} {name}", json.dumps({**_FIELDS, field: value}).encode())
    for currency in ("usd", "US", "USDD", "U\u015fD", "\uff35\uff33\uff24", " USD", "840"):
        yield _with(f"currency {currency!a}", currency=currency)
    yield _with("currency that is none", 422, currency="XTS")
    yield _with("currency that is no more", 422, currency="DEM")
    for account in (
        "4111111111111111",
        "' OR '1'='1",
        "alice; DROP TABLE ledger.payment",
        "../control",
        "account#alice",
        "merchant#shop",
        "alice%00",
        "\u0430lice",
        "a" * 65,
        "${jndi:ldap://x}",
        "<script>",
    ):
        yield _with(f"account {account!a}"[:60], debtor=account)
    yield _with("account that does not exist", 422, creditor="nobody-at-all")
    yield _with("account that pays itself", 422, creditor="{debtor}")
    yield _with("reference of 141 characters", reference="x" * 141)
    yield _with("reference of 141 characters beyond the first plane", reference="\U0001f4b6" * 141)
    for character in ("\t", "\r", "\x07", "\x1b[31m", "\x7f", "\x85", "\x9b"):
        yield _with(f"reference with {character!a}", reference=f"a{character}b")


def _heads() -> Iterator[Hostile]:
    yield _key("missing", None)
    yield _key("empty", "")
    yield _key("blank", "   ")
    yield _key("of two words", "two words")
    yield _key("of 256 characters", "k" * 256)
    yield _key("of 8,000 characters", "k" * 8000)
    yield _key("not ASCII", "sch\u00fcssel")
    for character in ("\x01", "\x08", "\x0b", "\x1b", "\x7f", "\x80", "\t"):
        yield _key(f"with {character!a}", f"a{character}b")
    yield _key("with a null byte", "a\x00b")
    yield _twice("Idempotency-Key", "one", "two")
    yield _twice("Idempotency-Key", "same", "same")
    yield _twice("Authorization", "Bearer {token}", "Bearer {token}")
    yield _twice("Authorization", "Bearer {token}", "Basic {basic}")
    yield _twice("Content-Type", "application/json", "text/plain")
    yield _type("missing", None)
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "application/xml",
        "application/jsonp",
        "application/json-seq",
        "application/merge-patch+json",
        "application/json, text/plain",
        "application/json/json",
        "text/json",
        "*/*",
        ";charset=utf-8",
    ):
        yield _type(kind, kind)


def _large() -> Iterator[Hostile]:
    """API Gateway takes 10,240 bytes of request line and headers; the function sees the rest of it only."""
    for name, more in (
        ("a header of 12,000 bytes", (("X-Large", "x" * 12_000),)),
        ("a cookie of 12,000 bytes", (("Cookie", "a=" + "x" * 12_000),)),
        ("200 headers", tuple((f"X-Header-{number}", "x" * 60) for number in range(200))),
        ("one header 200 times", (("X-Header", "x" * 60),) * 200),
        ("a header's name of 12,000 bytes", (("X" * 12_000, "x"),)),
    ):
        yield Hostile(name, None, headers=(*_headers(), *more))
    yield Hostile("a query of 12,000 bytes", None, path="/payments?a=" + "x" * 12_000, headers=_headers())


def _credentials() -> Iterator[Hostile]:
    yield _bearer("missing", None)
    for value in (
        "Bearer",
        "Bearer  ",
        "Bearer made-up",
        "Bearer {token}x",
        "Bearer {token} {token}",
        "Bearer {token},",
        "{token}",
        "Basic {token}",
        "Basic {basic}",
        "Digest {token}",
        "Bearer\u00a0{token}",
        "Bearer \u00fcn\u00efcode",
    ):
        yield _bearer(value.encode("ascii", "backslashreplace").decode(), value)
    yield _bearer("of 129 characters", "Bearer " + "t" * 129)
    yield _bearer("of 9,000 characters", "Bearer " + "t" * 9000)
    yield _basic("missing", None)
    for value in (
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic c2hvcA",  # no padding
        "Basic c2hvcA==",  # no colon
        "Basic Og==",  # nothing on either side
        "Basic OmtleQ==",  # no merchant
        "Basic c2hvcDo=",  # no key
        "Basic c2hvcDp3cm9uZw==",
        "Basic AAAA",  # null bytes
        "Basic //4=",  # no UTF-8
        "Basic {basic}=",
        "Basic {basic} {basic}",
        "Basic bWVyY2hhbnQjc2hvcDp4",
        "Bearer {basic}",
        "{basic}",
    ):
        yield _basic(value, value)
    yield _basic("of 9,000 characters", "Basic " + "QUFB" * 2250)


def _paths() -> Iterator[Hostile]:
    yield _read("of nobody's payment", f"/payments/{NOBODYS}")
    for last in (
        "x",
        "pay_",
        "pay_health",
        NOBODYS.upper(),
        NOBODYS + "a",
        NOBODYS[:-1] + "1",
        NOBODYS + "%0A",
        NOBODYS + "%00",
        NOBODYS + "%20",
        "%00",
        "%2e%2e",
        "..%2fhealth",
        "%252e%252e%252f",
        "..%5c..%5c",
        "%ff%fe",
        "%F0%9F%92%B6",
        "%c0%ae%c0%ae",
        "control",
        "{payment_id}",
        "%7Bpayment_id%7D",
        "'%20OR%201=1",
        "pay_*",
        "*",
        "a" * 900,
        NOBODYS + ";a=b",
        NOBODYS + "?payment_id=" + NOBODYS,
        NOBODYS + "?forwarded_by=us-east-1",
    ):
        yield _read(last[:60], f"/payments/{last}")
    for path in (
        "/payments",
        "/payments/",
        "//payments",
        f"//payments/{NOBODYS}",
        f"/payments//{NOBODYS}",
        f"/payments/{NOBODYS}/",
        f"/payments/{NOBODYS}/..",
        f"/payments/./{NOBODYS}",
        "/payments/../payments",
        "/payments/a/b",
        "/sessions",
        "/PAYMENTS/" + NOBODYS,
        "/",
        "/live/health",
        "/healthz",
        "/_aws/health",
        "/_ministack/health",
        "/restapis",
        "/.env",
        "/%2e%2e/%2e%2e/etc/hostname",
    ):
        yield _read(path[:60], path)
    for method, path in (
        ("PUT", "/payments"),
        ("DELETE", "/payments"),
        ("PATCH", f"/payments/{NOBODYS}"),
        ("DELETE", f"/payments/{NOBODYS}"),
        ("POST", f"/payments/{NOBODYS}"),
        ("POST", "/health"),
        ("HEAD", "/payments"),
        ("OPTIONS", "/payments"),
        ("TRACE", "/payments"),
        ("PUT", "/sessions"),
        ("POST", "/Payments"),
        ("QUERY", "/payments"),
        ("BREW", "/payments"),
    ):
        yield _elsewhere(method, path)


HOSTILE = (*_bodies(), *_amounts(), *_texts(), *_heads(), *_large(), *_credentials(), *_paths())
