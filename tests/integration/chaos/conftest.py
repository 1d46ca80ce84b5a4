"""One deployed system of their own: these tests break what others look at.

`pytest tests/integration/chaos --chaos-schedules 200 --chaos-seed 1000` tries other schedules than the usual.
"""

from collections.abc import Iterator

import pytest

from tests.integration.chaos.traffic import Shop
from tests.integration.system.deployment import copy_repository, deployed

_SCHEDULES, _SEED = 20, 1


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos-schedules", type=int, default=_SCHEDULES, help="how many to try")
    parser.addoption(
        "--chaos-seed", type=int, default=_SEED, help="the seed of the first; the next has the next"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        # The options are known only when pytest was pointed at this directory.
        first = int(metafunc.config.getoption("--chaos-seed", default=_SEED))
        many = int(metafunc.config.getoption("--chaos-schedules", default=_SCHEDULES))
        metafunc.parametrize("seed", range(first, first + many))


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Everybody who pays, and what there is to know about what they did."""
    workspace = tmp_path_factory.mktemp("clone")
    copy_repository(workspace)
    with deployed(workspace, tmp_path_factory.mktemp("lab")) as system:
        yield Shop(system)
