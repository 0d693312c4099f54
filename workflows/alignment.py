"""How well the pretrained warp predictor of a run aligns its test clips: `--run RUN`, no Ray."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from infra.errors import importing

if __name__ == "__main__":
    with importing():
        from workflows.evaluation.alignment import main
    sys.exit(main())
