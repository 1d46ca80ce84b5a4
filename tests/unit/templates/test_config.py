"""Every mistake an operator can make in deployment.toml, and the one line that tells about it."""

import os
import platform
import sys
from datetime import date
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from templates.config import ConfigurationError, Settings, load
from templates.support import ENGINE_SUPPORT_ENDS, ENGINE_VERSIONS, RUNTIME_SUPPORT_ENDS

DELIVERED = Path(__file__).parents[3] / "deployment.toml"
RIGHT = """\
service = "payments"
environment = "prod"
[regions]
primary = "us-east-1"
secondary = "us-east-2"
witness = "us-west-2"
[network]
primary_cidr = "10.0.0.0/16"
secondary_cidr = "10.1.0.0/16"
nat_gateways = "per-zone"
[database]
engine_version = "14.6"
name = "ledger"
min_capacity = 0.5
max_capacity = 16
[journal]
retention_days = 400
[dns]
domain = "payments.example.com"
[objectives]
rpo_minutes = 15
rto_minutes = 30
[alerts]
emails = ["oncall@example.com"]
[audit]
trail = true
[failover]
automatic = true
[drills]
faults = true
[functions]
runtime = "python3.11"
architecture = "arm64"
"""
LABEL = "lower-case letters, digits and single hyphens between them, starting with a letter"
BLOCK = "an IPv4 block such as 10.0.0.0/16, with no bits set after the prefix"
SIZE = "/16 (the most a VPC takes) to /22 (its subnets have 59 addresses each)"
PRIVATE = "private addresses, of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10"
VERSIONS = f"an Aurora PostgreSQL version in quotes, one of {', '.join(ENGINE_VERSIONS)}"
CAPACITY = "Aurora capacity units, 0.5 to 128 in halves"
RUNTIMES = "python3.11, python3.12, python3.13, python3.14, or host in a test environment"
SETS = (
    "three strongly consistent with each other: of us-east-1, us-east-2, us-west-2"
    " or eu-central-1, eu-west-1, eu-west-2, eu-west-3 or ap-northeast-1, ap-northeast-2, ap-northeast-3"
)
SECTIONS = (
    "service, environment, regions, network, database, journal, dns, objectives, alerts, audit, failover,"
    " drills, functions, test_environment"
)


def read(
    folder: Path,
    text: str,
    environment: str | None = None,
    environ: dict[str, str] | None = None,
) -> Settings:
    file = folder / "deployment.toml"
    file.write_text(text, "utf-8")
    return load(file, environment, environ or {})


def problems(
    folder: Path,
    text: str,
    environment: str | None = None,
    environ: dict[str, str] | None = None,
) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        read(folder, text, environment, environ)
    assert str(raised.value) == "\n".join(raised.value.problems)
    return [line.replace(f"{folder}{os.sep}", "") for line in raised.value.problems]


def test_what_is_delivered_is_what_the_brief_asks_for() -> None:
    settings = load(DELIVERED, None, {})
    assert (settings.service, settings.environment, settings.test_environment) == ("payments", "prod", False)
    assert settings.regions.primary == "us-east-1"
    assert settings.regions.secondary == "us-east-2"
    assert settings.regions.witness == "us-west-2"
    assert settings.network.primary_cidr == IPv4Network("10.0.0.0/16")
    assert settings.network.secondary_cidr == IPv4Network("10.1.0.0/16")
    assert settings.network.nat_gateways == "per-zone"
    assert settings.audit.trail
    assert settings.database.engine_version == "14.6"
    assert settings.database.name == "ledger"
    assert (settings.objectives.rpo_minutes, settings.objectives.rto_minutes) == (15, 30)
    assert (settings.functions.runtime, settings.functions.architecture) == ("python3.11", "arm64")
    assert settings.failover.automatic
    assert settings.drills.faults
    assert settings.dns.domain == "payments.example.com"
    assert settings.dns.hosted_zone_id is None


