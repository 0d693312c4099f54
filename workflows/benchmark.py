"""All benchmarks: a table on the screen and, with --json FILE, the same figures as JSON."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workflows.benchmarks.command import main

if __name__ == "__main__":
    sys.exit(main())
