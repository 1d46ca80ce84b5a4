"""Whatever goes wrong: what was acknowledged is in the ledger exactly once, and nothing else is."""

import pytest

from tests.integration.chaos import schedule
from tests.integration.chaos.traffic import HANDSHAKES_CUT_SHORT, Shop

pytestmark = [pytest.mark.lab, HANDSHAKES_CUT_SHORT]
_SECONDS, _RATE = 4.0, 6.0  # of traffic, and payments a second


def test_no_payment_is_lost_or_doubled(shop: Shop, seed: int) -> None:
    what = schedule.drawn(seed, _SECONDS, shop.tables)
    print(f"{what}\nagain: pytest tests/integration/chaos --chaos-schedules 1 --chaos-seed {seed}")  # noqa: T201
    wanted = shop.orders("chaos", rate=_RATE, seconds=_SECONDS, seed=seed)

    sent = shop.send(wanted, meanwhile=schedule.run(what, shop.control, shop.region))
    shop.ask_again(sent)
    shop.settle()

    unanswered = [one for one in sent if not one.acknowledged]
    assert not unanswered, "once nothing is wrong any more, clients that go on asking get an answer"
