"""What `sam deploy` is told has to be what the templates were built for."""

import tomllib
from pathlib import Path

import pytest
from msgspec.structs import replace

from generator.samconfig import SAMCONFIG, compare
from templates.config import ConfigurationError, Regions, Settings, load

ROOT = Path(__file__).parents[3]
DIST = ROOT / "dist"


def settings(environment: str | None = None) -> Settings:
    return load(ROOT / "deployment.toml", environment, {})


def europe() -> Settings:
    return replace(
        settings(), regions=Regions(primary="eu-west-1", secondary="eu-west-3", witness="eu-central-1")
    )


@pytest.mark.parametrize("environment", ["prod", "lab"])
def test_both_files_agree(environment: str) -> None:
    compare(settings(environment), DIST)


def test_every_section_names_its_environment() -> None:
    document = tomllib.loads(SAMCONFIG.read_text())
    found = {
        name: section["deploy"]["parameters"]["parameter_overrides"]
        for name, section in document.items()
        if name != "version"
    }
    prod, lab = "Environment=prod", "Environment=lab"
    assert found == {"default": prod, "zone": prod, "lab": lab, "lab-zone": lab}


def test_each_difference_is_told_at_once_and_the_zone_stays_where_its_queries_are_logged() -> None:
    elsewhere = replace(europe(), service="money")
    with pytest.raises(ConfigurationError) as raised:
        compare(elsewhere, DIST)
    us = [("region", "us-east-1", "eu-west-1")]
    names = [(key, "payments-prod{}", "money-prod{}") for key in ("stack_name", "s3_prefix")]
    assert raised.value.problems == tuple(
        f'samconfig.toml: {section}.deploy.parameters.{key}: found "{found}"; allowed: "{allowed}"'
        for section, end, differences in (("default", "", us + names), ("zone", "-zone", names))
        for key, found, allowed in ((key, a.format(end), b.format(end)) for key, a, b in differences)
    )


def test_what_no_section_deploys_differs_from_nothing(tmp_path: Path) -> None:
    compare(europe(), tmp_path / "out")
    compare(replace(europe(), environment="staging"), DIST)
    compare(europe(), tmp_path, tmp_path / "samconfig.toml")


def test_a_missing_key_is_told(tmp_path: Path) -> None:
    samconfig = tmp_path / "samconfig.toml"
    parameters = 'template_file = "dist/root.json"\nparameter_overrides = ["Environment=prod"]\n'
    names = 'stack_name = "payments-prod"\ns3_prefix = "payments-prod"\n'
    samconfig.write_text(f"version = 0.1\n[default.deploy.parameters]\n{parameters}{names}")
    with pytest.raises(ConfigurationError) as raised:
        compare(settings(), tmp_path / "dist", samconfig)
    assert raised.value.problems == (
        'samconfig.toml: default.deploy.parameters.region: found nothing; allowed: "us-east-1"',
    )


def test_a_file_that_is_no_toml_is_told(tmp_path: Path) -> None:
    (tmp_path / "samconfig.toml").write_text("[default")
    with pytest.raises(ConfigurationError, match=r"samconfig\.toml: cannot be read"):
        compare(settings(), tmp_path / "dist", tmp_path / "samconfig.toml")
