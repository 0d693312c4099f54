"""Packs what a GPU machine without a network lacks: packages, Ray, and faces; docs/gpu.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workflows.bare_gpu.packing import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], __doc__ or ""))
