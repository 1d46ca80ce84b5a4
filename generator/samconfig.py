"""Compares samconfig.toml, which `sam deploy` follows, with the settings that templates are made of."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from templates.config import ConfigurationError, Settings
from templates.support import ZONE_REGION

SAMCONFIG = Path(__file__).parents[1] / "samconfig.toml"


def compare(settings: Settings, out: Path, samconfig: Path = SAMCONFIG) -> None:
    """Raises ConfigurationError with a line for each difference, if `sam deploy` would take what is in `out`.

    Only sections that deploy this environment from there count; whatever else they deploy is refused by the
    template's own parameter.
    """
    problems = tuple(_differences(settings, out.resolve(), samconfig))
    if problems:
        raise ConfigurationError(problems)


def _differences(settings: Settings, out: Path, samconfig: Path) -> Iterator[str]:
    for section, parameters in _deployments(samconfig):
        template = samconfig.parent.resolve() / str(parameters.get("template_file", ""))
        if template.parent != out or _environment(parameters) != settings.environment:
            continue
        for key, allowed in _expected(settings, template.stem).items():
            found = parameters.get(key)
            if found != allowed:
                told = f'"{found}"' if key in parameters else "nothing"
                where = f"{samconfig.name}: {section}.deploy.parameters.{key}"
                yield f'{where}: found {told}; allowed: "{allowed}"'


def _expected(settings: Settings, template: str) -> dict[str, str]:
    """The zone is where its queries are logged, whatever the primary region is."""
    stack = f"{settings.service}-{settings.environment}"
    if template == "zone":
        return {"region": ZONE_REGION, "stack_name": f"{stack}-zone", "s3_prefix": f"{stack}-zone"}
    return {"region": settings.regions.primary, "stack_name": stack, "s3_prefix": stack}


def _deployments(samconfig: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        document = tomllib.loads(samconfig.read_text("utf-8"))
    except FileNotFoundError:
        return  # then `sam deploy` asks for everything itself
    except (OSError, ValueError) as error:
        raise ConfigurationError((f"{samconfig.name}: cannot be read: {error}",)) from error
    for section, commands in document.items():
        deployment = commands.get("deploy") if isinstance(commands, dict) else None
        parameters = deployment.get("parameters") if isinstance(deployment, dict) else None
        if isinstance(parameters, dict):
            yield section, parameters


def _environment(parameters: Mapping[str, Any]) -> str | None:
    given = parameters.get("parameter_overrides", [])
    pairs = given.split() if isinstance(given, str) else list(map(str, given))
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key == "Environment":
            return str(value.strip('"'))
    return None
