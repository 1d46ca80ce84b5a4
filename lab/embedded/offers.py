"""What an account may have of what AWS offers: quotas, and the database instances of a region.

https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html: the values are
AWS's defaults, as `ec2` keeps them for addresses. MiniStack's own lists lack serverless instances and what a
version can be upgraded to: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_UpgradeTarget.html
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from ministack import app
from ministack.core import iam_actions
from ministack.services import rds

from lab.embedded.ec2 import ADDRESSES_PER_REGION
from lab.embedded.handlers import Handlers, Response

SERVICE = "servicequotas"
_SERVERLESS = "db.serverless"
_QUOTAS: Final = {
    ("ec2", "L-0263D0A3"): ("EC2-VPC Elastic IPs", ADDRESSES_PER_REGION),
    ("vpc", "L-F678F1CE"): ("VPCs per Region", 5),
}


def register(_handlers: Handlers) -> None:
    app.SERVICE_HANDLERS[SERVICE] = handle
    iam_actions.SERVICE_TO_IAM_NAMESPACE[SERVICE] = SERVICE
    inherited = rds._ACTION_MAP["DescribeOrderableDBInstanceOptions"]
    rds._ACTION_MAP["DescribeOrderableDBInstanceOptions"] = _with_serverless(inherited)
    versions = rds._ACTION_MAP["DescribeDBEngineVersions"]
    rds._ACTION_MAP["DescribeDBEngineVersions"] = _with_targets(versions)


async def handle(_method: str, _path: str, headers: Mapping[str, str], body: bytes, _query: Any) -> Response:
    operation = headers.get("x-amz-target", "").partition(".")[2]
    asked = json.loads(body or b"{}")
    found = _QUOTAS.get((asked.get("ServiceCode", ""), asked.get("QuotaCode", "")))
    if operation != "GetServiceQuota" or found is None:
        refusal = {"__type": "NoSuchResourceException", "Message": "The request failed: no such quota."}
        return _answer(400, refusal)
    name, value = found
    quota = {
        "ServiceCode": asked["ServiceCode"],
        "QuotaCode": asked["QuotaCode"],
        "QuotaName": name,
        "Value": float(value),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }
    return _answer(200, {"Quota": quota})


def _answer(status: int, document: Mapping[str, Any]) -> Response:
    return status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(document).encode()


def _with_serverless(inherited: Callable[[Any], Response]) -> Callable[[Any], Response]:
    """Aurora PostgreSQL offers them; what versions there are MiniStack decides."""

    def describe(parameters: Any) -> Response:
        response = inherited(parameters)
        engine = rds._p(parameters, "Engine")
        if response[0] >= 400 or engine != "aurora-postgresql":
            return response
        if rds._p(parameters, "DBInstanceClass") != _SERVERLESS:
            return response
        option = (
            f"<OrderableDBInstanceOption><Engine>{engine}</Engine>"
            f"<EngineVersion>{rds._esc(rds._p(parameters, 'EngineVersion'))}</EngineVersion>"
            f"<DBInstanceClass>{_SERVERLESS}</DBInstanceClass><Vpc>true</Vpc>"
            "<SupportsGlobalDatabases>true</SupportsGlobalDatabases></OrderableDBInstanceOption>"
        )
        options = f"<OrderableDBInstanceOptions>{option}</OrderableDBInstanceOptions>"
        answer: Response = rds._xml(
            200,
            "DescribeOrderableDBInstanceOptionsResponse",
            f"<DescribeOrderableDBInstanceOptionsResult>{options}</DescribeOrderableDBInstanceOptionsResult>",
        )
        return answer

    return describe


def _with_targets(inherited: Callable[[Any], Response]) -> Callable[[Any], Response]:
    """Of one version of Aurora PostgreSQL that is asked for: the later minor ones of its major version."""

    def describe(parameters: Any) -> Response:
        status, headers, body = inherited(parameters)
        engine, version = rds._p(parameters, "Engine"), rds._p(parameters, "EngineVersion")
        if status >= 400 or engine != "aurora-postgresql" or not version:
            return status, headers, body
        targets = "".join(
            f"<UpgradeTarget><Engine>{engine}</Engine><EngineVersion>{later}</EngineVersion>"
            "<AutoUpgrade>false</AutoUpgrade><IsMajorVersionUpgrade>false</IsMajorVersionUpgrade>"
            "</UpgradeTarget>"
            for later, _family in rds.AURORA_POSTGRESQL_ENGINE_VERSIONS
            if _later_minor(version, later)
        )
        text = body.decode() if isinstance(body, bytes) else body
        filled = f"<ValidUpgradeTarget>{targets}</ValidUpgradeTarget>"
        return status, headers, text.replace("<ValidUpgradeTarget/>", filled).encode()

    return describe


def _later_minor(version: str, later: str) -> bool:
    (major, _, minor), (other, _, candidate) = version.partition("."), later.partition(".")
    return major == other and minor.isdigit() and candidate.isdigit() and int(candidate) > int(minor)
