"""A trained network in forms that other programs can use: `--weights FILE|RUN --out FOLDER`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from infra.errors import importing

if __name__ == "__main__":
    with importing():
        from workflows.exporting.command import main
    sys.exit(main(sys.argv[1:]))
