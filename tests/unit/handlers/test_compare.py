"""The function as an operator's machine invokes it."""

from typing import Any, cast

import pytest

from adapters.ledgers import Ledgers
from failover.errors import Unavailable
from handlers.compare import answer, wired


class Fake:
    def __init__(self, found: dict[str, Any] | Exception) -> None:
        self._found = found

    def compared(self) -> dict[str, Any]:
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


def test_it_says_what_was_compared_and_which_migrations_its_release_needs() -> None:
    said = answer(cast(Any, Fake({"us-east-1": {"unknown": "no answer"}})))
    assert said["ledgers"] == {"us-east-1": {"unknown": "no answer"}}
    assert said["expected"][0] == "0001.ledger"
    assert "0005.readiness" in said["expected"]


def test_where_nobody_is_known_it_says_so() -> None:
    gone = Unavailable("global cluster ledger: not there (yet)")
    assert answer(cast(Any, Fake(gone))) == {"unknown": str(gone)}


def test_it_is_made_of_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    environment = {
        "AWS_REGION": "us-east-1",
        "GLOBAL_CLUSTER": "ledger",
        "DATABASE_NAME": "ledger",
        "DATABASE_SECRET": "application",
    }
    assert isinstance(wired(environment), Ledgers)