def test_the_lab_is_the_machine_it_is_on() -> None:
    lab = load(DELIVERED, "lab", {})
    assert lab.environment == "lab"
    assert lab.test_environment
    assert lab.dns.domain == "payments.test"
    assert lab.functions.runtime == f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert lab.functions.architecture == {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    assert lab.regions == load(DELIVERED, None, {}).regions


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = read(tmp_path, RIGHT)
    with pytest.raises(AttributeError):
        settings.service = "other"  # type: ignore[misc] # that it cannot is the point
    with pytest.raises(AttributeError):
        settings.regions.primary = "us-west-2"  # type: ignore[misc] # the same


def test_an_option_goes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    text = RIGHT + "[environments.dev]\n[environments.pr-12]\n"
    assert read(tmp_path, text).environment == "prod"
    assert read(tmp_path, text, None, {"ENVIRONMENT_SUFFIX": "pr-12"}).environment == "pr-12"
    assert read(tmp_path, text, "dev", {"ENVIRONMENT_SUFFIX": "pr-12"}).environment == "dev"
    assert read(tmp_path, text, "prod", {"ENVIRONMENT_SUFFIX": "pr-12"}).environment == "prod"


def test_an_environment_that_the_file_does_not_know_is_a_typing_error(tmp_path: Path) -> None:
    text = RIGHT + "[environments.dev]\n[environments.lab]\n"
    wrong = 'environment: found "prd"; allowed: prod, dev, lab, or another with a table under [environments]'
    assert problems(tmp_path, text, None, {"ENVIRONMENT_SUFFIX": "prd"}) == [f"ENVIRONMENT_SUFFIX: {wrong}"]
    assert problems(tmp_path, text, "prd") == [f"--environment: {wrong}"]


def test_an_override_counts_in_its_environment_only(tmp_path: Path) -> None:
    text = RIGHT + '[environments.dev.network]\nprimary_cidr = "10.8.0.0/20"\n'
    assert read(tmp_path, text).network.primary_cidr == IPv4Network("10.0.0.0/16")
    dev = read(tmp_path, text, "dev").network
    assert dev.primary_cidr == IPv4Network("10.8.0.0/20")
    assert dev.secondary_cidr == IPv4Network("10.1.0.0/16")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('service = "payments"', 'service = "Pay_ments"', f'service: found "Pay_ments"; allowed: {LABEL}'),
        ('service = "payments"', 'service = "pay--ments"', f'service: found "pay--ments"; allowed: {LABEL}'),
        ('service = "payments"', 'service = "payments-"', f'service: found "payments-"; allowed: {LABEL}'),
        (
            'service = "payments"',
            'service = "payments\\n"',
            f'service: found "payments\\n"; allowed: {LABEL}',
        ),
        ('service = "payments"\n', "", f"service: found nothing; allowed: {LABEL}"),
        ('environment = "prod"', "environment = 3", f"environment: found 3; allowed: {LABEL}"),
        ('environment = "prod"', 'environment = "Prod"', f'environment: found "Prod"; allowed: {LABEL}'),
        ("[regions]", 'colour = "red"\n[regions]', f"colour: found an unknown key; allowed: {SECTIONS}"),
        (
            "[network]",
            'fourth = "x"\n[network]',
            "regions.fourth: found an unknown key; allowed: primary, secondary, witness",
        ),
        (
            'witness = "us-west-2"',
            'witness = "oregon"',
            'regions.witness: found "oregon"; allowed: the name of an AWS region, such as us-east-1',
        ),
        (
            'secondary = "us-east-2"',
            'secondary = "us-east-1"',
            'regions.secondary: found "us-east-1", which regions.primary is; allowed: another region',
        ),
        (
            'witness = "us-west-2"',
            'witness = "eu-west-1"',
            f"regions: found us-east-1, us-east-2, eu-west-1; allowed: {SETS}",
        ),
        (
            'primary_cidr = "10.0.0.0/16"',
            'primary_cidr = "10.0.0.1/16"',
            f'network.primary_cidr: found "10.0.0.1/16"; allowed: {BLOCK}',
        ),
        (
            'primary_cidr = "10.0.0.0/16"',
            'primary_cidr = "10.0.0.0"',
            f'network.primary_cidr: found "10.0.0.0"; allowed: {BLOCK}',
        ),
        (
            'primary_cidr = "10.0.0.0/16"',
            "primary_cidr = 10",
            f"network.primary_cidr: found 10; allowed: {BLOCK}",
        ),
        (
            'secondary_cidr = "10.1.0.0/16"',
            'secondary_cidr = "10.0.128.0/17"',
            'network.secondary_cidr: found "10.0.128.0/17", which overlaps network.primary_cidr'
            ' "10.0.0.0/16"; allowed: a block that does not',
        ),
        (
            'primary_cidr = "10.0.0.0/16"',
            'primary_cidr = "10.0.0.0/23"',
            f'network.primary_cidr: found "10.0.0.0/23"; allowed: {SIZE}',
        ),
        (
            'secondary_cidr = "10.1.0.0/16"',
            'secondary_cidr = "10.2.0.0/15"',
            f'network.secondary_cidr: found "10.2.0.0/15"; allowed: {SIZE}',
        ),
        (
            'secondary_cidr = "10.1.0.0/16"',
            'secondary_cidr = "8.8.0.0/16"',
            f'network.secondary_cidr: found "8.8.0.0/16"; allowed: {PRIVATE}',
        ),
        (
            'nat_gateways = "per-zone"',
            "nat_gateways = 1",
            "network.nat_gateways: found 1; allowed: per-zone (one in each) or single (one for all)",
        ),
        (
            'nat_gateways = "per-zone"',
            'nat_gateways = "none"',
            'network.nat_gateways: found "none"; allowed: per-zone (one in each) or single (one for all)',
        ),
        (
            'nat_gateways = "per-zone"\n',
            "",
            "network.nat_gateways: found nothing; allowed: per-zone (one in each) or single (one for all)",
        ),
        (
            'engine_version = "14.6"',
            'engine_version = "14.99"',
            f'database.engine_version: found "14.99"; allowed: {VERSIONS}',
        ),
        (
            'engine_version = "14.6"',
            "engine_version = 14.6",
            f"database.engine_version: found 14.6; allowed: {VERSIONS}",
        ),
        (
            'name = "ledger"',
            'name = "postgres"',
            'database.name: found "postgres"; allowed: 1 to 63 lower-case letters, digits and underscores,'
            " starting with a letter, and no name PostgreSQL or RDS uses itself",
        ),
        ("min_capacity = 0.5", "min_capacity = 0", f"database.min_capacity: found 0; allowed: {CAPACITY}"),
        (
            "min_capacity = 0.5",
            "min_capacity = 0.7",
            f"database.min_capacity: found 0.7; allowed: {CAPACITY}",
        ),
        (
            "max_capacity = 16",
            "max_capacity = inf",
            f"database.max_capacity: found Infinity; allowed: {CAPACITY}",
        ),
        (
            "max_capacity = 16",
            "max_capacity = 0.5",
            "database.max_capacity: found 0.5; allowed: at least 1 and at least min_capacity, 0.5",
        ),
        (
            "retention_days = 400",
            "retention_days = 30",
            "journal.retention_days: found 30; allowed: whole days, 90 to 36500",
        ),
        (
            "retention_days = 400",
            'retention_days = "for ever"',
            'journal.retention_days: found "for ever"; allowed: whole days, 90 to 36500',
        ),
        (
            'domain = "payments.example.com"',
            'domain = "Payments_example"',
            'dns.domain: found "Payments_example"; allowed: a domain name in lower case, such as'
            " payments.example.com",
        ),
        (
            "[objectives]",
            'hosted_zone_id = "/hostedzone/Z1"\n[objectives]',
            'dns.hosted_zone_id: found "/hostedzone/Z1"; allowed: the id of a hosted zone: Z, then at most 31'
            " capital letters and digits",
        ),
        (
            "rpo_minutes = 15",
            "rpo_minutes = 0",
            "objectives.rpo_minutes: found 0; allowed: whole minutes, 1 to 1440",
        ),
        (
            "rto_minutes = 30",
            "rto_minutes = 1.5",
            "objectives.rto_minutes: found 1.5; allowed: whole minutes, 1 to 1440",
        ),
        (
            '["oncall@example.com"]',
            '["oncall@example.com", "nobody"]',
            'alerts.emails[1]: found "nobody"; allowed: an e-mail address',
        ),
        (
            '["oncall@example.com"]',
            "[]",
            "alerts.emails: found []; allowed: a list of at least one e-mail address",
        ),
        (
            '["oncall@example.com"]',
            '"oncall@example.com"',
            'alerts.emails: found "oncall@example.com"; allowed: a list of at least one e-mail address',
        ),
        ("trail = true", 'trail = "no"', 'audit.trail: found "no"; allowed: true or false'),
        ("trail = true", "trail = 0", "audit.trail: found 0; allowed: true or false"),
        ("[audit]\ntrail = true\n", "", "audit.trail: found nothing; allowed: true or false"),
        (
            "automatic = true",
            'automatic = "yes"',
            'failover.automatic: found "yes"; allowed: true or false',
        ),
        ("faults = true", "faults = 1", "drills.faults: found 1; allowed: true or false"),
        (
            'runtime = "python3.11"',
            'runtime = "python3.9"',
            f'functions.runtime: found "python3.9"; allowed: {RUNTIMES}',
        ),
        (
            'runtime = "python3.11"',
            'runtime = "host"',
            'functions.runtime: found "host"; allowed: host only where test_environment = true',
        ),
        (
            'architecture = "arm64"',
            'architecture = "aarch64"',
            'functions.architecture: found "aarch64"; allowed: arm64, x86_64, or host in a test environment',
        ),
        (
            "[functions]",
            "[environments.dev.regions]\nfourth = 4\n[functions]",
            "environments.dev.regions.fourth: found an unknown key; allowed: primary, secondary, witness",
        ),
        (
            "[functions]",
            "[environments.dev.objectives]\nrpo_minutes = '15'\n[functions]",
            'environments.dev.objectives.rpo_minutes: found "15"; allowed: whole minutes, 1 to 1440',
        ),
        (
            "[functions]",
            "[environments.dev]\nenvironment = 'x'\n[functions]",
            "environments.dev.environment: found an unknown key; allowed: "
            + SECTIONS.replace("environment, ", "", 1),
        ),
        (
            "[functions]",
            "[environments.dev]\nregions = 5\n[functions]",
            "environments.dev.regions: found 5; allowed: a table with primary, secondary, witness",
        ),
        (
            "[functions]",
            "[environments]\ndev = 5\n[functions]",
            "environments.dev: found 5; allowed: a table of what differs",
        ),
        (
            "[functions]",
            "[environments.Dev]\n[functions]",
            f'environments.Dev: found "Dev"; allowed: {LABEL}',
        ),
        (
            "[regions]",
            "environments = 1\n[regions]",
            "environments: found 1; allowed: a table for each environment",
        ),
    ],
)
def test_each_mistake_has_its_line(tmp_path: Path, old: str, new: str, line: str) -> None:
    assert old in RIGHT
    assert problems(tmp_path, RIGHT.replace(old, new, 1)) == [f"deployment.toml: {line}"]


