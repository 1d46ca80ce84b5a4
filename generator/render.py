"""Renders every template into the text that is deployed: compact JSON, in a stable order."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from msgspec.json import decode, encode

from templates.config import Settings


def _import_when_used(name: str) -> None:
    """Lets ``import name`` cost nothing until an attribute is asked for.

    importlib's LazyLoader would do, but before Python 3.12 the import statement itself asks for one.
    """
    placeholder = ModuleType(name)

    def load(attribute: str) -> object:
        if sys.modules.get(name) is placeholder:
            del sys.modules[name]
        return getattr(import_module(name), attribute)

    placeholder.__getattr__ = load  # type: ignore[method-assign] # PEP 562
    sys.modules.setdefault(name, placeholder)


# troposphere imports it for YAML, which nobody asks for here: half of what importing troposphere costs.
_import_when_used("cfn_flip")

from troposphere import Template  # noqa: E402 - it must not come before the line above

from templates import data, foundation, root, service, zone  # noqa: E402 - the same

OPENAPI = Path(__file__).parents[1] / "docs" / "openapi.json"


def render(settings: Settings) -> dict[str, str]:
    """The text of each template by its name; assets are still tokens, ``functions/SET-UNPACKAGED.zip``."""
    openapi = decode(OPENAPI.read_bytes())
    regional = {
        "foundation": text(foundation.render(settings)),
        "data": text(data.render(settings)),
        "service": text(service.render(settings, openapi)),
    }
    return {
        "zone": text(zone.render(settings)),
        **regional,
        "root": text(root.render(settings, regional)),
    }


def text(template: Template) -> str:
    """Compact, because CloudFormation counts bytes; sorted, because builds must come out the same."""
    return encode(template.to_dict(), order="sorted").decode() + "\n"
