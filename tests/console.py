"""The ```console blocks of a page: commands after `$`, and below each what it says."""

import re
from dataclasses import dataclass
from pathlib import Path

MARK = "--- next command ---"


@dataclass(frozen=True, slots=True)
class Command:
    line: str
    shown: tuple[str, ...]


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```console\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[Command]:
    """In order. A backslash continues a command."""
    found: list[tuple[str, list[str]]] = []
    for line in block.replace("\\\n", "").splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.strip():
            found[-1][1].append(line)
    return [Command(line, tuple(shown)) for line, shown in found]


def script(block: str) -> str:
    """For bash; stops at the first command that fails, and marks the end of each."""
    return "\n".join(
        ["set -euo pipefail", *(f"{command.line}\necho '{MARK}'" for command in commands(block))]
    )


def not_said(block: str, said: str) -> dict[str, set[str]]:
    """By command, the lines shown below it that it did not say, but for what differs from run to run."""
    missing = {}
    for command, lines in zip(commands(block), said.split(f"{MARK}\n"), strict=False):
        if left := {alike(line) for line in command.shown} - {alike(line) for line in lines.splitlines()}:
            missing[command.line] = left
    return missing


def alike(line: str) -> str:
    """What may differ from run to run, or from machine to machine, is made the same."""
    line = re.sub(r"pay_[a-z2-7]{32}", "pay", line)
    line = re.sub(r"(key\s+)[\w-]{43}", r"\1key", line)
    line = re.sub(r"(CA )\S+", r"\1file", line)
    line = re.sub(r"x86_64|arm64", "architecture", line)
    return re.sub(r"\d+", "0", line).strip()