def test_a_missing_section_is_told_key_by_key(tmp_path: Path) -> None:
    text = RIGHT.replace("[objectives]\nrpo_minutes = 15\nrto_minutes = 30\n", "")
    assert problems(tmp_path, text) == [
        "deployment.toml: objectives.rpo_minutes: found nothing; allowed: whole minutes, 1 to 1440",
        "deployment.toml: objectives.rto_minutes: found nothing; allowed: whole minutes, 1 to 1440",
    ]


def test_a_problem_that_an_override_makes_names_the_override(tmp_path: Path) -> None:
    text = RIGHT + '[environments.dev.regions]\nsecondary = "us-east-1"\n'
    assert read(tmp_path, text).regions.secondary == "us-east-2"
    assert problems(tmp_path, text, "dev") == [
        'deployment.toml: environments.dev.regions.secondary: found "us-east-1", which regions.primary is;'
        " allowed: another region"
    ]


@pytest.mark.parametrize("found", ["", "Prod", "prod/eu", "-x", "x\n"])
def test_a_wrong_environment_is_told_like_the_others(tmp_path: Path, found: str) -> None:
    shown = found.replace("\n", "\\n")
    wrong = f'environment: found "{shown}"; allowed: {LABEL}'
    assert problems(tmp_path, RIGHT, None, {"ENVIRONMENT_SUFFIX": found}) == [f"ENVIRONMENT_SUFFIX: {wrong}"]
    assert problems(tmp_path, RIGHT, found, {"ENVIRONMENT_SUFFIX": "ok"}) == [f"--environment: {wrong}"]


