"""What a CloudFormation resource handler looks like to MiniStack, and the few things every one of ours
does.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

Properties = dict[str, Any]
Created = tuple[str, dict[str, Any]]
"""The physical id and the attributes `Fn::GetAtt` can read."""

Handler = dict[str, Any]
"""`create(logical_id, properties, stack_name)`, `update(physical_id, old, new, stack_name)`,
`delete(physical_id, properties)`, and flags of MiniStack's beside them.
"""

Handlers = dict[str, Handler]

Response = tuple[int, Mapping[str, str], bytes | str]


class ResourceError(ValueError):
    """A resource could not be created, changed or deleted; the message is the reason in the stack's
    events.
    """


def checked(response: Response) -> Response:
    """`response`, or the service's own error as the reason a resource failed."""
    status, _, body = response
    if status >= 400:
        raise ResourceError(error_text(body))
    return response


def decoded(response: Response) -> dict[str, Any]:
    """The JSON body of a successful response."""
    body = checked(response)[2]
    value: dict[str, Any] = json.loads(body)
    return value


def error_text(body: bytes | str) -> str:
    """Code and message of an AWS error, of the XML or the JSON protocols."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    if text.lstrip().startswith("{"):
        value = json.loads(text)
        code = str(value.get("__type", value.get("code", "")))
        return f"{value.get('message', value.get('Message', text))} ({code})"
    found = {name: re.search(f"<{name}>(.*?)</{name}>", text, re.DOTALL) for name in ("Code", "Message")}
    if not (found["Code"] and found["Message"]):
        return text
    return f"{_unescaped(found['Message'][1])} ({found['Code'][1]})"


def _unescaped(text: str) -> str:
    for escaped, character in (
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", '"'),
        ("&#x27;", "'"),
        ("&amp;", "&"),
    ):
        text = text.replace(escaped, character)
    return text


def tag_list(value: object) -> list[dict[str, str]]:
    """Tags as the services keep them, from a template's list or map."""
    if isinstance(value, dict):
        return [{"Key": str(key), "Value": str(item)} for key, item in value.items()]
    if not isinstance(value, list):
        return []
    return [{"Key": str(tag["Key"]), "Value": str(tag.get("Value", ""))} for tag in value]
