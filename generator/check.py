"""Checks rendered templates: AWS's own validator, the limits of CloudFormation, the project's rules."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from cloudformation_validate import (
    CompositeEngine,
    Diagnostic,
    PseudoParameterOverrides,
    ReportStatus,
    Severity,
    TemplateContent,
    ValidateConfig,
)

from generator import limits, recovery, rules
from generator.problems import BuildError, Problem
from templates.config import Settings


def check(texts: Mapping[str, str], settings: Settings) -> tuple[str, ...]:
    """Notes about templates nothing is wrong with; raises BuildError with everything that is wrong."""
    templates = {name: json.loads(text) for name, text in texts.items()}
    problems = [
        *_validated(texts, settings),
        *(
            problem
            for name, template in templates.items()
            for problem in (
                *limits.exceeded(name, texts[name], template),
                *rules.broken(name, template, disposable=settings.test_environment),
            )
        ),
        *_recovers_in_time(templates, settings),
    ]
    if problems:
        raise BuildError(*problems)
    return tuple(note for name, text in texts.items() for note in limits.notes(name, text))


def _validated(texts: Mapping[str, str], settings: Settings) -> Iterator[Problem]:
    """What cloudformation-validate finds, in each region a template goes to; the same finding only once."""
    engine = _engine()
    for name, text in texts.items():
        found: dict[Problem, None] = {}
        for region in _regions(name, settings):
            config = ValidateConfig(
                # Below a warning it advises what cannot be wrong: which properties replace a resource, say.
                severity_level=Severity.WARN,
                pseudo_parameter_overrides=PseudoParameterOverrides(region=region),
            )
            report = engine.validate_template(TemplateContent(text, f"{name}.json"), config)
            found.update(dict.fromkeys(_problem(f"{name}.json", finding) for finding in report.diagnostics))
            if report.status is ReportStatus.ANALYSIS_INCOMPLETE:
                found[Problem(f"{name}.json", "is too large to be checked completely", "split it")] = None
        yield from found


def _regions(name: str, settings: Settings) -> tuple[str, ...]:
    places = settings.regions
    if name == "witness":
        return (places.witness,)
    return (places.primary, places.secondary) if name in rules.REGIONAL else (places.primary,)


@cache
def _engine() -> CompositeEngine:
    """Compiles its rules, which takes a quarter of a second."""
    return CompositeEngine()


def _problem(file: str, finding: Diagnostic) -> Problem:
    place = [finding.entity.logical_id] if finding.entity else []
    place += [finding.property_path] if finding.property_path else []
    return Problem(
        ": ".join([file, ".".join(place)]) if place else file,
        f"{finding.rule_id} {finding.message}",
        finding.suggested_fix or f"see rule {finding.rule_id} of cloudformation-validate",
    )


def _recovers_in_time(templates: Mapping[str, Any], settings: Settings) -> Iterator[Problem]:
    try:
        worst = recovery.worst_case(templates["service"])
    except BuildError as error:
        yield from error.problems
    else:
        yield from recovery.missed_objective(worst, settings.objectives.rto_minutes)
