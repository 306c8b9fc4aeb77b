"""The physics report: closed forms, Mie theory and an outside code against the engine, on one page.

The oracles are those of the tests, in tests/physics/.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
