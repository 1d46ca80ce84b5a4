"""A shell is pointed at the lab and at nothing else."""

import configparser
from datetime import UTC, datetime
from pathlib import Path

from lab.certificates import new_authority
from lab.environment import for_child, shell, write_aws_files
from lab.plan import plan_lab
from ops.surroundings import Surroundings

REGIONS = {"primary": "us-east-1", "secondary": "us-east-2", "witness": "us-west-2"}


def test_the_profile_leads_to_the_primary_region_s_proxy(tmp_path: Path) -> None:
    plan = plan_lab(directory=tmp_path, regions=REGIONS, domain="payments.test")
    write_aws_files(plan)
    config = configparser.ConfigParser()
    config.read(plan.aws_config_file)
    profile = config["profile payments-lab"]
    assert profile["endpoint_url"] == plan.region_at("primary").proxy_url
    assert profile["region"] == "us-east-1"
    assert plan.aws_credentials_file.stat().st_mode & 0o777 == 0o600


def test_what_the_host_has_of_aws_is_unset_first(tmp_path: Path) -> None:
    plan = plan_lab(directory=tmp_path, regions=REGIONS, domain="payments.test")
    unset, *exports = shell(plan).splitlines()
    assert unset.startswith("unset ")
    assert {"HTTPS_PROXY", "https_proxy"} <= set(unset.split())
    assert "export SAM_CLI_TELEMETRY=0" in exports
    assert all(line.startswith("export ") for line in exports)


def test_a_child_gets_the_lab_and_keeps_the_rest(tmp_path: Path) -> None:
    plan = plan_lab(directory=tmp_path, regions=REGIONS, domain="payments.test")
    child = for_child(plan, {"PATH": "/bin", "AWS_SESSION_TOKEN": "real", "AWS_CA_BUNDLE": "/x"})
    assert child["PATH"] == "/bin"
    assert child["AWS_ENDPOINT_URL"] == plan.aws_endpoint_url
    assert not {"AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"} & child.keys()
    assert plan.region_at("secondary").address in child["NO_PROXY"]


def test_an_operator_reaches_each_region_by_its_own_proxy_and_the_address_dns_answers(tmp_path: Path) -> None:
    plan = plan_lab(directory=tmp_path, regions=REGIONS, domain="payments.test")
    plan.ca_file.write_bytes(new_authority("CA", datetime.now(UTC)).pem())
    around = Surroundings.of(for_child(plan, {}))
    second = plan.region_at("secondary")
    assert around.endpoints["us-east-2"] == second.proxy_url
    assert around.doors == {
        "127.0.1.1": (plan.region_at("primary").address, second.front_door_port),
        "127.0.2.1": (second.address, second.front_door_port),
    }
    assert around.name_server == plan.dns
    assert around.lab_directory == tmp_path
    assert around.time_scale == 1.0
