"""The transaction log: what the ledger posted, in order, as hash-chained lines of segments that never change.

A segment is a header line and a line for each payment. Every line carries the hash of the line before it, be
that in the segment before, and its own: SHA-256 over its canonical form, the previous hash included. Segments
are compared by their lines: another version of zlib may compress the same lines to other bytes.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise, zip_longest
from typing import Any, Final

from payments.model import Entry, Payment

FORMAT: Final = 1
GENESIS: Final = "0" * 64  # the hash before the first line of all
MAX_ROWS: Final = 2_000  # one statement reads them, and has two seconds
MAX_BYTES: Final = 4 * 1024 * 1024  # of lines; a segment is closed by the row that passes it
MOST_BYTES: Final = 4 * MAX_BYTES  # nothing that claims to be a segment is read any further
_LEVEL: Final = 6


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a payment stands in the log: the transaction that posted it, then its own id."""

    txid: int
    payment_id: str


BEGINNING: Final = Position(0, "")


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A payment as the ledger holds it, with everything needed to write the ledger again."""

    txid: int
    payment: Payment
    epoch: int
    posted_at: datetime
    lines: tuple[Entry, ...]

    @property
    def position(self) -> Position:
        return Position(self.txid, self.payment.payment_id)


@dataclass(frozen=True, slots=True)
class Link:
    """The end of the chain so far: what the next segment continues."""

    segment: int
    hash: str
    position: Position


FIRST: Final = Link(0, GENESIS, BEGINNING)


@dataclass(frozen=True, slots=True)
class Segment:
    """`lines` is its content, uncompressed; the same for whoever writes it."""

    after: Link
    end: Link
    rows: int
    lines: bytes

    @property
    def number(self) -> int:
        return self.end.segment


def next_segment(after: Link, rows: Sequence[LedgerRow]) -> Segment:
    """Of as many of these rows as one segment takes, at least one; they follow `after` in the order given."""
    return whole_segment(after, rows[: _fitting(rows)])


def whole_segment(after: Link, rows: Sequence[LedgerRow]) -> Segment:
    """Of exactly these rows, which is how somebody else's intent is carried out."""
    if not rows:
        raise ValueError("a segment has at least one row")
    positions = [after.position, *(row.position for row in rows)]
    if any(later <= earlier for earlier, later in pairwise(positions)):
        raise ValueError("the rows of a segment ascend and come after the segment before")
    number, end = after.segment + 1, positions[-1]
    line, last = _chained(after.hash, "header", _header(number, after.position, end, len(rows)))
    lines = [line]
    for row in rows:
        line, last = _chained(last, "payment", record(row))
        lines.append(line)
    return Segment(after, Link(number, last, end), len(rows), b"".join(lines))


def _fitting(rows: Sequence[LedgerRow]) -> int:
    size = 0
    for count, row in enumerate(rows[:MAX_ROWS], start=1):
        size += len(_chained(GENESIS, "payment", record(row))[0])
        if size >= MAX_BYTES:
            return count
    return min(len(rows), MAX_ROWS)


def record(row: LedgerRow) -> dict[str, Any]:
    request = row.payment.request
    return {
        "accepted_at": _time(row.payment.accepted_at),
        "amount": request.money.amount,
        "creditor": request.creditor,
        "currency": request.money.currency,
        "debtor": request.debtor,
        "epoch": row.epoch,
        "fingerprint": row.payment.fingerprint,
        "lines": [
            {
                "account": entry.account,
                "amount": entry.money.amount,
                "currency": entry.money.currency,
                "line": entry.line,
            }
            for entry in row.lines
        ],
        "merchant_id": request.merchant_id,
        "payment_id": row.payment.payment_id,
        "posted_at": _time(row.posted_at),
        "reference": request.reference,
        "txid": row.txid,
    }


def _time(moment: datetime) -> str:
    """To the microsecond, as PostgreSQL keeps it."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _header(number: int, start: Position, end: Position, rows: int) -> dict[str, Any]:
    """The range is from after `from` to `to`."""
    return {
        "format": FORMAT,
        "from": [start.txid, start.payment_id],
        "rows": rows,
        "segment": number,
        "to": [end.txid, end.payment_id],
    }


def _chained(previous: str, kind: str, content: Mapping[str, Any]) -> tuple[bytes, str]:
    """The line and its hash."""
    linked = {"previous": previous, kind: content}
    own = hashlib.sha256(_canonical(linked)).hexdigest()
    return _canonical(linked | {"hash": own}) + b"\n", own


def _canonical(value: Any) -> bytes:
    """Sorted, compact ASCII: the same text for the same content."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


