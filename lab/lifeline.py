"""`python -m lab.lifeline COMMAND...`: run a command, end it when its parent is gone (not on Linux)."""

import os
import subprocess
import sys

_LOOK_EVERY = 0.5  # seconds


def main(command: list[str]) -> int:
    parent = os.getppid()
    child = subprocess.Popen(command)
    while os.getppid() == parent:
        try:
            return child.wait(_LOOK_EVERY)
        except subprocess.TimeoutExpired:
            continue
    child.terminate()
    return child.wait()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
