"""A real resolver asks the lab's name server, by UDP and by TCP."""

import socket
import struct
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import dns.resolver
import pytest

from lab import name_server
from lab.addresses import Endpoint
from lab.name_server import Question, respond
from lab.zone import Code, Told, Values
from tests.ports import free_port

MANY = tuple(f"192.0.{number // 250}.{number % 250 + 1}" for number in range(120))
SOA = Values("test.", "SOA", 900, ("ns.test. host.test. 1 7200 900 1209600 86400",))


def known(question: Question) -> Told:
    match question.name, question.type:
        case ("a.test.", "A"):
            return Told(Code.NOERROR, "Z", Values("a.test.", "A", 7, ("192.0.2.1",)))
        case ("many.test.", "A"):
            return Told(Code.NOERROR, "Z", Values("many.test.", "A", 60, MANY))
        case ("a.test." | "many.test.", _):
            return Told(Code.NOERROR, "Z", authority=SOA)
        case ("odd.test.", _):
            return Told(Code.SERVFAIL, "Z")
        case (name, _) if name.endswith(".test."):
            return Told(Code.NXDOMAIN, "Z", authority=SOA)
        case _:
            return Told(Code.REFUSED)


@pytest.fixture(scope="module")
def server() -> Iterator[Endpoint]:
    endpoint = ("127.0.0.1", free_port())
    serving = name_server.start(endpoint, known)
    yield endpoint
    serving.stop()


@pytest.fixture
def resolver(server: Endpoint) -> dns.resolver.Resolver:
    made = dns.resolver.Resolver(configure=False)
    made.nameservers, made.port = [server[0]], server[1]
    return made


@pytest.mark.parametrize("tcp", [False, True])
def test_a_resolver_is_told_the_address_and_for_how_long(resolver: dns.resolver.Resolver, tcp: bool) -> None:
    found = resolver.resolve("a.test", "A", tcp=tcp)
    assert [record.to_text() for record in found] == ["192.0.2.1"]
    assert found.chaining_result.minimum_ttl == 7
    assert found.response.flags & dns.flags.AA
    assert not found.response.flags & dns.flags.RA


@pytest.mark.parametrize("tcp", [False, True])
def test_a_resolver_is_told_what_there_is_not(resolver: dns.resolver.Resolver, tcp: bool) -> None:
    with pytest.raises(dns.resolver.NXDOMAIN):
        resolver.resolve("b.test", "A", tcp=tcp)
    with pytest.raises(dns.resolver.NoAnswer) as nothing:
        resolver.resolve("a.test", "AAAA", tcp=tcp)
    (authority,) = nothing.value.kwargs["response"].authority
    assert authority.ttl == 900
    for name in ("odd.test", "example.com"):
        with pytest.raises(dns.resolver.NoNameservers):
            resolver.resolve(name, "A", tcp=tcp)


def test_what_is_too_long_for_a_datagram_is_asked_again_by_tcp(
    server: Endpoint, resolver: dns.resolver.Resolver
) -> None:
    query = dns.message.make_query("many.test", "A", use_edns=False)
    answer = dns.query.udp(query, server[0], port=server[1], timeout=5)
    assert answer.flags & dns.flags.TC
    assert len(answer.to_wire()) <= 512
    assert {record.to_text() for record in resolver.resolve("many.test", "A")} == set(MANY)


def test_several_questions_by_one_connection(server: Endpoint) -> None:
    with socket.create_connection(server, timeout=5) as connection:
        for name in ("a.test", "b.test"):
            query = dns.message.make_query(name, "A").to_wire()
            connection.sendall(struct.pack("!H", len(query)) + query)
            with connection.makefile("rb") as stream:
                answer = dns.message.from_wire(stream.read(int.from_bytes(stream.read(2))))
            assert answer.question[0].name.to_text() == f"{name}."


def test_what_cannot_be_answered_is_refused_and_what_is_no_question_ignored() -> None:
    update = dns.message.make_query("a.test", "A")
    update.set_opcode(dns.opcode.NOTIFY)
    said = respond(update.to_wire(), "UDP", "127.0.0.1", known)
    assert said is not None
    assert dns.message.from_wire(said).rcode() == dns.rcode.NOTIMP
    nothing = dns.message.Message()
    said = respond(nothing.to_wire(), "UDP", "127.0.0.1", known)
    assert said is not None
    assert dns.message.from_wire(said).rcode() == dns.rcode.FORMERR
    assert respond(b"\0\1garbage", "UDP", "127.0.0.1", known) is None
    answer = dns.message.make_response(dns.message.make_query("a.test", "A"))
    assert respond(answer.to_wire(), "UDP", "127.0.0.1", known) is None


def test_a_taken_port_is_told_to_who_starts_it(server: Endpoint) -> None:
    with pytest.raises(OSError, match="in use"):
        name_server.start(server, known)
