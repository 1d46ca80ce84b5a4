"""What a grant is worth: on one resource of RDS that one, on one namespace of metrics that one, no other."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.embedded.embedded_aws import PEER, EmbeddedAws


@pytest.fixture
def global_clusters(aws: EmbeddedAws) -> Iterator[tuple[str, str]]:
    """One to be granted and another."""
    names = f"ours-{uuid.uuid4().hex[:8]}", f"others-{uuid.uuid4().hex[:8]}"
    rds = aws.client("rds")
    for name in names:
        rds.create_global_cluster(GlobalClusterIdentifier=name, Engine="aurora-postgresql")
    yield names
    for name in names:
        rds.delete_global_cluster(GlobalClusterIdentifier=name)


def _granted(aws: EmbeddedAws, service: str, action: str, resource: str, **condition: Any) -> Any:
    """A client for somebody who may do just that, in a region that is not the resource's home."""
    iam, user = aws.client("iam"), f"user-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=user)
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, "Condition": condition}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=user, PolicyName="granted", PolicyDocument=policy)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    return aws.client(service, PEER, key["AccessKeyId"], secret_key=key["SecretAccessKey"])


def test_a_grant_on_a_global_cluster_is_for_that_one_in_every_region(
    aws: EmbeddedAws, global_clusters: tuple[str, str]
) -> None:
    ours, others = global_clusters
    arn = f"arn:aws:rds::{aws.plan.account_id}:global-cluster:{ours}"
    rds = _granted(aws, "rds", "rds:DescribeGlobalClusters", arn)
    (described,) = rds.describe_global_clusters(GlobalClusterIdentifier=ours)["GlobalClusters"]
    assert described["GlobalClusterArn"] == arn
    for refused in ({"GlobalClusterIdentifier": others}, {}):
        with pytest.raises(ClientError, match="AccessDenied"):
            rds.describe_global_clusters(**refused)


def test_a_grant_on_a_namespace_is_for_that_one(aws: EmbeddedAws) -> None:
    ours = {"cloudwatch:namespace": "payments/lab"}
    metrics = _granted(aws, "cloudwatch", "cloudwatch:PutMetricData", "*", StringEquals=ours)
    metrics.put_metric_data(Namespace="payments/lab", MetricData=[{"MetricName": "Votes", "Value": 1}])
    with pytest.raises(ClientError, match="AccessDenied"):
        metrics.put_metric_data(Namespace="payments/prod", MetricData=[{"MetricName": "Votes", "Value": 1}])
