"""What has to be so before a deployment, and what each answer means."""

import pytest

from failover.planner import Unknown
from ops import preflight
from ops.preflight import Answer, Check, Question


@pytest.mark.parametrize(
    ("check", "answer", "said"),
    [
        (preflight.regions_enabled(["a", "b"], {"a": "opted-in", "b": "opt-in-not-required"}), "yes", "a, b"),
        (
            preflight.regions_enabled(["a", "b"], {"a": "opted-in", "b": "not-opted-in"}),
            "no",
            "not enabled: b",
        ),
        (preflight.regions_enabled(["a"], {}), "no", "not enabled: a"),
        (preflight.room("addresses", "a", limit=5.0, used=2, needed=3), "yes", "2 of 5 used"),
        (preflight.room("addresses", "a", limit=5.0, used=3, needed=3), "no", "3 more needed"),
        (preflight.concurrency({"a": 1000, "b": 1000}), "yes", "1000 in a"),
        (preflight.concurrency({"a": 1000, "b": 10}), "no", "differ"),
        (preflight.concurrency({"a": 10, "b": 10}), "no", "fewer than 100"),
        (preflight.delegated("d.example", ["NS1.x.", "ns2.x"], ["ns2.x.", "ns1.x."]), "yes", "hosted zone"),
        (preflight.delegated("d.example", ["ns1.x"], []), "no", "nobody knows"),
        (preflight.delegated("d.example", ["ns1.x"], ["ns1.x", "old.y"]), "no", "elsewhere: old.y"),
        (preflight.may_issue("d.example", {"d.example": [], "example": []}), "yes", "nothing forbids"),
        (preflight.may_issue("d.example", {"d.example": ["amazon.com; x=y"]}), "yes", "lets Amazon"),
        (preflight.may_issue("d.e.f", {"d.e.f": [], "e.f": ["letsencrypt.org"]}), "no", "lets only"),
        (preflight.may_issue("d.e.f", {"d.e.f": ["amazon.com"], "e.f": ["other"]}), "yes", "d.e.f lets"),
        (preflight.names_free("a", "data", []), "yes", "free"),
        (preflight.names_free("a", "data", ["table t in a"]), "no", "already table t in a"),
        (preflight.engine_offered("a", "14.6", offered=True), "yes", "14.6"),
        (preflight.engine_offered("a", "14.6", offered=False), "no", "not offered"),
    ],
)
def test_what_an_answer_means(check: Check, answer: str, said: str) -> None:
    assert check.answer == answer
    assert said in check.text
    assert (check.todo == "") == (check.answer is Answer.YES)


def test_no_answer_is_neither_yes_nor_no() -> None:
    question = Question("lambda", None, lambda: preflight.yes("lambda", None, "x"), todo="ask again")
    check = preflight.judged(question, Unknown("ConnectTimeoutError"))
    assert (check.answer, check.what, check.todo) == (Answer.UNKNOWN, "ConnectTimeoutError", "ask again")
    assert not preflight.ready([preflight.yes("x", None, "y"), check])
    assert preflight.judged(question, question.ask()) == question.ask()


def test_all_of_it_is_shown_and_counted() -> None:
    checks = [preflight.yes("role", None, "is there"), preflight.no("names", "a", "taken", "delete them")]
    assert preflight.text(checks).splitlines()[-1] == "1 yes, 1 no"
    document = preflight.document(checks)
    assert document["ready"] is False
    assert document["checks"][1] == {
        "name": "names",
        "region": "a",
        "answer": "no",
        "what": "taken",
        "todo": "delete them",
    }