def test_names_that_aws_would_refuse(tmp_path: Path) -> None:
    environment = "a-very-long-environment-name-indeed"
    found = problems(tmp_path, f"{RIGHT}[environments.{environment}]\n", environment)
    assert found == [
        "deployment.toml: service: found 53 characters in"
        ' "payments-failover-a-very-long-environment-name-indeed", the name of the Region switch plan;'
        " allowed: at most 32 characters",
        "deployment.toml: service: found 76 characters in"
        ' "payments-transactions-secondary-a-very-long-environment-name-indeed-'
        'ca03e6a2", the name of the S3 bucket; allowed: at most 63 characters',
        "deployment.toml: service: found 61 characters in"
        ' "payments-ledger-secondary-a-very-long-environment-name-indeed", the name of the Backup vault;'
        " allowed: at most 50 characters",
        "deployment.toml: service: found 72 characters in"
        ' "payments-drill-region-loss-secondary-a-very-long-environment-name-indeed", the name of the IAM'
        " role; allowed: at most 64 characters",
    ]


def test_a_domain_too_long_for_a_certificate(tmp_path: Path) -> None:
    domain = f"{'a' * 50}.example.com"
    assert problems(tmp_path, RIGHT.replace("payments.example.com", domain)) == [
        f'deployment.toml: dns.domain: found 72 characters in "secondary.{domain}", the name of the'
        " certificate; allowed: at most 64 characters"
    ]


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path / "none.toml", None, {})
    assert raised.value.problems == (
        f"{tmp_path / 'none.toml'}: the file: found No such file or directory;"
        " allowed: a file to read; --config names another",
    )


