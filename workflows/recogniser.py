"""Stage recogniser: VGG-Face from the user's file, or a VGG-16 trained on the training people."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from infra.errors import importing

if __name__ == "__main__":
    with importing():
        from workflows.shared.command import main
    sys.exit(main(["recogniser"], __doc__ or ""))
