"""All benchmarks: a table on the screen and, with --json FILE, the same figures as JSON."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from infra.errors import importing

if __name__ == "__main__":
    with importing():
        from workflows.benchmarks.command import main
    sys.exit(main())
