"""Every invariant holds in every state, and every state leads to the end once faults stop."""

from tests.model.explorations import INTERESTING, Bounds, events, explorations


def test_no_interleaving_and_no_fault_breaks_an_invariant(bounds: Bounds) -> None:
    explored = list(explorations(bounds))
    print(*explored, sep="\n")  # noqa: T201 - how far it came, for `pytest -s`
    met = events(explored)
    assert bounds.short or {event: met[event] for event in INTERESTING if not met[event]} == {}
