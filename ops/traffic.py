"""Payments as merchants send them: independent clients at a constant rate, whatever the service answers.

Open loop: a request is sent when it is due, not when an earlier one was answered, so an outage shows as what
clients would have met. Each client does what the API's documentation asks of it: after a 5xx or no answer it
sends the same payment with the same key again, after a 401 it opens a new session.
"""

import asyncio
import json
import random
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import count
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver

_MOST: Final = 100_000  # minor units
_ACKNOWLEDGED: Final = frozenset({201, 202})
_LATER: Final = frozenset({429})  # and 5xx: the same request may succeed later


@dataclass(frozen=True, slots=True)
class Merchant:
    id: str
    key: str = field(repr=False)
    debtor: str
    creditor: str
    currency: str


@dataclass(frozen=True, slots=True)
class Order:
    """One payment somebody wants: due so many seconds after the start, sent by one of the clients."""

    due: float
    client: int
    key: str
    amount: int
    currency: str
    debtor: str
    creditor: str
    reference: str

    def body(self) -> dict[str, Any]:
        return {
            "amount": self.amount,
            "currency": self.currency,
            "debtor": self.debtor,
            "creditor": self.creditor,
            "reference": self.reference,
        }


@dataclass(frozen=True, slots=True)
class Patience:
    """In seconds: for one attempt, for a payment from when it is due, and between two attempts.

    `again_at_once` is how many payments a client sends again at a time; what is due is sent in any case.
    """

    attempt: float = 10.0
    payment: float = 60.0
    first_pause: float = 0.1
    longest_pause: float = 2.0
    again_at_once: int = 1_000

    def pause(self, failures: int, retry_after: float, chance: random.Random) -> float:
        """Exponential with full jitter, and not before the service asked for, up to the longest pause."""
        most = min(self.longest_pause, self.first_pause * 2**failures)
        return max(chance.uniform(0, most), min(retry_after, self.longest_pause))


class Outcome(StrEnum):
    POSTED = "posted"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # no final answer in time


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request, `at` seconds after the start; without an answer no `status`, and `error` says why."""

    path: str
    at: float
    seconds: float
    status: int | None
    error: str = ""


Record = Callable[[Attempt], None]


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of an order. `answer` is the final document, of a payment or of a problem."""

    order: Order
    outcome: Outcome
    attempts: tuple[Attempt, ...]
    finished: float
    answer: Mapping[str, Any]

    @property
    def acknowledged(self) -> bool:
        return self.outcome in {Outcome.POSTED, Outcome.ACCEPTED}

    @property
    def seconds(self) -> float:
        """As long as whoever wanted the payment waited for it."""
        return self.finished - self.order.due


@dataclass(frozen=True, slots=True)
class Run:
    """Every order that was due, in the order they were due. All times count from `began`."""

    began: datetime
    sent: tuple[Sent, ...]


