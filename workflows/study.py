"""The user study of the paper (§5.6); --help says how."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from infra.errors import importing

if __name__ == "__main__":
    with importing():
        from workflows.user_study.command import main
    sys.exit(main())
