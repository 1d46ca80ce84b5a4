"""Where a request's time goes: in its trace, a subsegment for every call of what it depends on."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol, TypeVar, cast

from handlers.wiring import Service

_TRACED = "_X_AMZN_TRACE_ID"  # Lambda sets it for every invocation, traced or not; nobody else does
Port = TypeVar("Port")


class Recorder(Protocol):
    """What Powertools' Tracer brings: the X-Ray SDK's recorder."""

    def begin_subsegment(self, name: str) -> Any: ...

    def end_subsegment(self) -> None: ...


def traced(service: Service, recorder: Recorder) -> Service:
    """The same service, its calls recorded."""
    return replace(
        service,
        sessions=_recorded(service.sessions, "session", recorder),
        journal=_recorded(service.journal, "journal", recorder),
        ledger=_recorded(service.ledger, "ledger", recorder),
        forwarding=replace(service.forwarding, peer=_recorded(service.forwarding.peer, "forward", recorder)),
    )


def _recorded(port: Port, name: str, recorder: Recorder) -> Port:
    return cast(Port, _Recorded(port, name, recorder))


class _Recorded:
    """Stands for a port. Only names are recorded: the SDK itself would keep the text of an exception as well,
    and a database quotes the row it refuses.
    """

    def __init__(self, port: object, name: str, recorder: Recorder) -> None:
        self._port = port
        self._name = name
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        return self._within(f"{self._name}.{name}", found) if callable(found) else found

    def _within(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*arguments: Any, **named: Any) -> Any:
            subsegment = self._begun(name)
            try:
                return call(*arguments, **named)
            except BaseException:
                with suppress(Exception):
                    subsegment.add_fault_flag()
                raise
            finally:
                if subsegment is not None:
                    with suppress(Exception):  # a payment counts, not what is said about it
                        self._recorder.end_subsegment()

        return recorded

    def _begun(self, name: str) -> Any:
        if _TRACED in os.environ:
            with suppress(Exception):
                return self._recorder.begin_subsegment(name)
        return None
