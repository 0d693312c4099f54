"""Stage pretrain: the warp predictor alone, unsupervised, before the full network (paper §3)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from infra.errors import importing

if __name__ == "__main__":
    with importing():
        from workflows.shared.command import main
    sys.exit(main(["pretrain"], __doc__ or ""))
