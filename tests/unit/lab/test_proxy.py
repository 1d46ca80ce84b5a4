"""The proxy passes on what it gets, byte for byte, and says what it saw."""

import asyncio
import io
import json
import time
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from lab.faults import Mode, Rule
from lab.outages import Outages
from lab.proxy import Call, Proxy, describe, new_session, start_server
from tests.ports import free_port

SIGNED = (
    "AWS4-HMAC-SHA256 Credential=AKID/20261122/us-east-2/s3/aws4_request, SignedHeaders=host, Signature=0"
)


DYNAMODB = {
    "Authorization": SIGNED.replace("/s3/", "/dynamodb/"),
    "X-Amz-Target": "DynamoDB_20120810.PutItem",
    "Content-Type": "application/x-amz-json-1.0",
}
JOURNAL = b'{"TableName": "journal", "Item": {"payment_id": {"S": "p"}}}'

OPERATOR = "000000000000"
Scenario = Callable[[aiohttp.ClientSession, str, Proxy, list[web.BaseRequest]], Awaitable[None]]
Peer = tuple[str, int]


def through_a_proxy(
    scenario: Scenario,
    log: io.StringIO | None = None,
    kill: Callable[[Peer], object] = lambda _: None,
    identify: Callable[[Peer], Awaitable[str]] | None = None,
) -> None:
    """Runs `scenario(session, url, proxy, seen)` with an echoing gateway behind a proxy."""

    async def run() -> None:
        seen: list[web.BaseRequest] = []

        async def gateway(request: web.BaseRequest) -> web.StreamResponse:
            seen.append(request)
            status = int(request.headers.get("X-Status", 418))
            return web.Response(status=status, body=await request.read(), headers={"X-Amz-Id": "1"})

        gateway_port, proxy_port = free_port(), free_port()
        async with new_session() as session:
            proxy = Proxy(
                region="us-east-1",
                gateway=f"http://127.0.0.1:{gateway_port}",
                session=session,
                log=log or io.StringIO(),
                kill=kill,
                operator=OPERATOR,
                identify=identify,
            )
            behind = await start_server(gateway, "127.0.0.1", gateway_port)
            before = await start_server(proxy.handle, "127.0.0.1", proxy_port)
            try:
                await scenario(session, f"http://127.0.0.1:{proxy_port}", proxy, seen)
            finally:
                await before.cleanup()
                await behind.cleanup()

    asyncio.run(run())


def test_path_host_headers_and_body_stay_as_they_were_signed() -> None:
    async def scenario(
        session: aiohttp.ClientSession, url: str, _proxy: Proxy, seen: list[web.BaseRequest]
    ) -> None:
        path = "/bucket/a%2Fb%20c//d?x=%2F&x=2&empty="
        headers = {"Host": "bucket.s3.amazonaws.com", "X-AmZ-Odd": "  kept ", "Authorization": SIGNED}
        body = bytes(range(256)) * 1000
        async with session.put(URL(url + path, encoded=True), data=body, headers=headers) as answer:
            assert (answer.status, await answer.read()) == (418, body)
            assert answer.headers["X-Amz-Id"] == "1"
        (request,) = seen
        assert request.raw_path == path
        assert request.headers["Host"] == "bucket.s3.amazonaws.com"
        assert request.headers["Content-Length"] == str(len(body))
        assert not {"User-Agent", "Accept", "Accept-Encoding", "X-Forwarded-For"} & request.headers.keys()
        assert (b"X-AmZ-Odd", b"kept") in request.raw_headers

    through_a_proxy(scenario)