# --- compressed -------------------------------------------------------------------------------------------


def compressed(lines: bytes) -> bytes:
    return gzip.compress(lines, _LEVEL, mtime=0)


def decompressed(data: bytes) -> bytes:
    """Raises ValueError when it is not one whole gzip stream of a segment's size."""
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        lines = stream.decompress(data, MOST_BYTES)
    except zlib.error:
        raise ValueError("it is not gzip") from None
    if stream.unconsumed_tail:
        raise ValueError(f"it is larger than any segment: more than {MOST_BYTES} bytes of lines")
    if not stream.eof:
        raise ValueError("its gzip stream is cut off")
    if stream.unused_data:
        raise ValueError("something follows its gzip stream")
    return lines


# --- verified ---------------------------------------------------------------------------------------------


class Broken(Exception):  # noqa: N818 - it says what the chain is
    """The first line of a segment that does not continue the chain; `line` counts from 1, the header."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line = line
        self.why = why


def verified(lines: bytes, after: Link) -> tuple[Link, int]:
    """The end of the chain with this segment, and how many rows it holds. Raises Broken.

    Trusts nothing it reads: a line counts only if it is byte for byte how its own content would be written.
    """
    number = after.segment + 1
    texts = lines.split(b"\n")
    whole = texts.pop() == b""
    header, last = _verified_line(1, texts[0] if texts else b"", after.hash, "header")
    end, rows = _verified_header(header, number, after)
    position = after.position
    for line, text in enumerate(texts[1:], start=2):
        if line > rows + 1:
            raise Broken(line, f"the header counts {rows} rows, and here is another")
        content, last = _verified_line(line, text, last, "payment")
        position = _verified_position(line, content, position)
    if len(texts) <= rows:
        raise Broken(len(texts) + 1, f"it is missing or has no end: the header counts {rows} rows")
    if not whole:
        raise Broken(len(texts) + 1, f"the header counts {rows} rows, and something follows them")
    if position != end:
        raise Broken(len(texts), "it is not where the header says that the segment ends")
    return Link(number, last, end), rows


def beginning(lines: bytes, number: int) -> Link:
    """What a segment says it continues, for whoever cannot see the one before. Raises Broken."""
    try:
        header = json.loads(lines.partition(b"\n")[0])
        txid, payment_id = header["header"]["from"]
        return Link(number - 1, str(header["previous"]), Position(int(txid), str(payment_id)))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Broken(1, "it is no header line as they are written") from None


def _verified_line(line: int, text: bytes, previous: str, kind: str) -> tuple[Mapping[str, Any], str]:
    try:
        stored = json.loads(text)
        content, claimed, linked = stored[kind], stored["hash"], stored["previous"]
        expected, own = _chained(linked, kind, content)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Broken(line, f"it is no {kind} line as they are written") from None
    if linked != previous:
        raise Broken(line, "its previous hash is not that of the line before")
    if claimed != own:
        raise Broken(line, "its hash is not that of its content")
    if expected != text + b"\n" or not isinstance(content, dict):
        raise Broken(line, f"it is no {kind} line as they are written")
    return content, own


def _verified_header(header: Mapping[str, Any], number: int, after: Link) -> tuple[Position, int]:
    match header:
        case {
            "format": int(),
            "from": [int(from_txid), str(from_id)],
            "rows": int(rows),
            "segment": int(claimed),
            "to": [int(to_txid), str(to_id)],
        } if rows > 0:
            start, end = Position(from_txid, from_id), Position(to_txid, to_id)
        case _:
            raise Broken(1, "it is no header line as they are written")
    if header["format"] != FORMAT:
        raise Broken(1, f"its format is {header['format']}, and this program knows {FORMAT}: use a newer one")
    if claimed != number:
        raise Broken(1, f"it is the header of segment {claimed}, not {number}")
    if start != after.position:
        raise Broken(1, "its range does not start where the segment before ended")
    return end, rows


def _verified_position(line: int, content: Mapping[str, Any], before: Position) -> Position:
    match content:
        case {"txid": int(txid), "payment_id": str(payment_id)} if Position(txid, payment_id) > before:
            return Position(txid, payment_id)
        case _:
            raise Broken(line, "its position does not come after the line before")


def first_difference(one: bytes, other: bytes) -> int:
    """The first line, counted from 1, in which two segments that are not the same differ."""
    pairs = zip_longest(one.split(b"\n"), other.split(b"\n"))
    return next(line for line, (a, b) in enumerate(pairs, start=1) if a != b)
