"""A value one template publishes and other templates of the same region read."""

from typing import NamedTuple

from troposphere import Export, ImportValue, Output

from templates.names import Names


class Link(NamedTuple):
    """An export and everything that imports it, tied together by one object instead of by a string twice."""

    group: str
    value: str
    description: str

    def publish(self, names: Names, value: object) -> Output:
        """The output that exports the value; its title is the name other stacks and operators look for."""
        return Output(
            self.value, Description=self.description, Value=value, Export=Export(self.export(names))
        )

    def read(self, names: Names) -> ImportValue:
        """The value, as a template of the same region sees it."""
        return ImportValue(self.export(names))

    def export(self, names: Names) -> str:
        return names.export(self.group, self.value)
