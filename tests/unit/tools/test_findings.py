"""The list of accepted findings: it covers what it names, and nothing stays in it that is over."""

from pathlib import Path

import pytest

from tools.audit.findings import Accepted, Finding, ListError, not_accepted, read, stale

STAR = Finding("IAM5[Resource::*]", "root.Role", "prod", "is too much")
LOGS = Finding("IAM5[Resource::logs*]", "root.Role", "prod")
IN_LAB = Finding("Protected", "data.Cluster", "lab")


def entry(rule: str, resource: str = "root.Role", environment: str | None = None) -> Accepted:
    return Accepted(rule, resource, environment, "because")


def test_a_rule_stands_for_all_its_particulars_and_a_particular_for_itself() -> None:
    assert not_accepted([STAR, LOGS], [entry("IAM5")]) == []
    assert not_accepted([STAR, LOGS], [entry("IAM5[Resource::*]")]) == [LOGS]


def test_a_resource_may_be_a_pattern() -> None:
    assert not_accepted([STAR], [entry("IAM5", "root.*Role")]) == []
    assert not_accepted([STAR], [entry("IAM5", "service.*Role")]) == [STAR]


@pytest.mark.parametrize(
    "other", [entry("IAM"), entry("IAM5", "root.Roles"), entry("IAM5", environment="lab")]
)
def test_what_only_looks_like_it_covers_nothing(other: Accepted) -> None:
    assert not_accepted([STAR], [other]) == [STAR]
    assert stale([STAR], [other]) == [other]


def test_what_is_accepted_in_one_environment_is_found_in_another() -> None:
    everywhere = Finding("Protected", "data.Cluster", "prod")
    only = entry("Protected", "data.Cluster", "lab")
    assert not_accepted([IN_LAB, everywhere], [only]) == [everywhere]


def test_an_entry_that_nothing_matches_any_more_is_stale() -> None:
    used, over = entry("IAM5"), entry("IAM4")
    assert stale([STAR, LOGS], [used, over]) == [over]


def test_each_rule_at_each_resource_is_an_entry_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text('[[accepted]]\nrules = ["A", "B"]\nresources = ["x.Y", "x.Z"]\nreason = "because"\n')
    assert len(read(path)) == 4
    assert read(path)[0] == Accepted("A", "x.Y", None, "because")


@pytest.mark.parametrize(
    "text",
    [
        'rules = ["A"]\nresources = ["x.Y"]',
        'rules = ["A"]\nresources = ["x.Y"]\nreason = ""',
        'rules = []\nresources = ["x.Y"]\nreason = "because"',
        'rules = ["A"]\nresources = ["x.Y"]\nreason = "because"\nenviroment = "lab"',
    ],
)
def test_an_entry_without_a_reason_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text(f"[[accepted]]\n{text}\n")
    with pytest.raises(ListError, match="entry 1: needs rules, resources and a reason"):
        read(path)


def test_every_entry_of_ours_names_a_resource_of_a_template_and_a_reason() -> None:
    accepted = read(Path(__file__).parents[3] / "tools" / "audit" / "accepted.toml")
    assert {one.resource.partition(".")[0] for one in accepted} <= {
        "zone",
        "root",
        "foundation",
        "data",
        "service",
        "witness",
    }
    once = [(one.rule, one.resource, one.environment) for one in accepted]
    assert len(set(once)) == len(once)
