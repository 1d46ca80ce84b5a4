"""Renders every template into the text that is deployed: compact JSON, in a stable order."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

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

from troposphere import (  # noqa: E402 - it must not come before the line above
    AWSHelperFn,
    BaseAWSObject,
    Template,
    encode_to_dict,
)

from templates import (  # noqa: E402 - the same
    data,
    foundation,
    root,
    service,
    witness,
    zone,
)

_SECTIONS = (
    "Conditions",
    "Description",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Rules",
    "Transform",
)
OPENAPI = Path(__file__).parents[1] / "docs" / "openapi.json"
PROBE = Path(__file__).parents[1] / "src" / "probe" / "index.py"


def render(settings: Settings) -> dict[str, str]:
    """The text of each template by its name; assets are still tokens, ``functions/SET-UNPACKAGED.zip``."""
    openapi, probe = decode(OPENAPI.read_bytes()), PROBE.read_text("utf-8")
    regional = {
        "foundation": text(foundation.render(settings)),
        "data": text(data.render(settings)),
        "service": text(service.render(settings, openapi, probe)),
        "witness": text(witness.render(settings, probe)),
    }
    return {
        "zone": text(zone.render(settings)),
        **regional,
        "root": text(root.render(settings, regional)),
    }


def text(template: Template) -> str:
    """Compact, because CloudFormation counts bytes; sorted, because builds must come out the same."""
    sections = {name: getattr(template, name.lower()) for name in _SECTIONS}
    sections["AWSTemplateFormatVersion"] = template.version
    known = {name: value for name, value in sections.items() if value}
    return encode(known, enc_hook=_one_level, order="sorted").decode() + "\n"


def _one_level(value: Any) -> object:
    """What an object of troposphere or awacs stands for; msgspec goes on with what is in it.

    ``Template.to_dict`` says the same, but walks every object once more for each object that it is in.
    """
    match value:
        case BaseAWSObject() if value.properties and type(value).to_dict is BaseAWSObject.to_dict:
            value._validate_props()
            value.validate()
            return value.resource
        case AWSHelperFn() if type(value).to_dict is AWSHelperFn.to_dict:
            return value.data
    if hasattr(value, "JSONrepr"):  # awacs; every class of it says what it is by this
        return value.JSONrepr()
    return encode_to_dict(value)
