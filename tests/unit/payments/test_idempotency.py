import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.errors import IdempotencyKeyMissing, Malformed
from payments.idempotency import idempotency_key, is_payment_id, payment_id
from payments.journal import shard

keys = st.from_regex(r"[!-~]{1,255}", fullmatch=True)
merchants = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,63}", fullmatch=True)


@given(merchants, keys, merchants, keys)
def test_an_id_belongs_to_one_merchant_and_one_key(m1: str, k1: str, m2: str, k2: str) -> None:
    one, other = payment_id(m1, k1), payment_id(m2, k2)
    assert is_payment_id(one)
    assert (one == other) == ((m1, k1) == (m2, k2))


def test_an_id_never_changes_between_releases() -> None:
    assert payment_id("shop", "order-1") == "pay_ykqiidi6eacdok2ilqw2x7ukdddsw2ov"


@given(keys)
def test_a_key_is_taken_as_it_is(key: str) -> None:
    assert idempotency_key(key) == key


@pytest.mark.parametrize("key", ["two words", "caf\u00e9", "x" * 256, "tab\t", "nul\x00"])
def test_an_unusable_key_is_malformed(key: str) -> None:
    with pytest.raises(Malformed):
        idempotency_key(key)


@pytest.mark.parametrize("key", [None, ""])
def test_a_missing_key_has_an_error_of_its_own(key: str | None) -> None:
    with pytest.raises(IdempotencyKeyMissing):
        idempotency_key(key)


def test_the_work_list_is_spread_over_all_shards() -> None:
    shards = {shard(payment_id("shop", str(number))) for number in range(400)}
    assert shards == {f"{number:02x}" for number in range(16)}
