"""Renders every template into the text that is deployed: compact JSON, in a stable order."""

import json
import sys
from importlib.util import LazyLoader, find_spec, module_from_spec
from pathlib import Path

from templates.config import Settings


def _import_when_used(name: str) -> None:
    """Lets ``import name`` cost nothing until an attribute is asked for.

    The recipe is https://docs.python.org/3/library/importlib.html#implementing-lazy-imports
    """
    spec = find_spec(name)
    if name in sys.modules or spec is None or spec.loader is None:
        return
    spec.loader = LazyLoader(spec.loader)
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


# troposphere imports it for YAML, which nobody asks for here: half of what importing troposphere costs.
_import_when_used("cfn_flip")

from troposphere import Template  # noqa: E402 - it must not come before the line above

from templates import data, foundation, root, service, zone  # noqa: E402 - the same

OPENAPI = Path(__file__).parents[1] / "docs" / "openapi.json"


def render(settings: Settings) -> dict[str, str]:
    """The text of each template by its name; assets are still tokens, ``functions/SET-UNPACKAGED.zip``."""
    openapi = json.loads(OPENAPI.read_text("utf-8"))
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
    return json.dumps(template.to_dict(), sort_keys=True, separators=(",", ":")) + "\n"
