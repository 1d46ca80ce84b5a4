"""What `python -m lab status` says: where everything is, ready to be used as printed."""

from typing import Any
from urllib.parse import quote, urlencode

from lab.control import Control
from lab.plan import LabPlan, RegionPlan
from lab.postgres import SUPERUSER
from lab.seed import known_merchants


def describe(plan: LabPlan) -> dict[str, Any]:
    """The contract's `status --json`. Raises ControlError when the lab is not up."""
    live = Control(plan.control_socket).status()
    password = plan.superuser_password_file.read_text()
    return {
        "dns": dict(zip(("host", "port"), plan.dns, strict=True)),
        "domain": plan.domain,
        "aws_endpoint_url": plan.aws_endpoint_url,
        "ca_file": str(plan.ca_file),
        "regions": {
            region.name: {
                "state": live["regions"][region.name],
                "api_base_url": f"https://{region.address}:{region.front_door_port}",
                "postgres_dsn": _dsn(plan, region, password),
            }
            for region in plan.data_regions
        },
        "merchants": [{"id": merchant.id, "key": merchant.key} for merchant in known_merchants(plan)],
    }


def _dsn(plan: LabPlan, region: RegionPlan, password: str) -> str:
    """By the reader endpoint: whoever looks into a database need not know which region writes by then."""
    address, port = region.reader_endpoint
    host = f"[{address}]" if ":" in address else address
    where = f"{host}:{port}/{quote(plan.database, safe='')}"
    tls = urlencode({"sslmode": "verify-full", "sslrootcert": str(plan.ca_file)}, quote_via=quote)
    return f"postgresql://{SUPERUSER}:{quote(password, safe='')}@{where}?{tls}"
