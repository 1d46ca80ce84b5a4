import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adapters.custom_resource import Failed, Request, answer, put


class Context:
    log_stream_name = "2026/11/22/stream"

    def __init__(self, seconds: float = 60) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


def event(action: str = "Create", **more: Any) -> dict[str, Any]:
    return {
        "RequestType": action,
        "ResponseURL": "https://response.example/",
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "Thing",
        "ResourceType": "Custom::Thing",
        "ResourceProperties": {"ServiceToken": "arn", "Size": "1"},
    } | more


class Sent:
    def __init__(self, failures: int = 0) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.failures = failures

    def __call__(self, url: str, body: bytes) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError
        self.bodies.append(json.loads(body))


def test_what_was_done_is_answered() -> None:
    sent, seen = Sent(), []

    def act(request: Request) -> Mapping[str, str]:
        seen.append(request)
        return {"Applied": "0001"}

    answer(event(), Context(), act, send=sent)
    assert dict(seen[0].properties) == {"Size": "1"}
    assert sent.bodies == [
        {
            "Status": "SUCCESS",
            "PhysicalResourceId": "Thing",
            "Data": {"Applied": "0001"},
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "Thing",
        }
    ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Failed("bucket x: not there; deploy again"), "bucket x: not there; deploy again"),
        (RuntimeError("password=hunter2"), "unexpected RuntimeError"),
        (
            ClientError({"Error": {"Code": "AccessDenied", "Message": "hunter2"}}, "PutObject"),
            "PutObject answered AccessDenied",
        ),
    ],
)
def test_a_failure_is_answered_without_secrets(error: Exception, reason: str) -> None:
    sent = Sent()

    def act(_request: Request) -> Mapping[str, str]:
        raise error

    answer(event(), Context(), act, send=sent)
    assert sent.bodies[0]["Status"] == "FAILED"
    assert reason in sent.bodies[0]["Reason"]
    assert "hunter2" not in json.dumps(sent.bodies)
    assert sent.bodies[0]["PhysicalResourceId"] == "never-created"


def test_deleting_what_was_never_created_succeeds_untouched() -> None:
    sent = Sent()

    def act(_request: Request) -> Mapping[str, str]:
        raise AssertionError

    answer(event("Delete", PhysicalResourceId="never-created"), Context(), act, send=sent)
    assert sent.bodies[0]["Status"] == "SUCCESS"


def test_a_failed_update_keeps_its_identity() -> None:
    sent = Sent()

    def act(_request: Request) -> Mapping[str, str]:
        raise Failed("no")

    answer(event("Update", PhysicalResourceId="Thing"), Context(), act, send=sent)
    assert sent.bodies[0]["PhysicalResourceId"] == "Thing"


def test_before_lambda_ends_the_function_an_answer_goes_out_and_only_one() -> None:
    sent = Sent()

    def act(_request: Request) -> Mapping[str, str]:
        threading.Event().wait(0.6)
        return {}

    answer(event(), Context(15.2), act, send=sent)
    assert [body["Status"] for body in sent.bodies] == ["FAILED"]


def test_an_answer_that_gets_lost_is_sent_again_and_nothing_is_raised() -> None:
    sent = Sent(failures=2)
    answer(event(), Context(), lambda _: {}, send=sent)
    assert len(sent.bodies) == 1
    answer(event(), Context(), lambda _: {}, send=Sent(failures=99))
    answer({}, Context(), lambda _: {}, send=Sent())
    answer(event(ResponseURL="file:///etc/passwd"), Context(), lambda _: {}, send=Sent(failures=99))


def test_the_answer_is_put_without_a_content_type() -> None:
    received: list[tuple[str, str | None, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, self.headers["Content-Type"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        put(f"http://127.0.0.1:{server.server_port}/answer?signature=x", b"{}")
        thread.join()
    assert received == [("/answer?signature=x", "", b"{}")]
