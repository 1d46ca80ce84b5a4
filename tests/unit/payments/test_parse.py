import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from payments.errors import Malformed
from payments.idempotency import canonical, fingerprint, from_canonical
from payments.model import MAX_AMOUNT
from payments.parse import MAX_BODY_BYTES, payment_request

GOOD: dict[str, Any] = {
    "amount": 1250,
    "currency": "USD",
    "debtor": "alice",
    "creditor": "bob",
    "reference": "Invoice 7",
}

tokens = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,63}", fullmatch=True)
references = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=140)
bodies = st.fixed_dictionaries(
    {
        "amount": st.integers(1, MAX_AMOUNT),
        "currency": st.from_regex(r"[A-Z]{3}", fullmatch=True),
        "debtor": tokens,
        "creditor": tokens,
        "reference": references,
    }
)


@given(bodies, st.booleans())
def test_what_is_well_formed_is_read_as_it_was_written(body: dict[str, Any], ascii_only: bool) -> None:
    request = payment_request("shop", json.dumps(body, ensure_ascii=ascii_only).encode())
    assert request.money.amount == body["amount"]
    assert (request.debtor, request.creditor, request.reference) == (
        body["debtor"],
        body["creditor"],
        body["reference"],
    )
    assert from_canonical(canonical(request)) == request


@given(bodies, bodies)
def test_two_requests_share_a_fingerprint_only_when_they_are_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    fingerprints = [fingerprint(payment_request("shop", json.dumps(body).encode())) for body in (one, other)]
    assert (fingerprints[0] == fingerprints[1]) == (one == other)


def test_the_order_of_fields_and_blanks_do_not_matter() -> None:
    turned = json.dumps(dict(reversed(GOOD.items())), indent=3).encode()
    assert payment_request("shop", turned) == payment_request("shop", json.dumps(GOOD).encode())


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xff\xfe")
@example(b"[" * 4000)
@example(b'{"a":' * 800)
@example(b"1" * 4000)
@example(b"NaN")
@example(b'{"amount": 1e400}')
@example(b"\xef\xbb\xbf{}")
def test_any_bytes_are_either_read_or_refused_cleanly(body: bytes) -> None:
    with pytest.raises(Malformed):
        payment_request("shop", body)


@pytest.mark.parametrize(
    "amount",
    [
        "12.5",
        "1250.0",
        "1e3",
        "-0",
        "0",
        "-1",
        "true",
        "null",
        '"1250"',
        "[1]",
        "1" * 25,
        str(MAX_AMOUNT + 1),
    ],
)
def test_an_amount_is_a_positive_integer_in_minor_units(amount: str) -> None:
    with pytest.raises(Malformed):
        payment_request("shop", json.dumps(GOOD).replace("1250", amount).encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("currency", "usd"),
        ("currency", "USD\n"),
        ("debtor", "4111111111111111"),
        ("debtor", "a" * 65),
        ("debtor", ""),
        ("creditor", "bob\u00e9"),
        ("reference", ""),
        ("reference", "x" * 141),
        ("reference", "line\nbreak"),
        ("reference", "nul\x00"),
        ("reference", "\ud800"),
        ("reference", ["text"]),
    ],
)
def test_every_string_is_bounded(field: str, value: object) -> None:
    with pytest.raises(Malformed) as refused:
        payment_request("shop", json.dumps(GOOD | {field: value}).encode())
    assert [fault.field for fault in refused.value.faults] == [field]


@pytest.mark.parametrize("field", GOOD)
def test_every_field_is_required(field: str) -> None:
    body = {name: value for name, value in GOOD.items() if name != field}
    with pytest.raises(Malformed) as refused:
        payment_request("shop", json.dumps(body).encode())
    assert [(fault.field, fault.detail) for fault in refused.value.faults] == [(field, "is missing")]


def test_every_fault_is_named_and_none_is_quoted_back_raw() -> None:
    with pytest.raises(Malformed) as refused:
        payment_request("shop", b'{"amount": 0, "colour\\ud800": "secret", "currency": "usd"}')
    named = {fault.field for fault in refused.value.faults}
    assert named == {"amount", "colour\\ud800", "currency", "debtor", "creditor", "reference"}
    assert "secret" not in repr(refused.value.faults)


def test_a_field_named_twice_is_refused() -> None:
    with pytest.raises(Malformed):
        payment_request("shop", json.dumps(GOOD).replace("{", '{"amount": 1, ').encode())


def test_a_body_is_bounded() -> None:
    padded = json.dumps(GOOD).encode().ljust(MAX_BODY_BYTES)
    assert payment_request("shop", padded).debtor == "alice"
    with pytest.raises(Malformed):
        payment_request("shop", padded + b" ")
