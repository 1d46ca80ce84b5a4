"""Secrets with replicas: generated as Secrets Manager promises, encrypted by a key each region has.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-secretsmanager-secret-generatesecretstring.html
"""

import json
import secrets
import string
from collections.abc import Callable
from functools import partial
from typing import Any

from ministack.core.responses import get_account_id, request_scope
from ministack.services import secretsmanager
from ministack.services.cloudformation import provisioners

from lab.embedded import copies
from lab.embedded.handlers import Created, Handlers, Properties, ResourceError
from lab.embedded.keys import require_key

TYPE = "AWS::SecretsManager::Secret"
_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def register(handlers: Handlers) -> None:
    handler = handlers[TYPE]
    create, update = handler["create"], handler["update"]

    def create_secret(logical_id: str, properties: Properties, stack_name: str) -> Created:
        require_keys(properties)
        name = properties.get("Name")
        if name and name in secretsmanager._secrets:
            raise ResourceError(
                f"The operation failed because the secret {name} already exists. (ResourceExistsException)"
            )
        _, attributes = create(logical_id, properties, stack_name)
        # `Ref` is the ARN; MiniStack answers with the name.
        return str(attributes["Id"]), attributes

    def update_secret(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Created:
        require_keys(new)
        secret = _by_arn(physical_id)
        regions = {replica["Region"] for replica in new.get("ReplicaRegions", ())}
        for replica in old.get("ReplicaRegions", ()):
            if replica["Region"] not in regions:
                _remove_replica(secret, str(replica["Region"]))
        _, attributes = update(secret["Name"], old, new, *rest)
        return str(attributes["Id"]), attributes

    inherited_delete = handler["delete"]

    def delete_secret(physical_id: str, properties: Properties) -> None:
        found = [secret for secret in secretsmanager._secrets.values() if secret["ARN"] == physical_id]
        for secret in found:
            inherited_delete(secret["Name"], properties)

    secretsmanager._sync_replicas = _copied(secretsmanager._sync_replicas)
    handler.update(create=create_secret, update=update_secret, delete=delete_secret)
    provisioners._sm_secret_string = _secret_string(provisioners._sm_secret_string)


def require_keys(properties: Properties) -> None:
    """Raises ResourceError when a key is missing where the secret, or a replica of it, is to be."""
    if "KmsKeyId" in properties:
        require_key(properties["KmsKeyId"])
    for replica in properties.get("ReplicaRegions", ()):
        if "KmsKeyId" in replica:
            with request_scope(get_account_id(), replica["Region"]):
                require_key(replica["KmsKeyId"])


def generated_password(rules: Properties) -> str:
    """A password of GetRandomPassword's: 32 characters of every kind, unless told otherwise."""
    kinds = {
        "ExcludeLowercase": string.ascii_lowercase,
        "ExcludeUppercase": string.ascii_uppercase,
        "ExcludeNumbers": string.digits,
        "ExcludePunctuation": _PUNCTUATION,
    }
    excluded = set(rules.get("ExcludeCharacters", ""))
    allowed = [
        "".join(letter for letter in letters if letter not in excluded)
        for name, letters in kinds.items()
        if not rules.get(name)
    ]
    allowed = [letters for letters in allowed if letters] + ([" "] if rules.get("IncludeSpace") else [])
    if not allowed:
        raise ResourceError("Invalid exclusion parameters: no character is left (InvalidParameterException)")
    length = int(rules.get("PasswordLength", 32))
    wanted = (
        [secrets.choice(letters) for letters in allowed] if rules.get("RequireEachIncludedType", True) else []
    )
    everything = "".join(allowed)
    picked = (wanted + [secrets.choice(everything) for _ in range(length - len(wanted))])[:length]
    secrets.SystemRandom().shuffle(picked)
    return "".join(picked)


def _secret_string(inherited: Callable[[Properties], str]) -> Callable[[Properties], str]:
    def value(properties: Properties) -> str:
        rules = properties.get("GenerateSecretString")
        if not rules or properties.get("SecretString"):
            return inherited(properties)
        password = generated_password(rules)
        if "SecretStringTemplate" not in rules:
            return password
        return json.dumps({**json.loads(rules["SecretStringTemplate"]), rules["GenerateStringKey"]: password})

    return value


def _copied(inherited: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """Each replica by itself: where there is no way to its region it has what it had."""

    def synchronise(secret: dict[str, Any]) -> None:
        home = str(secret["ARN"]).split(":")[3]
        for status in secret.get("ReplicationStatus", ()):
            copies.make(home, status["Region"], partial(_copy, inherited, secret, status))

    return synchronise


def _copy(inherited: Callable[[dict[str, Any]], None], secret: dict[str, Any], status: Properties) -> None:
    """As the secret is by now; a replica that is none any more stays as it is."""
    inherited({**secret, "ReplicationStatus": [status]})


def _by_arn(arn: str) -> dict[str, Any]:
    for secret in secretsmanager._secrets.values():
        if secret["ARN"] == arn:
            found: dict[str, Any] = secret
            return found
    raise ResourceError("Secrets Manager can't find the specified secret. (ResourceNotFoundException)")


def _remove_replica(secret: dict[str, Any], region: str) -> None:
    """RemoveRegionsFromReplication, which MiniStack has not."""
    secretsmanager._secrets.pop_scoped(get_account_id(), region, secret["Name"], None)
    secret["ReplicationStatus"] = [
        status for status in secret["ReplicationStatus"] if status["Region"] != region
    ]
