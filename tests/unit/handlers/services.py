"""The API's service over the payment domain's fakes, and the other region beside it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from handlers.forwarding import Forwarding
from handlers.routes import respond
from handlers.wiring import Service
from tests.unit.payments.fakes import HERE, THERE, World


@dataclass
class FakePeer:
    """Answers with whatever it was given: an answer, or an error to raise; or as the service of a world."""

    region: str = THERE
    world: World | None = None
    answer: object = None
    error: Exception | None = None
    asked: list[tuple[Mapping[str, Any], float]] = field(default_factory=list)

    def ask(self, event: Mapping[str, Any], patience: float) -> object:
        self.asked.append((event, patience))
        if self.error is not None:
            raise self.error
        if self.world is None:
            return self.answer
        there = service(self.world, FakePeer(HERE), here=THERE)
        return json.loads(json.dumps(respond(json.loads(json.dumps(event)), there).proxied()))


def service(world: World, peer: FakePeer | None = None, here: str = HERE) -> Service:
    return Service(
        world.sessions,
        world.directory,
        world.leases,
        world.journal,
        world.ledger,
        world.clock,
        Forwarding(here, peer or FakePeer(), world.clock),
    )
