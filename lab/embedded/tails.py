"""Files that another process of the lab writes, read as they grow."""

from pathlib import Path


class Tail:
    """Whole lines since the last look; a file that does not exist yet has none."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = 0

    def new_lines(self) -> list[str]:
        try:
            size = self._file.stat().st_size
        except FileNotFoundError:
            return []
        if size == self._read:
            return []
        with self._file.open("rb") as content:
            content.seek(self._read if size > self._read else 0)  # shorter than before: another file
            *lines, rest = content.read().split(b"\n")
            self._read = content.tell() - len(rest)
        return [line.decode(errors="replace") for line in lines]
