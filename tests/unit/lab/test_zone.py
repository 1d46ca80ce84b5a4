"""Which record answers, for every health of a failover pair; and what there is not."""

from itertools import product
from typing import Any

import pytest

from lab.zone import Code, Told, Values, World, Zone, answer, choose, scaled_ttl

DOMAIN = "payments.test."
ENDS = {"d-one.execute-api.us-east-1.amazonaws.com.": "127.0.1.1", "d-two.example.": "127.0.2.1"}
ONE, TWO = ENDS
SOA = "ns-1.example. hostmaster.example. 1 7200 900 1209600 86400"
RED = "red"


def alias(name: str, target: str, **more: Any) -> dict[str, Any]:
    return {"Name": name, "Type": "A", "AliasTarget": {"DNSName": target}, **more}


def pair(primary: str | None, secondary: str | None) -> list[dict[str, Any]]:
    """The two records, each with the health check of that name, or without."""
    records = [
        alias(DOMAIN, ONE, Failover="PRIMARY", SetIdentifier="primary", HealthCheckId=primary),
        alias(DOMAIN, TWO, Failover="SECONDARY", SetIdentifier="secondary", HealthCheckId=secondary),
    ]
    return [{name: value for name, value in record.items() if value is not None} for record in records]


def zone(*records: dict[str, Any]) -> Zone:
    soa = {"Name": DOMAIN, "Type": "SOA", "TTL": "900", "ResourceRecords": [SOA]}
    return Zone("Z1", DOMAIN, (soa, *records))


def world(*records: dict[str, Any], **more: Any) -> World:
    return World(zones=(zone(*records),), targets=ENDS, healthy=lambda check: check != RED, **more)


def test_the_primary_answers_unless_it_is_red_and_the_secondary_is_not() -> None:
    for primary, secondary in product((None, "green", RED), repeat=2):
        chosen = choose(pair(primary, secondary), lambda check: check != RED)
        wanted = "SECONDARY" if primary == RED and secondary != RED else "PRIMARY"
        assert chosen["Failover"] == wanted, (primary, secondary)


@pytest.mark.parametrize("check", [None, "green", RED])
def test_half_a_pair_answers_whatever_its_health(check: str | None) -> None:
    for record in pair(check, check):
        assert choose([record], lambda found: found != RED) == record


def test_the_address_is_that_of_the_region_and_kept_as_long_as_an_alias_is() -> None:
    for primary, address in (("green", "127.0.1.1"), (RED, "127.0.2.1")):
        told = answer(world(*pair(primary, None)), DOMAIN, "A")
        assert told == Told(Code.NOERROR, "Z1", Values(DOMAIN, "A", 60, (address,)))


@pytest.mark.parametrize(("scale", "seconds"), [(1.0, 60), (0.5, 30), (0.1, 6), (0.01, 1), (0.001, 1)])
def test_an_alias_is_kept_for_whole_seconds(scale: float, seconds: int) -> None:
    told = answer(world(*pair(None, None), alias_ttl=scaled_ttl(scale)), DOMAIN, "A")
    assert told.values is not None
    assert told.values.ttl == seconds


def test_names_are_the_same_in_any_case() -> None:
    told = answer(world(*pair(None, None)), "PayMents.TEST.", "A")
    assert told.code is Code.NOERROR
    assert told.values is not None


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        (DOMAIN, "AAAA", Code.NOERROR),
        (DOMAIN, "HTTPS", Code.NOERROR),
        (f"deep.{DOMAIN}", "A", Code.NOERROR),  # nothing of its own, but below it there is something
        (f"nobody.{DOMAIN}", "A", Code.NXDOMAIN),
        (f"xx{DOMAIN}", "A", Code.REFUSED),  # another domain that ends alike
        ("example.com.", "A", Code.REFUSED),
        (".", "NS", Code.REFUSED),
    ],
)
def test_what_there_is_not_is_said_with_how_long_that_may_be_remembered(
    name: str, kind: str, code: Code
) -> None:
    told = answer(world(*pair(None, None), alias(f"very.deep.{DOMAIN}", ONE)), name, kind)
    assert told.code is code
    assert told.values is None
    expected = None if code is Code.REFUSED else Values(DOMAIN, "SOA", 900, (SOA,))
    assert told.authority == expected


def test_records_of_its_own_are_answered_as_they_are() -> None:
    told = answer(world(), DOMAIN, "SOA")
    assert told.values == Values(DOMAIN, "SOA", 900, (SOA,))
    name = {"Name": f"www.{DOMAIN}", "Type": "CNAME", "TTL": "300", "ResourceRecords": [DOMAIN]}
    told = answer(world(name), f"www.{DOMAIN}", "A")
    assert told.values == Values(f"www.{DOMAIN}", "CNAME", 300, (DOMAIN,))


def test_an_alias_of_the_zone_s_own_answers_as_what_it_names() -> None:
    told = answer(world(*pair(RED, None), alias(f"www.{DOMAIN}", DOMAIN)), f"www.{DOMAIN}", "A")
    assert told.values == Values(f"www.{DOMAIN}", "A", 60, ("127.0.2.1",))


def test_a_circle_of_aliases_and_one_to_nowhere_have_no_answer() -> None:
    around = world(alias(f"a.{DOMAIN}", f"b.{DOMAIN}"), alias(f"b.{DOMAIN}", f"a.{DOMAIN}"))
    assert answer(around, f"a.{DOMAIN}", "A").values is None
    assert answer(world(alias(DOMAIN, "gone.example.")), DOMAIN, "A").values is None


def test_what_is_not_modelled_is_no_answer_instead_of_a_wrong_one() -> None:
    weighted = alias(DOMAIN, ONE, Weight=1, SetIdentifier="one")
    assert answer(world(weighted), DOMAIN, "A") == Told(Code.SERVFAIL, "Z1")


def test_the_innermost_zone_answers() -> None:
    inner = Zone("Z2", f"eu.{DOMAIN}", (alias(f"eu.{DOMAIN}", TWO),))
    several = World(zones=(zone(alias(f"eu.{DOMAIN}", ONE)), inner), targets=ENDS, healthy=lambda _: True)
    assert answer(several, f"eu.{DOMAIN}", "A").zone == "Z2"


def test_the_regional_end_of_a_custom_domain_has_the_address_its_aliases_have() -> None:
    told = answer(world(), ONE, "A")
    assert told == Told(Code.NOERROR, values=Values(ONE, "A", 60, ("127.0.1.1",)))
    assert answer(world(), ONE, "AAAA") == Told(Code.NOERROR)
