"""Rules meet the requests they are for, and choose among them by their seed."""

import json

import pytest
from botocore.session import get_session

from lab.faults import Faults, Mode, Rule, parsed, refusal, resources, throttling, write_conflict
from lab.lag import Creations

PUT = ("dynamodb", "PutItem", frozenset({"payments-journal-lab"}))


def armed(*rules: Rule) -> Faults:
    faults = Faults()
    faults.replace(rules)
    return faults


def struck(faults: Faults, requests: int = 100) -> list[bool]:
    return [faults.decide(*PUT) is not None for _ in range(requests)]


def test_without_rules_there_is_nothing_to_look_at() -> None:
    assert not Faults()
    assert Faults().decide(*PUT) is None
    assert armed(Rule(Mode.REFUSE))


def test_a_rule_is_for_its_service_operation_and_resource_only() -> None:
    faults = armed(Rule(Mode.REFUSE, service="dynamodb", operation="Put*", resource="*-journal-*"))
    assert faults.decide(*PUT)
    assert not faults.decide("s3", "PutItem", frozenset({"payments-journal-lab"}))
    assert not faults.decide("dynamodb", "GetItem", frozenset({"payments-journal-lab"}))
    assert not faults.decide("dynamodb", "PutItem", frozenset({"payments-sessions-lab"}))
    assert not faults.may_meet("dynamodb", "GetItem")


def test_the_seed_decides_and_the_share_is_kept() -> None:
    def fates(seed: int) -> list[bool]:
        return struck(armed(Rule(Mode.HANG, probability=0.3, seed=seed)))

    assert fates(7) == fates(7) != fates(8)
    assert 15 <= sum(fates(7)) <= 45
    assert struck(armed(Rule(Mode.HANG, probability=0.0))) == [False] * 100


def test_rules_are_asked_in_order_and_say_what_they_did() -> None:
    faults = armed(Rule(Mode.DELAY, probability=0.5, seed=1, seconds=1), Rule(Mode.REFUSE))
    modes = [met.rule.mode for _ in range(50) if (met := faults.decide(*PUT))]
    assert len(modes) == 50
    assert set(modes) == {Mode.DELAY, Mode.REFUSE}
    delayed, refused = faults.describe()
    assert (delayed["met"], refused["met"]) == (50, 50 - delayed["applied"])
    assert (refused["mode"], refused["applied"]) == ("refuse", refused["met"])


def test_a_rule_that_was_replaced_lets_go() -> None:
    faults = armed(Rule(Mode.HANG))
    met = faults.decide(*PUT)
    assert met
    assert met.stands
    faults.replace(())
    assert not met.stands


def test_a_rule_survives_the_way_over_the_control_socket() -> None:
    rule = throttling("payments-journal-*", probability=0.2, seed=3)
    assert Rule(**json.loads(json.dumps(rule.described()))) == rule


@pytest.mark.parametrize("wrong", [{"probability": 1.5}, {"seconds": -1}, {"mode": "explode"}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"1\.5|-1|explode"):
        Rule(**{"mode": Mode.HANG, **wrong})  # type: ignore[arg-type]


def test_what_a_request_names_is_found_where_it_says_so() -> None:
    batch = parsed(b'{"RequestItems": {"one": {}, "two": {}}}')
    assert resources("/", batch) == {"one", "two"}
    assert resources("/", parsed(b'{"TableName": "journal"}')) == {"journal"}
    assert resources("/bucket/key", parsed(b"\xff no JSON")) == {"bucket", "key"}
    assert parsed(b"[1]") == {}


@pytest.mark.parametrize(
    ("service", "protocol", "content_type"),
    [
        ("dynamodb", "json", "application/x-amz-json-1.0"),
        ("rds", "query", "application/x-www-form-urlencoded; charset=utf-8"),
        ("s3", "rest-xml", ""),
        ("lambda", "rest-json", "application/json"),
    ],
)
def test_a_refusal_is_understood_by_whoever_asked(service: str, protocol: str, content_type: str) -> None:
    said = refusal(Rule(Mode.ERROR, code="Throttled", status=429), service=service, content_type=content_type)
    session = get_session()
    model = session.get_service_model(service)
    parser = session.get_component("response_parser_factory").create_parser(protocol)
    headers = {name.lower(): value for name, value in said.headers.items()}
    answer = {"status_code": said.status, "headers": headers, "body": said.body}
    shape = model.operation_model(model.operation_names[0]).output_shape
    assert parser.parse(answer, shape)["Error"]["Code"] == "Throttled"


def test_conflicts_are_for_writes_and_an_error_botocore_sends_again() -> None:
    rule = write_conflict("payments-journal-lab", probability=1, seed=0)
    assert armed(rule).decide(*PUT)
    assert not armed(rule).decide("dynamodb", "GetItem", PUT[2])
    assert not armed(rule).decide("dynamodb", "BatchGetItem", PUT[2])
    shape = get_session().get_service_model("dynamodb").shape_for(rule.code)
    assert shape.metadata["retryable"] == {"throttling": False}


def test_a_region_sees_what_it_made_and_later_what_others_made() -> None:
    now = [100.0]
    creations = Creations(lambda: now[0])
    item = {"token_hash": {"S": "t"}, "merchant_id": {"S": "m"}}
    creations.note("us-east-1", {"TableName": "sessions", "Item": item})
    asked = {"TableName": "sessions", "Key": {"token_hash": {"S": "t"}}}

    assert creations.hides("us-east-2", asked, 5.0)
    assert not creations.hides("us-east-1", asked, 5.0)
    assert not creations.hides("us-east-2", asked | {"TableName": "control"}, 5.0)
    assert not creations.hides("us-east-2", asked | {"Key": {"token_hash": {"S": "u"}}}, 5.0)
    now[0] += 6
    assert not creations.hides("us-east-2", asked, 5.0)


def test_nobody_looks_into_what_is_put_until_a_region_lags() -> None:
    creations = Creations()
    assert not creations.wanted
    creations.watch("us-east-2", lags=True)
    creations.watch("us-east-1", lags=False)
    assert creations.wanted
    creations.watch("us-east-2", lags=False)
    assert not creations.wanted
