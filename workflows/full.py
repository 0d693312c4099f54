"""All stages in order: preprocess, recogniser, pretrain, tune, train, evaluate, enhance."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workflows.command import FOLDERS, main

if __name__ == "__main__":
    sys.exit(main(list(FOLDERS), __doc__ or ""))
