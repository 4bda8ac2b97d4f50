"""Planner tests read their trees from the simulated triple of tests/property."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "property"))
