import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.currencies import CURRENCIES
from payments.model import MAX_AMOUNT, Money, PaymentRequest, entries


@given(st.integers(1, MAX_AMOUNT), st.sampled_from(sorted(CURRENCIES)))
def test_the_entries_of_a_payment_balance(amount: int, currency: str) -> None:
    debit, credit = entries(PaymentRequest("shop", Money(amount, currency), "alice", "bob", "x"))
    assert debit.money + credit.money == Money(0, currency)
    assert (debit.account, credit.account) == ("alice", "bob")
    assert debit.money.amount < 0 < credit.money.amount


@pytest.mark.parametrize("amount", [1.0, "1", True])
def test_money_is_an_integer(amount: object) -> None:
    with pytest.raises(TypeError):
        Money(amount, "USD")  # type: ignore[arg-type] # what is tested


def test_currencies_do_not_mix() -> None:
    with pytest.raises(ValueError, match="do not add up"):
        Money(1, "USD") + Money(1, "EUR")


def test_currencies_are_iso_codes() -> None:
    assert all(len(code) == 3 and code.isalpha() and code.isupper() for code in CURRENCIES)
    assert {"USD", "EUR", "JPY"} <= CURRENCIES
    assert not {"XXX", "XTS", "XAU", "HRK", "BGN", "ANG"} & CURRENCIES
