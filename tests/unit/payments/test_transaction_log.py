"""The chain's laws: written the same by whoever writes it, and no change to it goes unnamed."""

import gzip
import json
import zlib
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments import transaction_log
from payments.idempotency import fingerprint, payment_id
from payments.model import Money, Payment, PaymentRequest, entries
from payments.transaction_log import (
    FIRST,
    GENESIS,
    Broken,
    LedgerRow,
    Link,
    Position,
    Segment,
    compressed,
    decompressed,
    first_difference,
    next_segment,
    verified,
    whole_segment,
)

MOMENT = datetime(2026, 11, 22, 10, 15, 30, 123000, tzinfo=UTC)


def row(number: int, txid: int | None = None, reference: str = "Invoice \u20ac7") -> LedgerRow:
    request = PaymentRequest("shop", Money(1250 + number, "USD"), "alice", "bob", reference)
    payment = Payment(
        payment_id("shop", str(number)), fingerprint(request), request, MOMENT + timedelta(seconds=number)
    )
    posted_at = MOMENT + timedelta(seconds=number, microseconds=456789)
    return LedgerRow(700 + number if txid is None else txid, payment, 3, posted_at, entries(request))


def rows(count: int, first: int = 1) -> list[LedgerRow]:
    return [row(number) for number in range(first, first + count)]


def chain(*counts: int) -> list[Segment]:
    """Segments of so many rows, one continuing the other."""
    segments: list[Segment] = []
    after, first = FIRST, 1
    for count in counts:
        segments.append(whole_segment(after, rows(count, first)))
        after, first = segments[-1].end, first + count
    return segments


def broken(lines: bytes, after: Link) -> int:
    with pytest.raises(Broken) as found:
        verified(lines, after)
    return found.value.line


SEGMENT, SECOND = chain(5, 4)


def test_a_segment_is_a_header_and_a_line_for_each_payment() -> None:
    header, first, *_ = map(json.loads, SEGMENT.lines.splitlines())
    assert header["previous"] == GENESIS
    assert header["header"] == {
        "format": 1,
        "from": [0, ""],
        "rows": 5,
        "segment": 1,
        "to": [705, row(5).payment.payment_id],
    }
    assert first["previous"] == header["hash"]
    assert first["payment"] == {
        "accepted_at": "2026-11-22T10:15:31.123000+00:00",
        "amount": 1251,
        "creditor": "bob",
        "currency": "USD",
        "debtor": "alice",
        "epoch": 3,
        "fingerprint": row(1).payment.fingerprint,
        "lines": [
            {"account": "alice", "amount": -1251, "currency": "USD", "line": 1},
            {"account": "bob", "amount": 1251, "currency": "USD", "line": 2},
        ],
        "merchant_id": "shop",
        "payment_id": row(1).payment.payment_id,
        "posted_at": "2026-11-22T10:15:31.579789+00:00",
        "reference": "Invoice \u20ac7",
        "txid": 701,
    }
    assert json.loads(SECOND.lines.splitlines()[0])["previous"] == SEGMENT.end.hash


def test_what_was_written_is_verified() -> None:
    assert verified(SEGMENT.lines, FIRST) == (SEGMENT.end, 5)
    assert verified(SECOND.lines, SEGMENT.end) == (SECOND.end, 4)
    assert SECOND.end.position == row(9).position


def test_times_are_written_in_utc_whatever_zone_they_come_in() -> None:
    elsewhere = replace(row(1), posted_at=row(1).posted_at.astimezone())
    assert whole_segment(FIRST, [elsewhere]) == whole_segment(FIRST, rows(1))


@given(st.data())
def test_any_changed_byte_is_found_in_its_line(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(SECOND.lines) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != SECOND.lines[place]))
    changed = SECOND.lines[:place] + bytes([other]) + SECOND.lines[place + 1 :]
    assert broken(changed, SEGMENT.end) == SECOND.lines[:place].count(b"\n") + 1


@given(st.data())
def test_any_inserted_or_removed_byte_is_found_in_its_line(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(SECOND.lines) - 1))
    line = SECOND.lines[:place].count(b"\n") + 1
    assert broken(SECOND.lines[:place] + SECOND.lines[place + 1 :], SEGMENT.end) == line
    inserted = bytes([data.draw(st.integers(0, 255))])
    longer = SECOND.lines[:place] + inserted + SECOND.lines[place:]
    # The same byte twice is the same text wherever it went in; a line break before a line is in that line.
    first = first_difference(longer, SECOND.lines)
    assert broken(longer, SEGMENT.end) == first


@given(st.data())
def test_any_line_dropped_swapped_or_doubled_is_found(data: st.DataObject) -> None:
    lines = SECOND.lines.splitlines(keepends=True)
    one = data.draw(st.integers(0, len(lines) - 1))
    assert broken(b"".join(lines[:one] + lines[one + 1 :]), SEGMENT.end) == one + 1
    assert broken(b"".join(lines[: one + 1] + lines[one:]), SEGMENT.end) == one + 2
    other = data.draw(st.integers(0, len(lines) - 1).filter(lambda other: other != one))
    lines[one], lines[other] = lines[other], lines[one]
    assert broken(b"".join(lines), SEGMENT.end) == min(one, other) + 1


