"""`pytest tests/golden --update-golden` writes the golden templates anew; review the difference it makes."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden templates anew")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    # The option is known only when pytest was pointed at this directory.
    return bool(request.config.getoption("--update-golden", default=False))
