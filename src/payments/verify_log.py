"""Verifying the transaction log as one region holds it: what it shipped, and what arrived from the peer."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from payments.ship import Head
from payments.transaction_log import (
    FIRST,
    Broken,
    Link,
    beginning,
    decompressed,
    first_difference,
    verified,
)

# Segments are kept for 400 days and then expire, the oldest first but not on the minute.
KEPT: Final = timedelta(days=390)


@dataclass(frozen=True, slots=True)
class Copy:
    """One version of a segment's object, or a marker that hides the versions before it."""

    segment: int
    bucket: str
    key: str
    version: str
    written_at: datetime
    deleted: bool = False

    @property
    def name(self) -> str:
        return f"s3://{self.bucket}/{self.key} (version {self.version})"


class Archive(Protocol):
    def copies(self) -> Iterable[Copy]: ...

    def read(self, copy: Copy) -> bytes: ...


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """`line` counts from 1, the header; None: it is about the whole segment. `where` is the object."""

    segment: int
    line: int | None
    why: str
    where: str = ""


@dataclass(slots=True)
class Verification:
    """How far the chain was whole, from `first` to `last`, and where it is broken, if it is."""

    first: int = 0
    last: Link = FIRST
    segments: int = 0
    rows: int = 0
    broken: BrokenLink | None = None
    notes: list[str] = field(default_factory=list)


def verify(
    archives: Sequence[Archive], head: Callable[[], Head | None], now: datetime, start: int = 1
) -> Verification:
    """`head` reads the bookmark; that comes after listing the archives, which then hold nothing newer.

    From segment `start` on; what comes before it is taken for granted. Every version of every segment counts:
    under Object Lock the first stays, so a later one that differs is named, and so is a marker that hides it.
    """
    found = _Found(archives, now)
    known = head()
    done = Verification()
    first = found.first(start)
    if first is None:
        done.notes.append(f"there is no segment {'here' if start == 1 else f'from {start} on here'}")
    elif first != start and not found.old(first):
        done.broken = BrokenLink(start, None, f"it is missing, and so are all before segment {first}")
    else:
        if first != start:
            done.notes.append(f"the segments before {first} are past their time and not here any more")
        _walk(found, first, done)
    if done.broken is None and known is not None:
        _compare(done, known, start)
    return done


def _walk(found: "_Found", first: int, done: Verification) -> None:
    done.first = first
    try:
        done.last = FIRST if first == 1 else found.before(first)
        for number in range(first, found.last() + 1):
            done.last, rows = found.verified(number, done.last)
            done.segments += 1
            done.rows += rows
    except _Stopped as stopped:
        done.broken = stopped.link


def _compare(done: Verification, head: Head, start: int) -> None:
    """With the bookmark, which knows the last segment, and perhaps one more that is only intended."""
    ends = {head.after.segment: head.after, head.end.segment: head.end}
    last = done.last.segment if done.segments else start - 1
    if done.segments and last > head.end.segment:
        done.broken = BrokenLink(last, None, f"the head of the chain knows none after {head.end.segment}")
    elif done.segments and last in ends and done.last != ends[last]:
        done.broken = BrokenLink(last, None, "it does not end as the head of the chain says")
    elif last < head.chain.segment:
        done.notes.append(
            f"{_span(last + 1, head.chain.segment)} of {head.chain.segment} not here (yet): what the other"
            " region ships arrives by replication, most of it within 15 minutes"
        )


def _span(first: int, last: int) -> str:
    return f"segment {first}" if first == last else f"segments {first} to {last}"


class _Stopped(Exception):  # noqa: N818 - what it does to the walk
    def __init__(self, segment: int, line: int | None, why: str, where: str = "") -> None:
        super().__init__(why)
        self.link = BrokenLink(segment, line, why, where)


class _Found:
    """Every copy of every segment, those of a bucket in the order they were written."""

    def __init__(self, archives: Sequence[Archive], now: datetime) -> None:
        self._now = now
        self._archives: dict[str, Archive] = {}
        copies: defaultdict[int, list[Copy]] = defaultdict(list)
        for archive in archives:
            for copy in archive.copies():
                self._archives[copy.bucket] = archive
                copies[copy.segment].append(copy)
        for each in copies.values():
            each.sort(key=lambda copy: (copy.bucket, copy.written_at, copy.deleted))
        self._copies: Mapping[int, Sequence[Copy]] = copies

    def first(self, start: int) -> int | None:
        """The first segment from `start` on of which anything is left."""
        left = (number for number, copies in self._copies.items() if not all(copy.deleted for copy in copies))
        return min((number for number in left if number >= start), default=None)

    def last(self) -> int:
        return max(self._copies)

    def old(self, number: int) -> bool:
        """Whether the one before it may have expired."""
        return min(copy.written_at for copy in self._copies[number]) <= self._now - KEPT

    def before(self, number: int) -> Link:
        """What the segment says it continues, which is all there is to know of it."""
        for copy in self._copies[number]:
            if not copy.deleted:
                try:
                    return beginning(self._lines(copy), number)
                except Broken as broken:
                    raise _Stopped(number, broken.line, broken.why, copy.name) from None
        raise _Stopped(number, None, "it is missing")

    def verified(self, number: int, after: Link) -> tuple[Link, int]:
        whole: tuple[Copy, bytes] | None = None
        ends: tuple[Link, int] | None = None
        for copy in self._copies.get(number, ()):
            if copy.deleted:
                continue
            lines = self._lines(copy)
            if whole is not None and lines == whole[1]:
                continue
            try:
                found = verified(lines, after)
            except Broken as broken:
                beside = f"; {whole[0].name} is whole" if whole is not None else ""
                raise _Stopped(number, broken.line, broken.why + beside, copy.name) from None
            if whole is not None:
                why = f"it fits itself, and so does {whole[0].name}, which differs"
                raise _Stopped(number, first_difference(lines, whole[1]), why, copy.name)
            whole, ends = (copy, lines), found
        if ends is None:
            raise _Stopped(
                number,
                None,
                "it is missing, and later ones are here; replication keeps no order, so if the other region"
                " shipped it in the last 15 minutes, ask again, else it never came or was removed",
            )
        self._check_markers(number)
        return ends

    def _check_markers(self, number: int) -> None:
        copies = self._copies[number]
        for copy in copies:
            if copy.deleted and not self.old(number):
                raise _Stopped(
                    number, None, "it was deleted; what it held is whole and still there", copy.name
                )

    def _lines(self, copy: Copy) -> bytes:
        try:
            return decompressed(self._archives[copy.bucket].read(copy))
        except ValueError as error:
            raise _Stopped(copy.segment, None, str(error), copy.name) from None
