"""Stage pretrain: the warp predictor alone, unsupervised, before the full network (paper §3)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workflows.shared.command import main

if __name__ == "__main__":
    sys.exit(main(["pretrain"], __doc__ or ""))
