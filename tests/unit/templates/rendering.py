"""One rendered module at a time."""

from pathlib import Path
from typing import Any

from troposphere import Template

from templates.config import Settings, load

DEPLOYMENT = Path(__file__).parents[3] / "deployment.toml"


def settings(environment: str | None = None) -> Settings:
    return load(DEPLOYMENT, environment, {})


def properties(template: Template, title: str) -> dict[str, Any]:
    found: dict[str, Any] = template.to_dict()["Resources"][title]["Properties"]
    return found
