"""How a shell, sam or the AWS command line is pointed at the lab, and kept from everything else."""

import json
import shlex
from collections.abc import Mapping
from typing import TypedDict

from lab.certificates import write_private
from lab.plan import LabPlan
from ops.surroundings import CA_FILE, DIRECTORY, DOORS, ENDPOINTS, NAME_SERVER, TIME_SCALE

# MiniStack takes an account's id as the key of its root user. Worthless anywhere else, by construction.
_SECRET = "lab"  # noqa: S105 - not a secret: signatures of root keys are not checked
# Proxies would lead away from loopback.
_UNSET = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
# And so would a profile, keys, a region, an endpoint for one service, or what the SDKs will read next:
# whatever the shell that evaluates this exports by then.
_PREFIX = "AWS_"
_UNSET_IN_A_SHELL = f"unset {' '.join(_UNSET)} $(env | sed -n 's/^\\({_PREFIX}[A-Za-z0-9_]*\\)=.*/\\1/p')"


class Credentials(TypedDict):
    aws_access_key_id: str
    aws_secret_access_key: str


def write_aws_files(plan: LabPlan) -> None:
    """The only place in which the profile exists: without a lab, whoever asks for it gets an error."""
    plan.aws_config_file.parent.mkdir(parents=True, exist_ok=True)
    region = plan.region_at("primary").name
    settings = {
        "region": region,
        "endpoint_url": plan.aws_endpoint_url,
        "output": "json",
        "cli_pager": "",
        "retry_mode": "standard",
    }
    profile = "\n".join(f"{key} = {value}" for key, value in settings.items())
    plan.aws_config_file.write_text(f"[profile {plan.profile}]\n{profile}\n")
    keys = f"aws_access_key_id = {plan.account_id}\naws_secret_access_key = {_SECRET}\n"
    write_private(plan.aws_credentials_file, f"[{plan.profile}]\n{keys}".encode())


def credentials(plan: LabPlan) -> Credentials:
    """Keyword arguments for a boto3 session."""
    return {"aws_access_key_id": plan.account_id, "aws_secret_access_key": _SECRET}


def variables(plan: LabPlan) -> dict[str, str]:
    loopback = ["localhost", *sorted({plan.gateway_address, *(r.address for r in plan.regions.values())})]
    no_proxy = ",".join([*loopback, plan.domain, f".{plan.domain}"])
    return {
        "AWS_CONFIG_FILE": str(plan.aws_config_file),
        "AWS_SHARED_CREDENTIALS_FILE": str(plan.aws_credentials_file),
        "AWS_ENDPOINT_URL": plan.aws_endpoint_url,
        "AWS_EC2_METADATA_DISABLED": "true",
        CA_FILE: str(plan.ca_file),
        ENDPOINTS: json.dumps({name: region.proxy_url for name, region in plan.regions.items()}),
        NAME_SERVER: "{}:{}".format(*plan.dns),
        DOORS: json.dumps(plan.doors),
        DIRECTORY: str(plan.directory),
        TIME_SCALE: f"{plan.time_scale:g}",
        "SAM_CLI_TELEMETRY": "0",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }


def shell(plan: LabPlan) -> str:
    """Lines for `eval`; they end with the profile, because nothing else in the environment may choose one."""
    lines = [_UNSET_IN_A_SHELL]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables(plan).items()]
    lines.append(f"export AWS_PROFILE={shlex.quote(plan.profile)}")
    return "\n".join(lines)


def for_child(plan: LabPlan, host: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program started by us that shall see the lab and nothing else of AWS."""
    kept = {
        name: value for name, value in host.items() if name not in _UNSET and not name.startswith(_PREFIX)
    }
    return {**kept, **variables(plan), "AWS_PROFILE": plan.profile}
