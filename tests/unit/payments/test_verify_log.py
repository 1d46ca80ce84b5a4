"""Whatever happens to segments or their objects, the first broken link is named, and only a real one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.ship import Head
from payments.transaction_log import GENESIS, Link, Position, Segment, compressed
from payments.verify_log import KEPT, Copy, Verification, verify
from templates.storage import KEEP_RECORDS_DAYS
from tests.unit.payments.test_transaction_log import MOMENT, chain, forged

CHAIN = chain(5, 4, 1, 3, 2)
OTHER = chain(4, 5, 1, 3, 2)
NOW = MOMENT + timedelta(days=1)


@dataclass
class Bucket:
    """Versions of objects, each a moment after the one before."""

    name: str
    at: datetime = MOMENT
    versions: dict[Copy, bytes] = field(default_factory=dict)

    def put(self, number: int, data: bytes, *, deleted: bool = False) -> Copy:
        self.at += timedelta(seconds=1)
        version = str(len(self.versions) + 1)
        copy = Copy(number, self.name, f"segments/{number}", version, self.at, deleted=deleted)
        self.versions[copy] = data
        return copy

    def delete(self, number: int) -> Copy:
        return self.put(number, b"", deleted=True)

    def copies(self) -> Iterable[Copy]:
        return list(self.versions)

    def read(self, copy: Copy) -> bytes:
        assert not copy.deleted
        return self.versions[copy]


def bucket(segments: Iterable[Segment] = CHAIN, name: str = "transactions") -> Bucket:
    made = Bucket(name)
    for segment in segments:
        made.put(segment.number, compressed(segment.lines))
    return made


def of(lines: Sequence[bytes], name: str = "transactions") -> Bucket:
    made = Bucket(name)
    for number, each in enumerate(lines, start=1):
        made.put(number, compressed(each))
    return made


def head(number: int, *, shipped: bool = True, segments: Sequence[Segment] = CHAIN) -> Head:
    segment = segments[number - 1]
    return Head(segment.after, segment.end, segment.rows, shipped)


def verified(*buckets: Bucket, known: Head | None = None, start: int = 1) -> Verification:
    return verify(buckets, lambda: known, NOW, start)


def broken(*buckets: Bucket, known: Head | None = None, start: int = 1) -> tuple[int, int | None]:
    found = verified(*buckets, known=known, start=start).broken
    assert found is not None
    assert found.why
    return found.segment, found.line


LINES = [segment.lines for segment in CHAIN]


def test_a_whole_chain_is_verified_to_its_end() -> None:
    assert verified(bucket(), known=head(5)) == Verification(1, CHAIN[-1].end, 5, 15)


def test_what_was_shipped_here_and_what_was_received_make_one_chain() -> None:
    own, received = bucket(CHAIN[1:3]), bucket([CHAIN[0], *CHAIN[3:]], "received")
    assert verified(own, received, known=head(5)) == Verification(1, CHAIN[-1].end, 5, 15)
    both = bucket(name="received")  # an intent that both regions carried out
    assert verified(own, both, known=head(5)).broken is None


def test_an_empty_log_is_whole() -> None:
    found = verified(Bucket("transactions"), Bucket("received"))
    assert (found.segments, found.broken, found.notes) == (0, None, ["there is no segment here"])


@given(st.data())
def test_any_changed_byte_of_any_line_is_named(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 4))
    place = data.draw(st.integers(0, len(LINES[number]) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != LINES[number][place]))
    changed = LINES[number][:place] + bytes([other]) + LINES[number][place + 1 :]
    line = LINES[number][:place].count(b"\n") + 1
    assert broken(of([*LINES[:number], changed, *LINES[number + 1 :]])) == (number + 1, line)


@given(st.data())
def test_any_line_dropped_swapped_or_doubled_is_named(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 4))
    lines = LINES[number].splitlines(keepends=True)
    one = data.draw(st.integers(0, len(lines) - 1))
    other = data.draw(st.integers(0, len(lines) - 1).filter(lambda other: other != one))
    swapped = list(lines)
    swapped[one], swapped[other] = lines[other], lines[one]
    for changed, line in (
        (lines[:one] + lines[one + 1 :], one + 1),
        (lines[: one + 1] + lines[one:], one + 2),
        (swapped, min(one, other) + 1),
    ):
        segments = [*LINES[:number], b"".join(changed), *LINES[number + 1 :]]
        assert broken(of(segments)) == (number + 1, line)


@given(st.data())
def test_any_segment_dropped_swapped_or_doubled_is_named(data: st.DataObject) -> None:
    one = data.draw(st.integers(0, 4))
    other = data.draw(st.integers(0, 4).filter(lambda other: other != one))
    swapped = list(LINES)
    swapped[one], swapped[other] = LINES[other], LINES[one]
    assert broken(of(swapped)) == (min(one, other) + 1, 1)
    assert broken(of(LINES[: one + 1] + LINES[one:])) == (one + 2, 1)
    if one < 4:  # the last one is missing only to whoever knows the head
        assert broken(bucket(CHAIN[:one] + CHAIN[one + 1 :])) == (one + 1, None)
        assert broken(of(LINES[:one] + LINES[one + 1 :])) == (one + 1, 1)


@given(st.data())
def test_objects_that_are_no_whole_gzip_are_named(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 4))
    whole = compressed(LINES[number])
    cut = data.draw(st.integers(0, len(whole) - 1))
    for bad in (whole[:cut], whole + b"x", data.draw(st.binary(max_size=50))):
        made = Bucket("transactions")
        for each, lines in enumerate(LINES):
            made.put(each + 1, bad if each == number else compressed(lines))
        assert broken(made) == (number + 1, None)


def test_a_replaced_segment_breaks_the_chain_where_it_was_or_where_it_goes_on() -> None:
    assert broken(of([LINES[0], forged((3, {"amount": 1})), *LINES[2:]])) == (3, 1)
    assert broken(of([*LINES[:3], OTHER[3].lines, LINES[4]])) == (4, 1)


def test_a_version_put_over_another_is_named_though_the_first_is_whole() -> None:
    made = bucket()
    later = made.put(2, compressed(forged((3, {"amount": 1}))))
    found = verified(made).broken
    assert found is not None
    assert (found.segment, found.line, found.where) == (2, 3, later.name)
    assert "and so does s3://transactions/segments/2 (version 2)" in found.why
    made = bucket()
    made.put(2, compressed(LINES[1][:-1]))
    assert broken(made) == (2, 5)
    made = bucket()
    made.put(2, compressed(LINES[1]))  # the same lines again: nothing was replaced
    assert verified(made).broken is None


def test_a_copy_in_the_other_bucket_that_differs_is_named() -> None:
    found = verified(bucket(), of([LINES[0], forged((2, {"amount": 1}))], "received")).broken
    assert found is not None
    assert (found.segment, found.line) == (2, 2)
    assert "s3://transactions/segments/2" in found.where + found.why
    assert "s3://received/segments/2" in found.where + found.why


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_deleted_segment_is_named_though_its_versions_are_there(number: int) -> None:
    made = bucket()
    marker = made.delete(number)
    found = verified(made, bucket(name="received")).broken
    assert found is not None
    assert (found.segment, found.line, found.where) == (number, None, marker.name)


def test_a_segment_of_which_only_a_marker_is_left_is_missing() -> None:
    made = bucket([*CHAIN[:2], *CHAIN[3:]])
    made.delete(3)
    assert broken(made) == (3, None)
    made = bucket(CHAIN[:4])
    made.delete(5)
    assert broken(made) == (5, None)


def test_a_chain_that_does_not_begin_here_is_broken_unless_its_beginning_is_past_its_time() -> None:
    young = bucket(CHAIN[2:])
    assert broken(young) == (1, None)
    old = Bucket("transactions", NOW - KEPT - timedelta(days=5))
    old.delete(1)  # what expiry leaves behind for a while
    for segment in CHAIN[2:]:
        old.put(segment.number, compressed(segment.lines))
    old.delete(3)
    found = verified(old, known=head(5))
    assert (found.first, found.segments, found.broken) == (3, 3, None)
    assert found.notes == ["the segments before 3 are past their time and not here any more"]
    assert timedelta(days=KEEP_RECORDS_DAYS) > KEPT  # by some days: lifecycle rules run once a day


def test_verification_may_start_anywhere() -> None:
    found = verified(bucket(), known=head(5), start=3)
    assert (found.first, found.segments, found.rows, found.broken) == (3, 3, 6, None)
    assert broken(bucket(CHAIN[3:]), start=3) == (3, None)
    assert broken(of([*LINES[:2], LINES[2][:-1], *LINES[3:]]), start=3) == (3, 2)
    assert broken(of([*LINES[:2], b"nothing\n", *LINES[3:]]), start=3) == (3, 1)
    assert verified(bucket(), start=6).notes == ["there is no segment from 6 on here"]


def test_what_has_yet_to_arrive_is_told_and_breaks_nothing() -> None:
    found = verified(bucket(CHAIN[:3]), known=head(5))
    assert (found.segments, found.broken) == (3, None)
    assert found.notes[0].startswith("segments 4 to 5 of 5 not here (yet)")
    assert verified(bucket(CHAIN[:4]), known=head(5)).notes[0].startswith("segment 5 of 5 not here (yet)")
    assert verified(Bucket("x"), known=head(2)).notes[-1].startswith("segments 1 to 2 of 2 not here (yet)")
    assert verified(bucket(), known=head(5), start=6).notes == ["there is no segment from 6 on here"]


@pytest.mark.parametrize("there", [4, 5])
def test_an_intent_may_be_carried_out_or_not(there: int) -> None:
    found = verified(bucket(CHAIN[:there]), known=head(5, shipped=False))
    assert (found.segments, found.broken, found.notes) == (there, None, [])


def test_the_head_names_a_log_that_was_rewritten_to_its_end() -> None:
    for shipped in (True, False):
        assert broken(bucket(OTHER), known=head(5, shipped=shipped)) == (5, None)
    assert broken(bucket(OTHER[:4]), known=head(5)) == (4, None)
    assert broken(bucket(), known=head(3)) == (5, None)  # more than was ever shipped


def test_the_head_is_read_after_the_archives_are_listed() -> None:
    made = bucket(CHAIN[:3])

    def known() -> Head:
        made.put(4, compressed(LINES[3]))  # shipped meanwhile
        return head(4)

    found = verify([made], known, NOW)
    assert (found.segments, found.broken) == (3, None)


def test_a_head_that_continues_nothing_is_the_genesis() -> None:
    first = replace(head(1, shipped=False), end=Link(1, "x", Position(9, "x")))
    assert verified(Bucket("x"), known=first).broken is None
    assert first.after.hash == GENESIS
    assert broken(bucket(CHAIN[:1]), known=first) == (1, None)
