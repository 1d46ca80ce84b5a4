"""A name server that a test starts: fixed addresses, by UDP."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lab.addresses import Endpoint
from lab.name_server import Question, respond
from lab.zone import Code, Told, Values


@contextmanager
def name_server(
    addresses: Mapping[str, str], ttl: int = 60, asked: list[str] | None = None
) -> Iterator[Endpoint]:
    """`asked` gets each name that is asked for."""

    def answer(question: Question) -> Told:
        if asked is not None:
            asked.append(question.name)
        if question.name not in addresses:
            return Told(Code.NXDOMAIN)
        return Told(Code.NOERROR, values=Values(question.name, "A", ttl, (addresses[question.name],)))

    with socket.socket(type=socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                data, client = listening.recvfrom(4096)
                if said := respond(data, "UDP", client[0], answer):
                    listening.sendto(said, client)

        serving = threading.Thread(target=serve)
        serving.start()
        try:
            yield listening.getsockname()
        finally:
            stop.set()
            with socket.socket(type=socket.SOCK_DGRAM) as last:
                last.sendto(b"", listening.getsockname())
            serving.join()
