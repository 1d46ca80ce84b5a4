"""Clients of the deployed system, and everything they were ever told, against both regions' PostgreSQL."""

import asyncio
import ssl
import time
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import psycopg
import pytest

from lab.control import Control
from lab.seed import ACCOUNT_IDS, MERCHANT_ID
from ops.traffic import Merchant, Order, Outcome, Patience, Run, Sent, orders, send
from payments.idempotency import payment_id
from tests.integration.chaos.books import Asked, Books, findings, read
from tests.integration.chaos.schedule import Tables
from tests.integration.system.deployment import System

# An attempt may take what API Gateway gives it: who gives up earlier leaves work behind and makes more.
PATIENCE = Patience(attempt=30.0, payment=90.0, first_pause=0.1, longest_pause=1.0)
# asyncio leaves a connection to the garbage collector when it is given up while TLS is agreed on.
HANDSHAKES_CUT_SHORT = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
_POSTED_WITHIN = 60.0  # seconds, with a sweeper at work
_REPLICATED_WITHIN = 20.0


class Shop:
    def __init__(self, system: System) -> None:
        self.system = system
        self.region = system.primary
        self.control = Control(system.plan.control_socket)
        self._status = system.status()
        self._asked: list[Asked] = []
        self._before = self.books(self.region).ids
        known = next(one for one in self._status["merchants"] if one["id"] == MERCHANT_ID)
        debtor, creditor = ACCOUNT_IDS
        self.merchant = Merchant(MERCHANT_ID, known["key"], debtor, creditor, "USD")
        self._tls = ssl.create_default_context(cafile=self._status["ca_file"])

    @property
    def tables(self) -> Tables:
        directory = self.system.plan.directory_table
        return Tables(*(directory.replace("directory", name) for name in ("journal", "control", "sessions")))

    def orders(self, name: str, *, rate: float, seconds: float, seed: int, clients: int = 6) -> list[Order]:
        endless = orders([self.merchant], rate=rate, clients=clients, seed=seed, name=name)
        return list(islice(endless, int(rate * seconds)))

    def send(
        self,
        wanted: Iterable[Order],
        *,
        meanwhile: Coroutine[Any, Any, None] | None = None,
        patience: Patience = PATIENCE,
        region: str = "",
    ) -> tuple[Sent, ...]:
        """To their outcomes, while something else goes on."""

        async def both() -> Run:
            sending = send(
                wanted,
                api=self._status["regions"][region or self.region]["api_base_url"],
                merchants=[self.merchant],
                tls=self._tls,
                patience=patience,
            )
            if meanwhile is None:
                return await sending
            async with asyncio.TaskGroup() as group:
                sent = group.create_task(sending)
                group.create_task(meanwhile)
            return sent.result()

        sent = asyncio.run(both()).sent
        self._asked += [Asked(self.merchant.id, one) for one in sent]
        return sent

    def books(self, region: str) -> Books:
        with psycopg.connect(self._status["regions"][region]["postgres_dsn"], autocommit=True) as connection:
            return read(connection)

    def findings(self, region: str) -> list[str]:
        """What is wrong in a region's ledger now."""
        return findings(self._asked, self.books(region), before=self._before)

    def ask_again(self, sent: Iterable[Sent]) -> None:
        """Clients that were told `accepted` send the payment again with its key until it is posted."""
        waiting = [one.order for one in sent if one.outcome is Outcome.ACCEPTED]
        deadline = time.monotonic() + _POSTED_WITHIN
        while waiting:
            assert time.monotonic() < deadline, f"still not posted: {[order.key for order in waiting]}"
            at_once = [replace(order, due=0.0) for order in waiting]
            waiting = [one.order for one in self.send(at_once) if one.outcome is not Outcome.POSTED]

    def settle(self) -> None:
        """Waits until all that was acknowledged is posted and nothing is wrong, in either region."""
        for region, patience in ((self.region, _POSTED_WITHIN), (self.system.secondary, _REPLICATED_WITHIN)):
            deadline = time.monotonic() + patience
            while wrong := self.findings(region):
                assert time.monotonic() < deadline, "\n".join((f"in {region}:", *wrong))
                time.sleep(0.2)

    def sweep(self) -> None:
        """Starts a sweeper now, rather than wait for the next minute."""
        name = self.system.plan.directory_table.replace("directory", "sweep-primary")
        self.system.aws("lambda", self.region).invoke(FunctionName=name, InvocationType="Event")

    def posted(self, sent: Iterable[Sent]) -> set[str]:
        """Those of the payments that are in the ledger, by idempotency key."""
        ids = self.books(self.region).ids
        return {one.order.key for one in sent if payment_id(self.merchant.id, one.order.key) in ids}

    def wait_posted(self, sent: Sequence[Sent], *, share: float = 1.0, within: float) -> None:
        deadline = time.monotonic() + within
        while len(posted := self.posted(sent)) < share * len(sent):
            assert time.monotonic() < deadline, f"{len(posted)} of {len(sent)} are posted after {within} s"
            time.sleep(0.2)

    def journalled(self, key: str) -> bool:
        """Whether the journal holds the payment with this idempotency key."""
        answer = self.system.aws("dynamodb", self.region).get_item(
            TableName=self.tables.journal,
            Key={"payment_id": {"S": payment_id(self.merchant.id, key)}},
            ConsistentRead=True,
        )
        return "Item" in answer
