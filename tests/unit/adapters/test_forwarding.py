"""The call of the other region's function: what counts as an answer, and how long one is waited for."""

import io
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from adapters.forwarding import CONNECT_SECONDS, WAITS, PeerFunction, patient
from failover.errors import Unavailable


class FakeLambda:
    """As botocore's client: `answer` is bytes to return, or an error to raise."""

    def __init__(self, answer: bytes | Exception = b"{}", **more: Any) -> None:
        self.answer, self.more = answer, more
        self.calls: list[dict[str, Any]] = []
        self.closed = 0

    def invoke(self, **call: Any) -> dict[str, Any]:
        self.calls.append(call)
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"Payload": StreamingBody(io.BytesIO(self.answer), len(self.answer)), **self.more}

    def close(self) -> None:
        self.closed += 1


def peer(fake: FakeLambda, now: list[float] | None = None) -> tuple[PeerFunction, list[int]]:
    waited: list[int] = []

    def made(seconds: int) -> Any:
        waited.append(seconds)
        return fake

    return PeerFunction("us-east-2", "api", lambda: (now or [0.0])[0], made), waited


def refused(code: str, status: int) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "Invoke")


def test_the_event_is_what_the_function_gets_and_what_it_returns_comes_back() -> None:
    fake = FakeLambda(b'{"statusCode": 200}')
    asked, _ = peer(fake)
    assert asked.ask({"body": "\ud800\u20ac", "forwarded_by": "us-east-1"}, 26) == {"statusCode": 200}
    (call,) = fake.calls
    assert call["FunctionName"] == "api"
    assert json.loads(call["Payload"]) == {"body": "\ud800\u20ac", "forwarded_by": "us-east-1"}


@pytest.mark.parametrize(
    ("answer", "more"),
    [
        (b'{"errorMessage": "timed out"}', {"FunctionError": "Unhandled"}),
        (b"{}", {"FunctionError": "Handled"}),
        (b"", {}),
        (b"not json", {}),
        (b"\xff\xfe", {}),
        (b'{"statusCode": 200', {}),
        (b"[" * 60_000, {}),
        (b'"' + b"x" * 65_536 + b'"', {}),
        (refused("TooManyRequestsException", 429), {}),
        (refused("ServiceException", 500), {}),
    ],
)
def test_what_is_no_answer_is_unavailable(answer: bytes | Exception, more: dict[str, Any]) -> None:
    fake = FakeLambda(answer, **more)
    with pytest.raises(Unavailable):
        peer(fake)[0].ask({}, 26)
    assert len(fake.calls) == 1


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException"])
def test_a_refusal_is_ours_to_repair(code: str) -> None:
    with pytest.raises(ClientError):
        peer(FakeLambda(refused(code, 403)))[0].ask({}, 26)


@pytest.mark.parametrize(("patience", "expected"), [(26, 20), (21, 20), (20.9, 10), (11, 10), (6, 5)])
def test_the_longest_wait_that_the_time_left_allows_is_taken(patience: float, expected: int) -> None:
    asked, waited = peer(FakeLambda())
    asked.ask({}, patience)
    asked.ask({}, patience)
    assert waited == [expected]  # one client for both: its connection is used again


def test_without_time_for_an_answer_nobody_is_asked() -> None:
    fake = FakeLambda()
    with pytest.raises(Unavailable, match="time"):
        peer(fake)[0].ask({}, WAITS[-1] + CONNECT_SECONDS - 0.1)
    assert not fake.calls


def test_a_connection_that_has_been_idle_for_long_is_not_trusted() -> None:
    now = [0.0]
    fake = FakeLambda()
    asked, _ = peer(fake, now)
    for moment, closed in ((0.0, 0), (59.0, 0), (118.0, 0), (179.0, 1), (200.0, 1)):
        now[0] = moment
        asked.ask({}, 26)
        assert fake.closed == closed


class _Dribbling(BaseHTTPRequestHandler):
    """Says how much will come, and sends less."""

    calls = 0

    def do_POST(self) -> None:
        type(self).calls += 1
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"{")

    def log_message(self, *_: object) -> None:
        pass


class _Silent(_Dribbling):
    """Takes the request and never answers."""

    def do_POST(self) -> None:
        type(self).calls += 1
        self.connection.settimeout(5)
        self.rfile.read(-1)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    served: type[_Dribbling] = request.param
    served.calls = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), served)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("server", [_Dribbling, _Silent], indirect=True)
def test_an_answer_that_breaks_off_or_never_comes_is_not_asked_for_again(server: Any) -> None:
    def made(_seconds: int) -> Any:
        return boto3.client(
            "lambda",
            region_name="us-east-2",
            endpoint_url=f"http://127.0.0.1:{server.server_address[1]}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=patient(1),
        )

    with pytest.raises(Unavailable):
        PeerFunction("us-east-2", "api", lambda: 0.0, made).ask({}, 26)
    assert server.RequestHandlerClass.calls == 1
