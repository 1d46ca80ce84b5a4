"""What the account may have of what AWS offers."""

import pytest
from botocore.exceptions import ClientError

from tests.integration.embedded.embedded_aws import HOME, PEER, EmbeddedAws


@pytest.mark.parametrize("region", [HOME, PEER])
def test_quotas_are_the_defaults_and_others_are_not_known(aws: EmbeddedAws, region: str) -> None:
    quotas = aws.client("service-quotas", region)
    addresses = quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-0263D0A3")["Quota"]
    assert (addresses["QuotaName"], addresses["Value"]) == ("EC2-VPC Elastic IPs", 5.0)
    with pytest.raises(ClientError, match="NoSuchResourceException"):
        quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-00000000")


def test_serverless_instances_are_offered(aws: EmbeddedAws) -> None:
    def offered(**asked: str) -> int:
        rds = aws.client("rds")
        return len(rds.describe_orderable_db_instance_options(**asked)["OrderableDBInstanceOptions"])

    aurora = {"Engine": "aurora-postgresql", "EngineVersion": "14.6"}
    assert offered(**aurora, DBInstanceClass="db.serverless") == 1
    assert offered(**aurora, DBInstanceClass="db.r5.large") == 1
    assert offered(Engine="postgres", EngineVersion="16.4", DBInstanceClass="db.serverless") == 0


def test_a_version_can_be_upgraded_to_later_minor_ones(aws: EmbeddedAws) -> None:
    (version,) = aws.client("rds").describe_db_engine_versions(
        Engine="aurora-postgresql", EngineVersion="14.6"
    )["DBEngineVersions"]
    targets = {one["EngineVersion"]: one["IsMajorVersionUpgrade"] for one in version["ValidUpgradeTarget"]}
    assert "14.22" in targets
    assert "14.6" not in targets
    assert not any(major for major in targets.values())
