"""The public document, and whether something is what it says."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator

DOCUMENT = json.loads((Path(__file__).parents[3] / "docs" / "openapi.json").read_text())


def validator(schema: dict[str, Any]) -> Draft4Validator:
    """With the document's components beside the schema, so that its references resolve."""
    whole = {**schema, "components": DOCUMENT["components"]}
    return Draft4Validator(whole, format_checker=Draft4Validator.FORMAT_CHECKER)
