"""What a build costs: its CPU time against reading and writing the finished templates, and its memory."""

import os
import resource
import sys
from pathlib import Path
from statistics import median
from subprocess import run
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
RUNS = 11
GOAL = 4.0  # plain troposphere, with everything it imports and indented JSON, is at 5.1

_COPY = """
import json, sys
from pathlib import Path
for file in Path(sys.argv[1]).glob("*.json"):
    Path(sys.argv[2], file.name).write_text(json.dumps(json.loads(file.read_text())))
"""
_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def main() -> None:
    with TemporaryDirectory() as folder:
        built, copy = Path(folder, "built"), Path(folder, "copy")
        copy.mkdir()
        build = [sys.executable, str(ROOT / "build.py"), "--no-check", "--no-package", "--out", str(built)]
        load = [sys.executable, "-c", _COPY, str(built), str(copy)]
        _cpu_seconds(build)  # writes what is loaded, and the .pyc files
        _cpu_seconds(load)
        # In turn, so that whatever else the machine does slows down both.
        pairs = [(_cpu_seconds(build), _cpu_seconds(load)) for _ in range(RUNS)]
        peak = _peak_bytes(build)
    building, loading = (median(column) for column in zip(*pairs, strict=True))
    ratio = median(one / other for one, other in pairs)
    print(f"build.py --no-check --no-package: {building * 1000:.0f} ms of CPU, median of {RUNS} runs")
    print(f"loading the finished templates and writing them again: {loading * 1000:.0f} ms")
    print(f"ratio: {ratio:.1f} (aim: {GOAL:.1f})")
    print(f"peak memory of the build: {peak / 2**20:.0f} MiB")


def _cpu_seconds(command: list[str]) -> float:
    # As in a second build: without the .pyc files of the first, compiling is what would be measured.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(command, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _peak_bytes(command: list[str]) -> int:
    """Of that command alone: a process only knows the largest of all its children."""
    answer = run([sys.executable, "-c", _PEAK, *command], check=True, capture_output=True, text=True)
    unit = 1 if sys.platform == "darwin" else 1024
    return int(answer.stdout) * unit


if __name__ == "__main__":
    main()
