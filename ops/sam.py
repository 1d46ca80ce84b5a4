"""`sam` as an operator would run it: by the section of samconfig.toml that deploys this environment."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from ops.directory import Rejected
from templates.config import ConfigurationError, Settings

SAMCONFIG: Final = Path("samconfig.toml")
_BUILD: Final = "python build.py"


@dataclass(frozen=True, slots=True)
class Sam:
    """One stack's deployment: which section says how, and the template that was built."""

    samconfig: Path
    section: str
    template: Path
    stack: str
    region: str
    role_arn: str = ""

    @classmethod
    def of(cls, settings: Settings, dist: Path, template: str, samconfig: Path = SAMCONFIG) -> Self:
        """Raises ConfigurationError where nothing deploys that template of this environment."""
        for section, parameters in _deployments(samconfig).items():
            file = Path(str(parameters.get("template_file", ""))).name
            if file == f"{template}.json" and _environment(parameters) == settings.environment:
                stack, region = parameters.get("stack_name"), parameters.get("region")
                if not stack or not region:
                    break
                role = str(parameters.get("role_arn", ""))
                return cls(samconfig.resolve(), section, dist.resolve() / file, str(stack), str(region), role)
        what = (
            f"no section deploys {template}.json with Environment={settings.environment}, a name and a region"
        )
        raise ConfigurationError((f"{samconfig}: {what}; add one, or check --environment",))

    def document(self) -> Mapping[str, Any]:
        """The template as it was built. Raises Rejected where it was not."""
        return built(self.template)

    def deploy(self, *options: str) -> Mapping[str, Any]:
        """What `sam deploy` says at its end. Raises Rejected with its own words where it fails."""
        command = [_program(), "deploy", "--config-file", str(self.samconfig), "--config-env", self.section]
        command += ["--template-file", str(self.template), "--output", "json", *options]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
            what = said[-1] if said else f"ended with {done.returncode}"
            raise Rejected(f"sam deploy --config-env {self.section}: {what}; repair that, and ask again", 1)
        return _result(done.stdout)


def built(template: Path) -> Mapping[str, Any]:
    """Raises Rejected where it was not built."""
    try:
        document: Mapping[str, Any] = json.loads(template.read_text("utf-8"))
    except FileNotFoundError as error:
        raise Rejected(f"{template}: is not there; run `{_BUILD}` first", 2) from error
    return document


def _result(said: str) -> Mapping[str, Any]:
    for line in reversed(said.splitlines()):
        if line.startswith("{"):
            result: Mapping[str, Any] = json.loads(line)
            return result
    return {}


def _program() -> str:
    """That of the environment we run in: it need not be on the PATH."""
    beside = Path(sys.executable).with_name("sam")
    return str(beside) if beside.exists() else "sam"


def _deployments(samconfig: Path) -> dict[str, Mapping[str, Any]]:
    try:
        document = tomllib.loads(samconfig.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError((f"{samconfig}: cannot be read: {error}",)) from error
    return {
        section: commands["deploy"]["parameters"]
        for section, commands in document.items()
        if isinstance(commands, dict) and "parameters" in commands.get("deploy", {})
    }


def _environment(parameters: Mapping[str, Any]) -> str | None:
    given = parameters.get("parameter_overrides", [])
    for pair in given.split() if isinstance(given, str) else map(str, given):
        key, _, value = pair.partition("=")
        if key == "Environment":
            return str(value.strip('"'))
    return None
