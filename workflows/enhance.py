"""Stage enhance: batch inference over a collection of videos, on a pool of Ray Data actors."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from infra.errors import importing

if __name__ == "__main__":
    with importing():
        from workflows.shared.command import main
    sys.exit(main(["enhance"], __doc__ or ""))
