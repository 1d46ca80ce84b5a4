"""Records as everybody sees them, asked of a name server of the test's own."""

import socket
import threading
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from failover.errors import Unavailable
from ops.dns_records import PublicRecords

_KNOWN = {
    ("payments.test.", "NS"): ["ns1.x.", "ns2.x."],
    ("payments.test.", "CAA"): ['0 issue "amazon.com"', '0 iodef "mailto:a@b.example"'],
}


def _answered(query: bytes) -> bytes:
    asked = dns.message.from_wire(query)
    question = asked.question[0]
    answer = dns.message.make_response(asked)
    answer.flags |= dns.flags.AA
    kind = dns.rdatatype.to_text(question.rdtype)
    name = question.name.to_text()
    if name.startswith("broken."):
        answer.set_rcode(dns.rcode.SERVFAIL)
    elif name.startswith("missing."):
        answer.set_rcode(dns.rcode.NXDOMAIN)
    elif records := _KNOWN.get((name, kind)):
        answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
    return answer.to_wire()


@pytest.fixture
def records() -> Iterator[PublicRecords]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.1)
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    query, client = server.recvfrom(512)
                except TimeoutError:
                    continue
                server.sendto(_answered(query), client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield PublicRecords(server.getsockname())
        finally:
            done.set()
            thread.join()


def test_name_servers_and_issuers_are_read(records: PublicRecords) -> None:
    assert sorted(records.name_servers("payments.test")) == ["ns1.x.", "ns2.x."]
    assert records.issuers("a.payments.test") == {"a.payments.test": [], "payments.test": ["amazon.com"]}
    assert records.name_servers("missing.test") == []


def test_no_answer_is_not_none(records: PublicRecords) -> None:
    with pytest.raises(Unavailable, match=r"NS of broken\.test"):
        records.name_servers("broken.test")