@given(st.data())
def test_a_segment_cut_off_anywhere_is_found_where_it_ends(data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(SECOND.lines) - 1))
    assert broken(SECOND.lines[:length], SEGMENT.end) == SECOND.lines[:length].count(b"\n") + 1


@given(st.binary(max_size=200))
def test_anything_else_is_broken_from_the_start(lines: bytes) -> None:
    assert broken(lines, FIRST) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b"1e400",
        b'{"hash":"","previous":"","header":1e400}',
        b"9" * 5000,
        b'"\\ud800"',
        b"null",
    ],
    ids=lambda line: str(line[:12]),
)
def test_hostile_lines_are_broken_lines(line: bytes) -> None:
    assert broken(line + b"\n", FIRST) == 1


def test_a_segment_of_another_place_is_not_taken() -> None:
    third = chain(5, 4, 3)[2]
    assert broken(third.lines, SEGMENT.end) == 1
    assert broken(SECOND.lines, SECOND.end) == 1
    assert broken(SECOND.lines, replace(SEGMENT.end, segment=4)) == 1
    assert broken(SECOND.lines, replace(SEGMENT.end, position=Position(1, ""))) == 1


def forged(*changes: tuple[int, dict[str, object]]) -> bytes:
    """The second segment with changes to what its lines hold, and every hash made to fit."""
    lines, previous = [], SEGMENT.end.hash
    for number, text in enumerate(SECOND.lines.splitlines(), start=1):
        kind = "header" if number == 1 else "payment"
        content = json.loads(text)[kind]
        for line, change in changes:
            if line == number:
                content |= change
        line_text, previous = transaction_log._chained(previous, kind, content)
        lines.append(line_text)
    return b"".join(lines)


def test_a_forged_segment_fits_itself_and_breaks_the_next() -> None:
    third = chain(5, 4, 3)[2]
    end, _ = verified(forged((3, {"amount": 1})), SEGMENT.end)
    assert end != SECOND.end
    assert broken(third.lines, end) == 1


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (1, {"format": 2}),
        (1, {"rows": 0}),
        (1, {"to": [1]}),
        (3, {"txid": 1}),
        (3, {"txid": "1"}),
    ],
)
def test_hashes_that_fit_do_not_make_up_for_what_makes_no_sense(line: int, change: dict[str, object]) -> None:
    assert broken(forged((line, change)), SEGMENT.end) == line


def test_the_header_tells_how_many_rows_and_where_they_end() -> None:
    assert broken(forged((1, {"rows": 3})), SEGMENT.end) == 5
    assert broken(forged((1, {"rows": 5})), SEGMENT.end) == 6
    assert broken(forged((1, {"to": [9999, ""]})), SEGMENT.end) == 5


def test_a_segment_is_closed_by_rows_or_bytes() -> None:
    many = [row(number) for number in range(1, 2_101)]
    assert next_segment(FIRST, many).rows == 2_000
    large = [row(number, reference="r" * 4000) for number in range(1, 1_101)]
    segment = next_segment(FIRST, large)
    assert segment.rows < 1_000
    assert transaction_log.MAX_BYTES <= len(segment.lines) < transaction_log.MAX_BYTES + 5000
    assert next_segment(FIRST, many[:7]) == whole_segment(FIRST, many[:7])


def test_rows_that_do_not_follow_are_a_mistake() -> None:
    for wrong in ([], [row(2), row(1)], [row(1), row(1)]):
        with pytest.raises(ValueError, match="segment"):
            whole_segment(FIRST, wrong)
    with pytest.raises(ValueError, match="ascend"):
        whole_segment(SEGMENT.end, rows(1))


@pytest.mark.parametrize("level", [1, 6, 9])
def test_lines_are_what_counts_however_they_are_compressed(level: int) -> None:
    assert decompressed(gzip.compress(SEGMENT.lines, level)) == SEGMENT.lines
    assert compressed(SEGMENT.lines) == compressed(SEGMENT.lines)
    assert compressed(SEGMENT.lines)[4:8] == bytes(4)  # no time


@given(st.data())
def test_compressed_bytes_that_were_changed_never_pass_for_other_lines(data: st.DataObject) -> None:
    whole = compressed(SEGMENT.lines)
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:place] + bytes([data.draw(st.integers(0, 255))]) + whole[place + 1 :]
    with suppress(ValueError):
        assert decompressed(changed) == SEGMENT.lines  # what gzip's header says beside the lines
    with pytest.raises(ValueError, match=r"cut off|not gzip"):
        decompressed(whole[:place])
    with pytest.raises(ValueError, match="follows"):
        decompressed(whole + b"x")


def test_a_bomb_is_not_unpacked() -> None:
    bomb = zlib.compressobj(9, wbits=31)
    data = bomb.compress(bytes(200 * 1024 * 1024)) + bomb.flush()
    with pytest.raises(ValueError, match="larger than any segment"):
        decompressed(data)
