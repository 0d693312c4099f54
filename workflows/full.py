"""All stages in order: preprocess, recogniser, pretrain, tune, train, evaluate, enhance; `--list`
shows what each needs and makes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from infra.errors import importing
from workflows.stages import STAGES, listing

if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        print(listing())
        sys.exit()
    with importing():
        from workflows.shared.command import main
    sys.exit(main(list(STAGES), __doc__ or ""))
