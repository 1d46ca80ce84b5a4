"""`pytest tests/model --states N --depth N --faults N` explores further than the fast tests do."""

import pytest

from tests.model.explorations import Bounds


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--states", type=int, help="distinct states of one exploration, at most")
    parser.addoption("--depth", type=int, help="steps from the start, at most")
    parser.addoption("--faults", type=int, help="faults on one way, at most")


@pytest.fixture(scope="session")
def bounds(request: pytest.FixtureRequest) -> Bounds:
    # The options are known only when pytest was pointed at this directory.
    asked = {name: request.config.getoption(f"--{name}", default=None) for name in Bounds._fields}
    return Bounds(**{name: value for name, value in asked.items() if value is not None})
