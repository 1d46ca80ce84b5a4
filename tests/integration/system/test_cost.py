"""`python -m ops cost` of the build that is deployed."""

from tests.integration.system.deployment import System


def test_the_deployed_build_is_estimated(system: System) -> None:
    found = system.operate("cost", "--payments-per-second", "20", "--gb", "50")
    assert set(found["regions"]) == {*system.plan.regions, "everywhere"}
    assert 0 < found["standby"] < found["total"]
    capacity = next(one for one in found["lines"] if "units" in one["why"])
    assert "2 instances at 0.5 units" in capacity["why"]
