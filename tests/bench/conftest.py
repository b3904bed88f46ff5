"""`bench/` stands beside `src/` and is not installed: the tests reach it from the root of the checkout."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
