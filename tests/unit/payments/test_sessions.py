from dataclasses import replace

import pytest

from payments.errors import Unauthenticated
from payments.model import Standing
from payments.sessions import SESSION_SECONDS, OpenedSession, authenticated, open_session
from tests.unit.payments.fakes import KEY, World


def opened(world: World, merchant_id: str = "shop", key: str = KEY) -> OpenedSession:
    return open_session(
        merchant_id,
        key,
        directory=world.directory,
        sessions=world.sessions,
        clock=world.clock,
        new_token=lambda: "ses_new",
    )


def test_a_key_buys_an_hour() -> None:
    world = World()
    session = opened(world)
    assert authenticated(session.token, sessions=world.sessions, clock=world.clock) == "shop"
    world.clock.pass_time(SESSION_SECONDS)
    with pytest.raises(Unauthenticated):
        authenticated(session.token, sessions=world.sessions, clock=world.clock)


def test_tokens_are_stored_hashed() -> None:
    world = World()
    session = opened(world)
    assert session.token not in repr(world.sessions.sessions)


@pytest.mark.parametrize(
    ("merchant_id", "key"),
    [("shop", "wrong"), ("nobody", KEY), ("", KEY), ("shop", ""), ("shop", "x" * 5000), ("sh op", KEY)],
)
def test_wrong_credentials_buy_nothing(merchant_id: str, key: str) -> None:
    with pytest.raises(Unauthenticated):
        opened(World(), merchant_id, key)


def test_a_closed_merchant_gets_no_session() -> None:
    world = World()
    world.directory.merchants["shop"] = replace(world.directory.merchants["shop"], status=Standing.CLOSED)
    with pytest.raises(Unauthenticated):
        opened(world)
