"""Stage evaluate: metrics of every method on test people, and the report that shows them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from infra.errors import importing

if __name__ == "__main__":
    with importing():
        from workflows.shared.command import main
    sys.exit(main(["evaluate"], __doc__ or ""))
