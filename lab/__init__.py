"""python -m lab: two regions on one machine."""

import sys
from pathlib import Path

# What runs in Lambda imports from `src` as its root, and so does everybody who uses it.
_SOURCE = str(Path(__file__).resolve().parents[1] / "src")
if _SOURCE not in sys.path:
    sys.path.insert(0, _SOURCE)
