"""The files of a lab on disk: made when it starts, removed when it ends; only logs stay for the reader."""

import os
import shutil
import ssl
from datetime import UTC, datetime

from lab.certificates import new_authority, write_server_certificate
from lab.environment import write_aws_files
from lab.plan import LabPlan


def prepare(plan: LabPlan) -> None:
    plan.logs.mkdir(parents=True, exist_ok=True)
    for log in plan.logs.iterdir():
        if log.name != "supervisor.log":  # being written; `up` starts it anew
            log.unlink()
    # PostgreSQL's account must get through; what is private in here says so itself.
    plan.runtime_directory.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, exist_ok=True)
    write_aws_files(plan)


def issue_certificates(plan: LabPlan) -> dict[str, ssl.SSLContext]:
    """One CA for the lab; per region one certificate for its front door and its database endpoints."""
    now = datetime.now(UTC)
    authority = new_authority(f"{plan.domain} lab CA", now)
    plan.ca_file.write_bytes(authority.pem())
    contexts = {}
    for region in plan.data_regions:
        file = plan.runtime_directory / f"{region.name}.pem"
        hosts = (plan.domain, region_host(plan, region.place), "localhost")
        addresses = (region.address, region.reader_address)
        write_server_certificate(authority, file, hosts=hosts, addresses=addresses, now=now)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(file)
        contexts[region.name] = context
    return contexts


def region_host(plan: LabPlan, place: str) -> str:
    return f"{place}.{plan.domain}"


def clean(plan: LabPlan) -> None:
    """May be done twice. The plan goes last: as long as it is there, somebody will try again."""
    shutil.rmtree(plan.runtime_directory, ignore_errors=True)
    shutil.rmtree(plan.aws_config_file.parent, ignore_errors=True)
    for file in (plan.ca_file, plan.merchants_file, plan.processes_file, plan.file):
        file.unlink(missing_ok=True)