def test_a_file_that_is_not_toml(tmp_path: Path) -> None:
    assert problems(tmp_path, 'service = "payments\n') == [
        "deployment.toml: the file: found no TOML: Illegal character '\\n' (at line 1, column 20);"
        " allowed: TOML 1.0, https://toml.io"
    ]


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "deployment.toml"
    file.write_bytes(b'service = "\xff"')
    with pytest.raises(ConfigurationError) as raised:
        load(file, None, {})
    assert raised.value.problems == (
        f"{file}: the file: found a byte at offset 11 that is not UTF-8; allowed: TOML in UTF-8",
    )


def test_every_problem_at_once(tmp_path: Path) -> None:
    text = (
        RIGHT.replace('"us-east-2"', '"us-east-1"')
        .replace('"us-west-2"', '"nowhere"')
        .replace('"10.1.0.0/16"', '"10.0.0.0/30"')
        .replace('name = "ledger"\n', "")
        .replace("automatic = true", "automatic = true\nmanual = false")
    )
    found = problems(tmp_path, text, None, {"ENVIRONMENT_SUFFIX": "No"})
    assert [line.split(": found")[0] for line in found] == [
        "deployment.toml: regions.witness",
        "deployment.toml: failover.manual",
        "ENVIRONMENT_SUFFIX: environment",
        "deployment.toml: database.name",
        "deployment.toml: regions.secondary",
        "deployment.toml: network.secondary_cidr",
        "deployment.toml: network.secondary_cidr",
    ]


