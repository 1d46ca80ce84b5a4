"""How a build says what is wrong: where, what, and what to do next."""

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
