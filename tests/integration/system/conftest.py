"""The whole system, deployed once into a lab of its own, from a copy of the repository."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.system.deployment import Client, System, copy_repository, deployed


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone as a user has it: what git would take, and nothing else."""
    target = tmp_path_factory.mktemp("clone")
    copy_repository(target)
    return target


@pytest.fixture(scope="session")
def system(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Built, with both regions up, and deployed by the two commands of the README."""
    with deployed(workspace, tmp_path_factory.mktemp("lab")) as system:
        yield system


@pytest.fixture
def client(system: System) -> Iterator[Client]:
    """A merchant's session with the active region."""
    with Client(system, system.primary) as client:
        client.sign_in()
        yield client
