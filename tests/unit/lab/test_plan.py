"""A plan survives its file, and gives every part an address of its own on loopback."""

import socket
from ipaddress import ip_address
from pathlib import Path

import pytest

from lab.addresses import PER_REGION, PortTakenError, can_bind, require_free
from lab.plan import LabPlan, plan_from_json, plan_lab, read_plan

REGIONS = {"primary": "us-east-1", "secondary": "us-east-2", "witness": "us-west-2"}


def make_plan(directory: Path, base_port: int | None = None) -> LabPlan:
    return plan_lab(directory=directory, regions=REGIONS, domain="payments.test", base_port=base_port)


def test_a_plan_reads_back_as_it_was_written(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    plan.write()
    assert read_plan(plan.file) == plan


def test_every_endpoint_is_on_loopback_and_used_once(tmp_path: Path) -> None:
    endpoints = make_plan(tmp_path).endpoints()
    assert all(ip_address(address).is_loopback for address, _ in endpoints)
    assert len(set(endpoints)) == len(endpoints) == 2 + 9 + 9 + 1


def test_a_fixed_base_port_is_kept(tmp_path: Path) -> None:
    assert make_plan(tmp_path, base_port=21_000).gateway_port == 21_000


def test_a_taken_port_is_reported_with_the_process_that_holds_it() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with pytest.raises(PortTakenError, match=r"in use by .*\(pid \d+\)"):
            require_free([server.getsockname()])


def test_the_readers_of_a_region_have_an_address_of_their_own_and_the_writer_s_port(tmp_path: Path) -> None:
    plan = plan_lab(
        directory=tmp_path, regions=REGIONS, domain="payments.test", base_port=21_000, addresses=PER_REGION
    )
    assert [region.reader_address for region in plan.data_regions] == ["127.0.1.2", "127.0.2.2"]
    for region in plan.data_regions:
        assert (region.reader_address, region.postgres_port) in region.endpoints()
        assert (region.address, region.postgres_port) in region.endpoints()


@pytest.mark.skipif(not can_bind(("::1", 0)), reason="this host has no IPv6")
def test_a_taken_port_of_ipv6_s_loopback_is_not_free() -> None:
    with socket.socket(socket.AF_INET6) as server:
        server.bind(("::1", 0))
        server.listen()
        address, port, *_ = server.getsockname()
        with pytest.raises(PortTakenError, match=r"::1:\d+ is in use by .*\(pid \d+\)"):
            require_free([(address, port)])


@pytest.mark.parametrize("text", ["{}", '{"regions": {}}', '{"regions": []}', "[]"])
def test_a_file_that_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a lab plan"):
        plan_from_json(text)


def test_the_witness_takes_no_payments(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    assert [region.name for region in plan.data_regions] == ["us-east-1", "us-east-2"]
    assert plan.region_at("witness").name == "us-west-2"


def test_where_there_is_one_loopback_address_regions_differ_by_port(tmp_path: Path) -> None:
    plan = plan_lab(
        directory=tmp_path,
        regions=REGIONS,
        domain="payments.test",
        base_port=21_000,
        addresses=("127.0.0.1",) * 3,
    )
    assert {region.address for region in plan.regions.values()} == {"127.0.0.1"}
    assert {region.reader_address for region in plan.regions.values()} == {"::1"}
    assert len(set(plan.endpoints())) == len(plan.endpoints())
    assert len({region.closed_url for region in plan.regions.values()}) == 3
    assert {plan.dns, *plan.endpoints()}.isdisjoint(
        (region.address, int(region.closed_url.rpartition(":")[2])) for region in plan.regions.values()
    )
    assert [plan.doors[address][1] for address in ("127.0.1.1", "127.0.2.1")] == [
        region.front_door_port for region in plan.data_regions
    ]


def test_a_port_taken_for_datagrams_is_reported_with_the_process_that_holds_it() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        with pytest.raises(PortTakenError, match=r"in use by .*\(pid \d+\)"):
            require_free([server.getsockname()], by="udp")
