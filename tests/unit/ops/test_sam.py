"""How `sam` is told what to deploy: by the section that deploys this environment."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from ops.directory import Rejected
from ops.sam import Sam
from templates.config import ConfigurationError, Settings, load

REPOSITORY = Path(__file__).parents[3]
SAMCONFIG = REPOSITORY / "samconfig.toml"


@pytest.fixture
def settings() -> Settings:
    return load(REPOSITORY / "deployment.toml", "lab", {})


@pytest.mark.parametrize(
    ("environment", "template", "section", "stack"),
    [
        ("prod", "root", "default", "payments-prod"),
        ("prod", "zone", "zone", "payments-prod-zone"),
        ("lab", "root", "lab", "payments-lab"),
        ("lab", "zone", "lab-zone", "payments-lab-zone"),
    ],
)
def test_the_section_is_found_by_template_and_environment(
    settings: Settings, environment: str, template: str, section: str, stack: str
) -> None:
    found = Sam.of(replace(settings, environment=environment), Path("dist"), template, SAMCONFIG)
    assert (found.section, found.stack, found.region) == (section, stack, "us-east-1")
    assert found.template == Path("dist").resolve() / f"{template}.json"


def test_an_environment_that_nothing_deploys_is_said_so(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"no section deploys root\.json with Environment=other"):
        Sam.of(replace(settings, environment="other"), Path("dist"), "root", SAMCONFIG)


def test_a_build_that_is_not_there_is_asked_for(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"is not there; run `python build\.py` first") as refused:
        Sam.of(settings, tmp_path, "root", SAMCONFIG).document()
    assert refused.value.exit_code == 2


def test_what_sam_says_when_it_fails_is_passed_on(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"sam deploy --config-env lab: .*; repair that"):
        Sam.of(settings, tmp_path, "root", SAMCONFIG).deploy("--no-execute-changeset")
