"""`python -m lab.embedded --plan lab.json`: the embedded AWS in the foreground, on loopback, until it is
terminated.
"""

import argparse
import os
import sys
from pathlib import Path

from lab.addresses import can_bind
from lab.embedded.server import enter, serve, settings
from lab.plan import read_plan


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.embedded", description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="the lab.json that `python -m lab up` wrote")
    plan = read_plan(parser.parse_args(arguments).plan)
    address, port = plan.gateway_address, plan.gateway_port
    if not can_bind((address, port)):
        print(  # noqa: T201 - a command line talks to its user
            f"lab.embedded: {address}:{port} is taken; stop what holds it or choose another port in the plan",
            file=sys.stderr,
        )
        return 1
    enter(settings(plan, os.environ))
    serve(address, port)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
