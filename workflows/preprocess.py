"""Stage preprocess: videos to shards of degraded clips, on Ray Data. `preprocess.py inspect RUN`
shows what it made."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from infra.errors import importing

if __name__ == "__main__":
    if sys.argv[1:2] == ["inspect"]:
        with importing():
            from workflows.preprocessing import inspect_run  # Matplotlib, which nothing else needs
        sys.exit(inspect_run.main(sys.argv[2:]))
    with importing():
        from workflows.shared.command import main
    sys.exit(main(["preprocess"], __doc__ or ""))
