"""Going through the work list, shard by shard and page by page."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

from payments.errors import Unavailable
from payments.mistakes import Mistakes
from payments.ports import WorkList


def listed(
    work: WorkList, shards: Iterable[str], limit: int, mistakes: Mistakes, *, since: datetime | None = None
) -> Iterator[str]:
    """The ids of open entries. A shard that cannot be read by a mistake is left, for the next one."""
    for shard in shards:
        after: str | None = None
        while True:
            try:
                page = work.page(shard, after, limit, since=since)
            except Unavailable:
                raise
            except Exception as mistake:  # noqa: BLE001 - the other shards are worked on all the same
                mistakes.add(mistake)
                break
            yield from page.ids
            after = page.after
            if after is None:
                break


def batches(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    remaining = iter(ids)
    while batch := list(islice(remaining, size)):
        yield batch
