"""The API function of the other region, called across regions: no public path, one attempt."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config

from adapters.aws import client, unknown_is_unavailable
from failover.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

CONNECT_SECONDS: Final = 1
# How long an answer is waited for: the longest that the caller's own time allows. The first is what nearly
# every request gets; the others are for those that waited for a takeover first.
WAITS: Final = (20, 10, 5)
_MOST_ANSWER_BYTES: Final = 65_536  # ours have a few thousand
_IDLE_SECONDS: Final = 60.0  # NAT forgets a silent connection after 350 s, a frozen function never notices

Clients = Callable[[int], "LambdaClient"]


class PeerFunction:
    def __init__(
        self,
        region: str,
        function: str,
        elapsed: Callable[[], float],
        clients: Clients | None = None,
    ) -> None:
        """`elapsed` in seconds; `clients` makes one that waits so many seconds for an answer."""
        self.region = region
        self._function = function
        self._clients = cache(clients or self._client)
        self._elapsed = elapsed
        self._last: dict[int, float] = {}

    def ask(self, event: Mapping[str, Any], patience: float) -> object:
        """What the function returned, whatever it is. Waits up to `patience` seconds.

        Raises Unavailable when no answer came: what the function did is unknown. A ClientError is ours to
        repair: the function was not run.
        """
        wait = next((each for each in WAITS if each + CONNECT_SECONDS <= patience), None)
        if wait is None:
            raise Unavailable("peer: no time left to ask it")
        payload = json.dumps(event).encode()
        with unknown_is_unavailable("peer"):
            answer = self._client_that_waits(wait).invoke(FunctionName=self._function, Payload=payload)
            returned = answer["Payload"].read(_MOST_ANSWER_BYTES + 1)
        if "FunctionError" in answer:
            raise Unavailable("peer: its function failed")
        if len(returned) > _MOST_ANSWER_BYTES:
            raise Unavailable("peer: its answer is too large")
        try:
            found: object = json.loads(returned)
        except (ValueError, RecursionError):
            raise Unavailable("peer: its answer is not JSON") from None
        return found

    def _client_that_waits(self, seconds: int) -> LambdaClient:
        """With a connection that is new or was used lately: there is no second attempt."""
        asked = self._clients(seconds)
        now = self._elapsed()
        if now - self._last.get(seconds, now) > _IDLE_SECONDS:
            asked.close()
        self._last[seconds] = now
        return asked

    def _client(self, seconds: int) -> LambdaClient:
        made: LambdaClient = client("lambda", self.region, connections=1, config=patient(seconds))
        return made


def patient(seconds: int) -> Config:
    """One attempt: who gets no answer has the client ask again, with the same key."""
    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=seconds,
        retries={"mode": "standard", "total_max_attempts": 1},
        tcp_keepalive=True,
    )
