"""The naming rule: what the other region, the operator and the lab compute for themselves."""

from hypothesis import given
from hypothesis import strategies as st

from templates.names import Names, Place

NAMES = Names("payments", "prod", "payments.example.com")
PLACES: tuple[Place, ...] = ("primary", "secondary", "witness")
labels = st.from_regex(r"[a-z][a-z0-9]{0,11}", fullmatch=True)


def test_names_are_what_is_written_down() -> None:
    assert NAMES.regional("api", "primary") == "payments-api-primary-prod"
    assert NAMES.shared("journal") == "payments-journal-prod"
    assert NAMES.alias("data", "secondary") == "alias/payments-data-secondary-prod"
    assert NAMES.secret("master") == "payments/prod/database/master"
    assert NAMES.export("Network", "VpcId") == "payments-prod-Network-VpcId"
    assert NAMES.host("primary") == "primary.payments.example.com"
    assert NAMES.log_group("payments-api-primary-prod") == "/aws/lambda/payments-api-primary-prod"
    assert NAMES.plan == "payments-failover-prod"


def test_a_bucket_is_named_for_good() -> None:
    # Another name is another bucket: data that does not move by itself.
    assert NAMES.bucket("code", "primary") == "payments-code-primary-prod-b299c638"


@given(labels, labels, labels)
def test_no_two_buckets_share_a_name(service: str, environment: str, other: str) -> None:
    mine = Names(service, environment, "example.com")
    theirs = Names(service, environment, f"{other}.example.com")
    names = [names.bucket("code", place) for names in (mine, theirs) for place in PLACES]
    assert len(set(names)) == len(names)


@given(st.from_regex(r"[a-z]([a-z0-9]|-[a-z0-9]){0,30}", fullmatch=True), labels)
def test_names_within_their_bounds_are_names_aws_takes(service: str, environment: str) -> None:
    for bounded in Names(service, environment, "example.com").bounded():
        assert bounded.name[0].isalpha()
        assert not bounded.name.endswith("-")
        assert "--" not in bounded.name
        assert bounded.name == bounded.name.lower()


def test_bounds_are_those_of_aws() -> None:
    assert {bounded.kind: bounded.limit for bounded in NAMES.bounded()} == {
        "Region switch plan": 32,
        "S3 bucket": 63,
        "Backup vault": 50,
        "RDS global cluster": 63,
        "RDS cluster": 63,
        "RDS instance": 63,
        "Lambda function": 64,
        "IAM role": 64,
        "certificate": 64,
    }
