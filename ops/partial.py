"""What a template says in one region before its resources exist: parameters and conditions filled in."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

Json = Any
Document = Mapping[str, Any]
_NO_VALUE: Final = {"Ref": "AWS::NoValue"}
_REFERENCE: Final = re.compile(r"\$\{([^!}][^}]*)\}")


def parameters_of(template: Document, given: Mapping[str, str]) -> dict[str, Any]:
    """What CloudFormation has, else the default; whoever has neither is not in the answer."""
    known: dict[str, Any] = {}
    for name, parameter in template.get("Parameters", {}).items():
        value = given.get(name, parameter.get("Default"))
        if value is not None:
            known[name] = str(value).split(",") if parameter["Type"] == "CommaDelimitedList" else value
    return known


class Partial:
    """Fills in what is known of a template; what only AWS knows stays as the function that asks for it."""

    def __init__(self, template: Document, region: str, parameters: Mapping[str, str]) -> None:
        self._template = template
        self._known = {**parameters_of(template, parameters), "AWS::Region": region}

    def resources(self) -> dict[str, Document]:
        """Each resource whose condition holds, or may hold, with everything filled in."""
        found: dict[str, Document] = {}
        for logical_id, resource in self._template.get("Resources", {}).items():
            if "Condition" not in resource or self._holds(resource["Condition"]) is not False:
                found[logical_id] = self.resolve(resource)
        return found

    def outputs(self) -> dict[str, Json]:
        return {name: self.resolve(output) for name, output in self._template.get("Outputs", {}).items()}

    def resolve(self, value: Json) -> Json:
        match value:
            case {"Ref": str(name), **rest} if not rest:
                return self._known.get(name, value)
            case dict() if len(value) == 1 and next(iter(value)).startswith("Fn::"):
                ((function, argument),) = value.items()
                return self._call(function, argument)
            case dict():
                resolved = {name: self.resolve(one) for name, one in value.items()}
                return {name: one for name, one in resolved.items() if one != _NO_VALUE}
            case list():
                return [one for one in map(self.resolve, value) if one != _NO_VALUE]
        return value

    def _call(self, function: str, argument: Json) -> Json:
        match function, argument:
            case "Fn::If", [str(name), then, otherwise]:
                holds = self._holds(name)
                if holds is None:
                    return {function: [name, self.resolve(then), self.resolve(otherwise)]}
                return self.resolve(then if holds else otherwise)
            case "Fn::Sub", str(text):
                return self._substitute(text)
            case "Fn::Sub", [str(text), dict(names)]:
                return {function: [self._filled(text), self.resolve(names)]}
        values = self.resolve(argument)
        match function, values:
            case "Fn::FindInMap", [str(mapping), str(first), str(second)]:
                return self._template["Mappings"][mapping][first][second]
            case "Fn::Join", [str(separator), list(parts)] if all(isinstance(part, str) for part in parts):
                return separator.join(parts)
            case "Fn::Split", [str(separator), str(text)]:
                return text.split(separator)
            case "Fn::Select", [index, list(choices)]:
                return choices[int(index)]
        return {function: values}

    def _substitute(self, text: str) -> Json:
        filled = self._filled(text)
        return {"Fn::Sub": filled} if _REFERENCE.search(filled) else filled

    def _filled(self, text: str) -> str:
        return _REFERENCE.sub(lambda match: str(self._known.get(match[1], match[0])), text)

    def _holds(self, name: str) -> bool | None:
        """None where it depends on what is not known."""
        return self._truth(self._template["Conditions"][name])

    def _truth(self, condition: Json) -> bool | None:
        match condition:
            case {"Condition": str(name)}:
                return self._holds(name)
            case {"Fn::Equals": [one, other]}:
                one, other = self.resolve(one), self.resolve(other)
                return one == other if isinstance(one, str) and isinstance(other, str) else None
            case {"Fn::Not": [inner]}:
                truth = self._truth(inner)
                return None if truth is None else not truth
            case {"Fn::And": list(all_of)}:
                return _all([self._truth(one) for one in all_of])
            case {"Fn::Or": list(any_of)}:
                none_of = _all([None if (truth := self._truth(one)) is None else not truth for one in any_of])
                return None if none_of is None else not none_of
        return None


def _all(truths: list[bool | None]) -> bool | None:
    if False in truths:
        return False
    return None if None in truths else True


def references(value: Json) -> Iterator[str]:
    """The resources a value asks for, by `Ref`, `Fn::GetAtt` or `Fn::Sub`."""
    match value:
        case {"Ref": str(name), **rest} if not rest:
            yield name
        case {"Fn::GetAtt": [str(name), *_], **rest} if not rest:
            yield name
        case {"Fn::GetAtt": str(name), **rest} if not rest:
            yield name.partition(".")[0]
        case {"Fn::Sub": argument, **rest} if not rest:
            text = argument if isinstance(argument, str) else argument[0]
            yield from (match[1].partition(".")[0] for match in _REFERENCE.finditer(text))
            if not isinstance(argument, str):
                yield from references(argument[1])
        case dict():
            for one in value.values():
                yield from references(one)
        case list():
            for one in value:
                yield from references(one)
