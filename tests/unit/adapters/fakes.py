"""A Secrets Manager that holds what a test puts into it, and the errors AWS answers with."""

import json
from typing import Any

from botocore.exceptions import ClientError

from adapters.secrets import Credentials, Secrets
from failover.errors import Unavailable


def refused(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item] # what is read
        "Operation",
    )


class FakeSecretsManager:
    def __init__(self, **passwords: str) -> None:
        self.passwords = passwords
        self.renamed: dict[str, Credentials] = {}  # secrets that are not called like the user they name
        self.reads = 0
        self.down = False

    def get_secret_value(self, **request: Any) -> dict[str, Any]:
        self.reads += 1
        if self.down:
            raise Unavailable("secret")
        name = request["SecretId"]
        named = self.renamed.get(name) or Credentials(name, self.passwords[name])
        return {"SecretString": json.dumps({"username": named.username, "password": named.password})}

    def secrets(self) -> Secrets:
        return Secrets(self)  # type: ignore[arg-type] # only what the adapter calls