def test_a_host_is_fine_in_a_test_environment(tmp_path: Path) -> None:
    text = "test_environment = true\n" + RIGHT.replace('"arm64"', '"host"')
    assert read(tmp_path, text).functions.architecture in ("arm64", "x86_64")


KEYS = [line.split(" = ")[0] for line in RIGHT.splitlines() if " = " in line]


@given(key=st.sampled_from(KEYS), value=st.booleans() | st.integers() | st.lists(st.integers(), max_size=2))
def test_any_value_gives_settings_or_lines(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    lines = [
        f"{key} = {str(value).lower()}" if line.startswith(f"{key} = ") else line
        for line in RIGHT.splitlines()
    ]
    told: tuple[str, ...] = ()
    try:
        read(tmp_path_factory.mktemp("any"), "\n".join(lines))
    except ConfigurationError as error:
        told = error.problems
    assert all(": found " in line and "; allowed: " in line for line in told)


@pytest.mark.parametrize(
    ("version", "today", "note"),
    [
        ("14.6", date(2026, 2, 27), None),
        (
            "14.6",
            date(2026, 11, 22),
            "database.engine_version 14.6: standard support of Aurora PostgreSQL 14 ends on 2027-02-28;"
            " plan the upgrade",
        ),
        (
            "14.6",
            date(2027, 3, 1),
            "database.engine_version 14.6: standard support of Aurora PostgreSQL 14 ended on 2027-02-28; plan"
            " the upgrade",
        ),
        ("17.7", date(2026, 11, 22), None),
    ],
)
def test_a_note_before_the_engine_loses_support(
    tmp_path: Path, version: str, today: date, note: str | None
) -> None:
    text = RIGHT.replace("14.6", version).replace("python3.11", "python3.13")
    assert read(tmp_path, text).notes(today) == (() if note is None else (note,))


def test_a_note_before_the_runtime_loses_support(tmp_path: Path) -> None:
    settings = read(tmp_path, RIGHT.replace("14.6", "17.7"))
    assert settings.notes(date(2026, 11, 22)) == (
        "functions.runtime python3.11: Lambda's support ends on 2027-06-30; plan the upgrade",
    )


def test_a_note_when_the_zone_s_id_cannot_be_read(tmp_path: Path) -> None:
    text = RIGHT.replace("14.6", "17.7").replace("python3.11", "python3.13")
    for old, new in (("us-east-1", "eu-west-1"), ("us-east-2", "eu-west-3"), ("us-west-2", "eu-central-1")):
        text = text.replace(old, new)
    (note,) = read(tmp_path, text).notes(date(2026, 11, 22))
    assert note.startswith("dns.hosted_zone_id is not set: deploy `zone` to us-east-1")
    known = text.replace("[objectives]", 'hosted_zone_id = "Z1"\n[objectives]')
    assert read(tmp_path, known).notes(date(2026, 11, 22)) == ()


def test_support_is_known_for_everything_that_can_be_chosen() -> None:
    assert {version.split(".")[0] for version in ENGINE_VERSIONS} == set(ENGINE_SUPPORT_ENDS)
    assert set(RUNTIMES.split(", or")[0].split(", ")) == set(RUNTIME_SUPPORT_ENDS)
