import pytest

from failover.errors import Unavailable
from failover.writer import Member, is_writer

HERE = Member("us-east-1", "ledger-primary", writer=True)
THERE = Member("us-east-2", "ledger-secondary", writer=False)


def test_the_writer_is_told_by_region_and_name() -> None:
    assert is_writer([HERE, THERE], "us-east-1", "ledger-primary")
    assert not is_writer([HERE, THERE], "us-east-2", "ledger-secondary")


def test_clusters_of_the_same_name_are_told_apart() -> None:
    members = [Member("us-east-1", "ledger", writer=True), Member("us-east-2", "ledger", writer=False)]
    assert not is_writer(members, "us-east-2", "ledger")


@pytest.mark.parametrize(
    "members",
    [
        [],
        [THERE],
        [Member("us-east-2", "ledger-primary", writer=True)],
        [Member("us-east-1", "ledger-primary-2", writer=True)],
    ],
)
def test_who_is_not_a_member_is_unknown(members: list[Member]) -> None:
    with pytest.raises(Unavailable, match="ledger-primary in us-east-1 is not a member"):
        is_writer(members, "us-east-1", "ledger-primary")


@pytest.mark.parametrize(("here", "there"), [(False, False), (True, True)])
def test_without_exactly_one_writer_nobody_knows(here: bool, there: bool) -> None:
    members = [Member("us-east-1", "ledger", writer=here), Member("us-east-2", "ledger", writer=there)]
    with pytest.raises(Unavailable, match="of 2 members are the writer"):
        is_writer(members, "us-east-1", "ledger")