def test_what_is_out_of_reach_is_not_reached_whoever_asks() -> None:
    log = io.StringIO()

    async def scenario(
        session: aiohttp.ClientSession, url: str, proxy: Proxy, seen: list[web.BaseRequest]
    ) -> None:
        async def passes(region: str, key: str) -> bool:
            credential = f"AWS4-HMAC-SHA256 Credential={key}/20261122/{region}/s3/aws4_request"
            try:
                async with session.get(url, headers={"Authorization": credential}):
                    return True
            except aiohttp.ClientError:
                return False

        functions, operators = "ASIA", OPERATOR
        for outages, region, by_functions, by_operators in (
            (Outages(), "us-east-2", True, True),
            (Outages(down=frozenset({"us-east-2"})), "us-east-2", False, False),
            (Outages(down=frozenset({"us-east-2"})), "us-east-1", True, True),
            (Outages(down=frozenset({"us-east-1"})), "us-east-1", False, False),
            (Outages(down=frozenset({"us-east-1"})), "us-east-2", False, True),
            (Outages(cut=frozenset({"us-east-1"})), "us-east-1", True, True),
            (Outages(cut=frozenset({"us-east-1"})), "us-east-2", False, True),
            (Outages(cut=frozenset({"us-east-2"})), "us-east-2", False, True),
            (Outages(cut=frozenset({"us-west-2"})), "us-east-2", True, True),
            (Outages(frozen=frozenset({"us-east-2"})), "us-east-2", True, True),
        ):
            proxy.go_by(outages)
            assert await passes(region, functions) is by_functions, (outages, region)
            assert await passes(region, operators) is by_operators, (outages, region)

    through_a_proxy(scenario, log)
    entries = [json.loads(line) for line in log.getvalue().splitlines()]
    unreached = {(one["target"], one["status"]) for one in entries if one["fault"] == "unreachable"}
    assert unreached == {("us-east-1", 0), ("us-east-2", 0)}
    assert [one["operator"] for one in entries[:2]] == [False, True]


def test_what_is_under_way_ends_with_the_way() -> None:
    async def scenario(
        session: aiohttp.ClientSession, url: str, proxy: Proxy, _seen: list[web.BaseRequest]
    ) -> None:
        proxy.set_faults([Rule(Mode.DELAY, seconds=60.0)])
        asked = asyncio.ensure_future(session.get(url, headers={"Authorization": SIGNED}))
        await asyncio.sleep(0.1)
        proxy.go_by(Outages(down=frozenset({"us-west-2"})))
        await asyncio.sleep(0.1)
        assert not asked.done()
        proxy.go_by(Outages(down=frozenset({"us-east-2"})))
        with pytest.raises(aiohttp.ClientError):
            await asyncio.wait_for(asked, 5)

    through_a_proxy(scenario)


def test_every_call_is_logged_with_who_called_what() -> None:
    log = io.StringIO()

    async def scenario(
        session: aiohttp.ClientSession, url: str, _proxy: Proxy, _seen: list[web.BaseRequest]
    ) -> None:
        form = "Action=DescribeDBClusters&Version=2014-10-31"
        headers = {"Authorization": SIGNED, "Content-Type": "application/x-www-form-urlencoded"}
        async with session.post(url, data=form.encode(), headers=headers) as answer:
            assert await answer.text() == form

    through_a_proxy(scenario, log)
    entry = json.loads(log.getvalue())
    assert (entry["caller"], entry["target"]) == ("us-east-1", "us-east-2")
    assert (entry["service"], entry["operation"], entry["resource"]) == ("s3", "DescribeDBClusters", "")
    assert (entry["function"], entry["operator"], entry["access_key"]) == ("", False, "AKID")
    assert (entry["status"], entry["fault"]) == (418, "")
    assert abs(entry["at"] - time.time()) < 60


def test_the_log_names_what_was_asked_for_and_the_function_that_asked() -> None:
    log = io.StringIO()

    async def scenario(
        session: aiohttp.ClientSession, url: str, _proxy: Proxy, _seen: list[web.BaseRequest]
    ) -> None:
        async with session.post(url, data=JOURNAL, headers=DYNAMODB):
            pass
        async with session.get(f"{url}/bucket/key", headers={"Authorization": SIGNED}):
            pass

    async def identify(_client: Peer) -> str:
        return "payments-api-primary-lab"

    through_a_proxy(scenario, log, identify=identify)
    entries = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [one["resource"] for one in entries] == ["journal", "/bucket/key"]
    assert {one["function"] for one in entries} == {"payments-api-primary-lab"}


