"""How a build says what is wrong: where, what, and what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Problem(NamedTuple):
    where: str
    what: str
    next: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.next}"


class BuildError(Exception):
    """The build cannot go on; holds everything that stands in its way."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@contextmanager
def usable(place: Path, todo: str) -> Iterator[None]:
    """Tells an OSError of whoever works in a place as a BuildError with the file's name and what to do."""
    try:
        yield
    except OSError as error:
        problem = Problem(str(error.filename or place), error.strerror or str(error), todo)
        raise BuildError(problem) from error


CACHE_ADVICE = "make it readable and writable; what is in the cache may be removed at any time"
