"""A request that met the region which is not active: handed to the one that is, once, and its answer back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError

from failover.clock import Clock, Instant
from handlers.http import Response, problem_response
from handlers.problems import PROBLEMS, BodyTooLarge
from payments.errors import NotActive, Unavailable
from payments.parse import MAX_BODY_BYTES

# A key of the event itself: API Gateway has none of that name, and what a client sends is inside the others.
MARK: Final = "forwarded_by"
FUNCTION_SECONDS: Final = 28.0  # what Lambda gives the whole function, before it ends without an answer
_ROOM_SECONDS: Final = 2.0  # for everything that is not waiting, the answer above all
_STATUSES: Final = range(200, 600)


class Peer(Protocol):
    """The API function of the other region."""

    region: str

    def ask(self, event: Mapping[str, Any], patience: float) -> object:
        """What it returned. Raises Unavailable when no answer came within so many seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Forwarding:
    here: str
    peer: Peer
    clock: Clock

    def answer(self, event: Mapping[str, Any], standby: NotActive, began: Instant) -> Response:
        """The active region's answer. Raises `standby` when there is nobody to ask, Unavailable when what the
        other region did is unknown.
        """
        if MARK in event or standby.active != self.peer.region:
            raise standby
        if (
            len(event.get("body") or "") > 2 * MAX_BODY_BYTES
        ):  # in base64, too; and Lambda takes no more than 6 MB
            raise BodyTooLarge
        elapsed = self.clock.now().monotonic - began.monotonic
        try:
            answered = self.peer.ask(
                {**event, MARK: self.here}, patience=FUNCTION_SECONDS - _ROOM_SECONDS - elapsed
            )
        except ClientError as mistake:  # it was not run: nothing was stored, but somebody has to repair this
            return replace(problem_response(PROBLEMS[NotActive]), mistake=mistake)
        return replace(_response(answered), facts={"forwarded_to": self.peer.region})


def _response(answered: object) -> Response:
    """Raises Unavailable for anything that is not an answer of this API: the function may have done all or
    nothing.
    """
    match answered:
        case {
            "statusCode": int(status),
            "headers": {"Content-Type": str(media_type), **others},
            "body": str(body),
            "isBase64Encoded": False,
        } if status in _STATUSES:
            headers = {str(name): value for name, value in others.items() if isinstance(value, str)}
            document = _document(body)
            if document is not None and len(headers) == len(others):
                return Response(status, document, headers, media_type)
    raise Unavailable("peer: its answer is not one of this API")


def _document(body: str) -> Mapping[str, object] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