@pytest.mark.parametrize(
    ("mode", "applied"), [(Mode.REFUSE, 0), (Mode.LOSE_ANSWER, 1), (Mode.KILL, 1), (Mode.HANG, 0)]
)
def test_a_request_without_an_answer_was_applied_or_not(mode: Mode, applied: int) -> None:
    log, killed = io.StringIO(), list[Peer]()

    async def scenario(
        session: aiohttp.ClientSession, url: str, proxy: Proxy, seen: list[web.BaseRequest]
    ) -> None:
        proxy.set_faults([Rule(mode, service="dynamodb", operation="PutItem", resource="journal")])
        asked = asyncio.create_task(session.post(url, data=JOURNAL, headers=DYNAMODB))
        if mode is Mode.HANG:
            await asyncio.sleep(0.2)
            assert not asked.done()
            proxy.set_faults([])
        with pytest.raises(aiohttp.ClientError):
            await asked
        assert len(seen) == applied
        other = JOURNAL.replace(b"journal", b"sessions")
        async with session.post(url, data=other, headers=DYNAMODB) as answer:
            assert (answer.status, await answer.read()) == (418, other)

    through_a_proxy(scenario, log, killed.append)
    first, second = (json.loads(line) for line in log.getvalue().splitlines())
    assert (first["fault"], first["status"]) == (mode.value, 0)
    assert (second["fault"], second["status"]) == ("", 418)
    assert len(killed) == (mode is Mode.KILL)


def test_an_error_is_answered_in_aws_s_words_and_not_passed_on() -> None:
    async def scenario(
        session: aiohttp.ClientSession, url: str, proxy: Proxy, seen: list[web.BaseRequest]
    ) -> None:
        proxy.set_faults([Rule(Mode.ERROR, code="ThrottlingException", status=400)])
        async with session.post(url, data=JOURNAL, headers=DYNAMODB) as answer:
            assert answer.status == 400
            assert (await answer.json(content_type=None))["__type"].endswith("#ThrottlingException")
        assert not seen

    through_a_proxy(scenario)


def test_a_delayed_request_arrives_although_nobody_waits_for_it_any_more() -> None:
    async def scenario(
        session: aiohttp.ClientSession, url: str, proxy: Proxy, seen: list[web.BaseRequest]
    ) -> None:
        proxy.set_faults([Rule(Mode.DELAY, seconds=0.4)])
        with pytest.raises(TimeoutError):
            await session.post(url, data=JOURNAL, headers=DYNAMODB, timeout=aiohttp.ClientTimeout(total=0.1))
        assert not seen
        async with asyncio.timeout(5):
            while not seen:
                await asyncio.sleep(0.01)

    through_a_proxy(scenario)


def test_a_read_lags_behind_what_another_region_created() -> None:
    async def scenario(
        session: aiohttp.ClientSession, url: str, proxy: Proxy, _seen: list[web.BaseRequest]
    ) -> None:
        proxy.set_faults([Rule(Mode.LAG, resource="journal", seconds=30)])
        get = b'{"TableName": "journal", "Key": {"payment_id": {"S": "p"}}}'
        reading = DYNAMODB | {"X-Amz-Target": "DynamoDB_20120810.GetItem"}
        elsewhere = reading | {"Authorization": reading["Authorization"].replace("us-east-2", "us-east-1")}
        async with session.post(url, data=JOURNAL, headers=DYNAMODB | {"X-Status": "200"}) as answer:
            assert answer.status == 200
        async with session.post(url, data=get, headers=reading) as answer:
            assert await answer.read() == get, "the region that created it sees it"
        async with session.post(url, data=get, headers=elsewhere) as answer:
            assert (answer.status, await answer.read()) == (200, b"{}")

    through_a_proxy(scenario)


def test_a_call_is_described_by_its_target_its_query_or_its_path() -> None:
    signed = {"Authorization": SIGNED}
    target = {**signed, "X-Amz-Target": "DynamoDB_20120810.PutItem"}
    assert describe("POST", "/", {}, target, None) == Call("s3", "us-east-2", "PutItem", "AKID")
    presigned = {"X-Amz-Credential": "KEY/20261122/us-east-1/sts/aws4_request", "Action": "GetCallerIdentity"}
    assert describe("GET", "/", presigned, {}, None) == Call("sts", "us-east-1", "GetCallerIdentity", "KEY")
    assert describe("GET", "/b/k", {}, {}, None) == Call("", "", "GET /b/k", "", "/b/k")
