"""A lab and the system in it, by the commands a person would type; everything they say is kept in a log."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from lab import environment
from lab.plan import plan_file, read_plan

_REPOSITORY = Path(__file__).resolve().parent.parent
_SHOWN_ON_FAILURE = 25  # lines

Detail = Callable[[str], object]


class StageError(Exception):
    """What a stage ran into; the message is for the person who watches."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """`directory` is the lab's, in the repository; it holds the build, too."""

    directory: Path
    log: Path

    @property
    def built(self) -> Path:
        """Not `dist`, which a plain `sam deploy` would take to production."""
        return (self.directory / "dist").relative_to(_REPOSITORY)

    @property
    def build_command(self) -> list[str]:
        return ["build.py", "--environment", "lab", "--out", str(self.built)]

    def lab_command(self, *arguments: str) -> list[str]:
        return ["-m", "lab", *arguments, "--directory", str(self.directory.relative_to(_REPOSITORY))]

    def deploy_command(self, template: str) -> list[str]:
        """sam looks for its configuration beside the template, unless it is told where it is from there."""
        config_env = {"zone": "lab-zone", "root": "lab"}[template]
        config_file = os.path.relpath(_REPOSITORY / "samconfig.toml", _REPOSITORY / self.built)
        template_file = str(self.built / f"{template}.json")
        return [
            "deploy",
            "--config-env",
            config_env,
            "--template-file",
            template_file,
            "--config-file",
            config_file,
        ]

    def build(self, detail: Detail = lambda _: None) -> None:
        self._run([sys.executable, *self.build_command], os.environ, detail)

    def lab(self, command: str, detail: Detail = lambda _: None) -> None:
        self._run([sys.executable, *self.lab_command(command)], os.environ, detail)

    def deploy(self, template: str, detail: Detail = lambda _: None) -> None:
        inside = environment.for_child(read_plan(plan_file(self.directory)), os.environ)
        sam = str(Path(sys.executable).with_name("sam"))  # ours, whether or not it is on the PATH
        self._run([sam, *self.deploy_command(template), "--no-progressbar"], inside, detail)

    def status(self) -> dict[str, Any]:
        """Passwords and keys: what it prints goes into no log."""
        command = [sys.executable, *self.lab_command("status", "--json")]
        done = subprocess.run(
            command, cwd=_REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            _fail(command, done.returncode, done.stderr.splitlines(keepends=True))
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    def _run(self, command: list[str], variables: Mapping[str, str], detail: Detail) -> None:
        """Runs to the end with everything said kept in the log; raises StageError with the last of it."""
        said: list[str] = []
        with (
            self.log.open("a") as log,
            subprocess.Popen(
                command,
                cwd=_REPOSITORY,
                env={**variables, "SAM_CLI_POLL_DELAY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                said.append(line)
                if line.strip(" -\n"):
                    detail(" ".join(line.split())[:100])
        if process.returncode:
            _fail(command, process.returncode, said)


def _fail(command: list[str], code: int, said: list[str]) -> NoReturn:
    last = "".join(said[-_SHOWN_ON_FAILURE:]).rstrip()
    raise StageError(f"{Path(command[0]).name} {' '.join(command[1:])} ended with {code}:\n{last}")
