"""All answers of a GPU machine in one command, in the minutes that there are; `gpu.py pack` packs
what such a machine lacks: packages, Ray, and faces. docs/gpu.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# The standard library alone: what else is needed may still be packed.
from infra.errors import importing
from workflows.bare_gpu.driver import main

if __name__ == "__main__":
    if sys.argv[1:2] == ["pack"]:
        with importing():
            from workflows.bare_gpu.parcels import packing
        sys.exit(packing.main(sys.argv[2:], packing.__doc__ or ""))
    sys.exit(main(sys.argv[1:], __doc__ or ""))
