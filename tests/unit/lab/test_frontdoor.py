"""Which deployed API a path belongs to, and how long that is remembered."""

import asyncio

from lab.frontdoor import Deployed, Mapping, choose, sendable

ROOT = Mapping(base_path="", api="root", stage="live")
ORDERS = Mapping(base_path="orders", api="orders", stage="live")


def test_the_longest_base_path_wins_and_is_cut_off() -> None:
    assert choose((ROOT, ORDERS), "/orders/1") == (ORDERS, "/1")
    assert choose((ROOT, ORDERS), "/orders") == (ORDERS, "/")
    assert choose((ROOT, ORDERS), "/ordersx") == (ROOT, "/ordersx")
    assert choose((ORDERS,), "/health") is None
    assert choose((), "/health") is None


def test_what_is_deployed_is_asked_again_after_a_while_and_nothing_is_not_remembered() -> None:
    answers = [(), (ROOT,), (ORDERS,)]
    now = [100.0]
    deployed = Deployed(lambda _domain: answers.pop(0), clock=lambda: now[0])

    async def run() -> None:
        assert await deployed.mappings("payments.test") == ()
        assert await deployed.mappings("payments.test") == (ROOT,)
        now[0] += 1
        assert await deployed.mappings("payments.test") == (ROOT,)
        now[0] += 5
        assert await deployed.mappings("payments.test") == (ORDERS,)

    asyncio.run(run())


def test_no_byte_of_a_header_is_lost() -> None:
    for sent in (b"plain", "sch\u00fcssel".encode(), b"sch\xfcssel", b"\x80"):
        as_aiohttp_reads_it = sent.decode("utf-8", "surrogateescape")
        assert sendable(as_aiohttp_reads_it).encode() in {sent, sent.decode("latin-1").encode()}
