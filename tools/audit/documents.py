"""Every policy of a template that says what may be done, as one document each."""

from collections.abc import Iterator
from typing import Any

from tools.audit.instances import Template

_TRUST = "AssumeRolePolicyDocument"  # who, not what: a linter of actions and resources has nothing to say


def policy_documents(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """The title of each policy's resource, with the policy."""
    for title, body in template["Resources"].items():
        for document in _within(body.get("Properties", {})):
            if body["Type"] == "AWS::KMS::Key":
                yield title, _of_key(document, title)
            else:
                yield title, document


def _within(value: Any) -> Iterator[dict[str, Any]]:
    match value:
        case {"Statement": list(), "Version": str()}:
            yield value
        case dict():
            for name, one in value.items():
                if name != _TRUST:
                    yield from _within(one)
        case list():
            for one in value:
                yield from _within(one)


def _of_key(document: dict[str, Any], title: str) -> dict[str, Any]:
    """In a key's own policy ``*`` is that key."""
    own = f"arn:aws:kms:us-east-1:111122223333:key/{title}"
    return {**document, "Statement": [{**one, "Resource": [own]} for one in document["Statement"]]}
