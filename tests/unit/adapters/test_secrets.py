from typing import Any

import pytest

from adapters.secrets import Credentials, Secrets
from tests.unit.adapters.fakes import FakeSecretsManager


def test_a_secret_is_read_once_until_a_fresh_one_is_wanted() -> None:
    manager = FakeSecretsManager(app="one")
    secrets = manager.secrets()
    assert secrets.credentials("app") == secrets.credentials("app") == Credentials("app", "one")
    assert manager.reads == 1
    manager.passwords["app"] = "two"
    assert secrets.credentials("app", fresh=True).password == "two"
    assert secrets.credentials("app").password == "two"


@pytest.mark.parametrize("text", ["hunter2", "[]", '{"username": "hunter2"}', "null"])
def test_a_malformed_secret_is_named_but_not_quoted(text: str) -> None:
    class Broken:
        def get_secret_value(self, **_request: Any) -> Any:
            return {"SecretString": text}

    broken: Any = Broken()
    with pytest.raises(ValueError, match="secret app is not JSON") as error:
        Secrets(broken).credentials("app")
    assert "hunter2" not in str(error.value)
    assert error.value.__cause__ is None
