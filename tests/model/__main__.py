"""`python -m tests.model`: explores further than the tests do, and says what it met."""

# ruff: noqa: T201 - it talks to whoever started it

import argparse
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from tests.model.explorations import INTERESTING, Bounds, Explored, events, explorations
from tests.model.explore import Counterexample


def main() -> int:
    """1 when an invariant is broken, or when the explorations did not meet what they are for."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--depth", type=int, default=14, help="steps from the start (default: 14)")
    parser.add_argument("--states", type=int, default=1_000_000, help="of each exploration (default: 10^6)")
    parser.add_argument("--faults", type=int, default=2, help="on one way (default: 2)")
    bounds = Bounds(**vars(parser.parse_args()))
    explored: list[Explored] = []
    try:
        for one in explorations(bounds):
            print(one, flush=True)
            explored.append(one)
    except Counterexample as broken:
        print(broken)
        return 1
    met = events(explored)
    print(f"\n{sum(one.report.states for one in explored)} states; steps that met:")
    print(*(f"{count:>12} {event}" for event, count in sorted(met.items()) if event), sep="\n")
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB at most")
    missing = [event for event in INTERESTING if not met[event]]
    if missing:
        print(f"never met: {', '.join(missing)}; explore further", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