def orders(
    merchants: Sequence[Merchant], *, rate: float, clients: int, seed: int, name: str
) -> Iterator[Order]:
    """Without end, `rate` of them a second. The same seed and name make the same orders."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    for number in count():
        client = number % clients
        merchant = merchants[client % len(merchants)]
        yield Order(
            due=number / rate,
            client=client,
            key=f"{name}-{seed}-{number}",
            amount=chance.randint(1, _MOST),
            currency=merchant.currency,
            debtor=merchant.debtor,
            creditor=merchant.creditor,
            reference=f"{name} {number}",
        )


async def send(
    wanted: Iterable[Order],
    *,
    api: str,
    merchants: Sequence[Merchant],
    tls: ssl.SSLContext,
    patience: Patience,
    seed: int = 0,
    resolver: Callable[[], AbstractResolver] | None = None,
    stop: asyncio.Event | None = None,
    noticed: Callable[[Order, Attempt], None] = lambda _order, _attempt: None,
    finished: Callable[[Sent], None] = lambda _sent: None,
) -> Run:
    """Until the orders end or `stop` is set, and then until the last one has its outcome.

    `noticed` hears of every attempt, `finished` of every outcome, at once.

    `resolver` makes what a client asks about a name for every new connection, one for each of them: what it
    remembers is its own business, and nothing else is kept. Client n is merchant n, counted round.
    """
    loop = asyncio.get_running_loop()
    began, start = datetime.now(UTC), loop.time()
    known: dict[int, _Client] = {}
    sending: list[asyncio.Task[Sent]] = []
    try:
        for order in wanted:
            if not await _due(start + order.due, stop):
                break
            if order.client not in known:
                merchant = merchants[order.client % len(merchants)]
                names = resolver() if resolver is not None else None
                known[order.client] = _Client(api, merchant, tls, names, patience, start, noticed)
            chance = random.Random(f"{seed} {order.key}")  # noqa: S311 - as above
            paying = asyncio.create_task(known[order.client].pay(order, chance))
            paying.add_done_callback(lambda done: None if done.cancelled() else finished(done.result()))
            sending.append(paying)
        return Run(began, tuple(await asyncio.gather(*sending)))
    finally:
        for task in sending:
            task.cancel()
        for client in known.values():
            await client.close()


async def _due(at: float, stop: asyncio.Event | None) -> bool:
    """Waits for the time; False when it is to stop before."""
    stop = stop or asyncio.Event()
    try:
        async with asyncio.timeout_at(at):
            await stop.wait()
    except TimeoutError:
        return True
    return False


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int | None
    document: Mapping[str, Any] = field(default_factory=dict)
    retry_after: float = 0.0

    @property
    def settles(self) -> bool:
        return self.status is not None and self.status < 500 and self.status not in _LATER


class _Client:
    """One merchant's program: its own connections, its own session token."""

    def __init__(
        self,
        api: str,
        merchant: Merchant,
        tls: ssl.SSLContext,
        resolver: AbstractResolver | None,
        patience: Patience,
        start: float,
        noticed: Callable[[Order, Attempt], None],
    ) -> None:
        self._noticed = noticed
        self._api = api
        self._merchant = merchant
        self._patience = patience
        self._start = start
        self._clock = asyncio.get_running_loop().time
        self._token = ""
        self._signing_in = asyncio.Lock()
        self._again = asyncio.Semaphore(patience.again_at_once)
        connector = aiohttp.TCPConnector(limit=0, ssl=tls, resolver=resolver, use_dns_cache=False)
        self._http = aiohttp.ClientSession(connector=connector, trust_env=False)

    async def close(self) -> None:
        await self._http.close()

    async def pay(self, order: Order, chance: random.Random) -> Sent:
        """Never raises: what goes wrong is what is to be recorded."""
        attempts: list[Attempt] = []

        def record(attempt: Attempt) -> None:
            attempts.append(attempt)
            self._noticed(order, attempt)

        deadline = self._start + order.due + self._patience.payment
        outcome, answer = Outcome.UNKNOWN, _Answer(None)
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self._insist(order, chance, record)
                outcome = _outcome(answer)
        except TimeoutError:
            pass
        return Sent(order, outcome, tuple(attempts), self._clock() - self._start, answer.document)

    async def _insist(self, order: Order, chance: random.Random, record: Record) -> _Answer:
        """The first answer that settles it, however often it takes."""
        answer, failures = await self._try(order, record), 0
        while not answer.settles:
            await asyncio.sleep(self._patience.pause(failures, answer.retry_after, chance))
            failures += 1
            async with self._again:
                answer = await self._try(order, record)
        return answer

    async def _try(self, order: Order, record: Record) -> _Answer:
        """Signs in first where there is no session; one that has run out settles nothing."""
        while not (token := self._token):
            answer = await self._sign_in(record)
            if answer.status != 201:
                return answer
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": order.key}
        answer = await self._attempt(record, "/payments", json=order.body(), headers=headers)
        if answer.status != 401:
            return answer
        if self._token == token:  # nobody else has a new one yet
            self._token = ""
        return _Answer(None)

    async def _sign_in(self, record: Record) -> _Answer:
        """One at a time: the others use what the first one gets."""
        async with self._signing_in:
            if self._token:
                return _Answer(201)
            authorization = aiohttp.encode_basic_auth(self._merchant.id, self._merchant.key)
            answer = await self._attempt(record, "/sessions", headers={"Authorization": authorization})
            if answer.status == 201:
                self._token = str(answer.document["session_token"])
            return answer

    async def _attempt(self, record: Record, path: str, **request: Any) -> _Answer:
        began = self._clock()
        answer, error = _Answer(None), "cut short by the deadline"
        try:
            timeout = aiohttp.ClientTimeout(total=self._patience.attempt)
            async with self._http.post(self._api + path, timeout=timeout, **request) as response:
                document = _document(await response.read())
                if response.status in _ACKNOWLEDGED and not document:
                    raise ValueError("an acknowledgement that says nothing")
                if response.status >= 500:
                    response.close()  # the next attempt connects anew, perhaps to another region
                retry_after = response.headers.get("Retry-After", "")
                seconds = float(retry_after) if retry_after.isdecimal() else 0.0
                answer, error = _Answer(response.status, document, seconds), ""
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as failure:
            error = f"{type(failure).__name__}: {failure}".rstrip(": ")
        finally:
            record(Attempt(path, began - self._start, self._clock() - began, answer.status, error))
        return answer


def _document(body: bytes) -> Mapping[str, Any]:
    """What is not a JSON object, such as the page of something in between, says nothing."""
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, Mapping) else {}


def _outcome(answer: _Answer) -> Outcome:
    match answer.status:
        case 201:
            return Outcome.POSTED
        case 202:
            return Outcome.ACCEPTED
        case _:
            return Outcome.REFUSED
