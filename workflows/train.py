"""Stage train: the restoration variants with the loss of eq. (6)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workflows.shared.command import main

if __name__ == "__main__":
    sys.exit(main(["train"], __doc__ or ""))
