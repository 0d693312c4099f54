"""The command that makes parcels: sizes are printed, and what is over its limit is refused."""

from pathlib import Path

from infra.errors import InputError, Parser, SettingsError, ending
from infra.runs import Run
from workflows.bare_gpu.driver import ROOT
from workflows.bare_gpu.parcels import packages
from workflows.bare_gpu.parcels.face_parcels import pack

MIB = 1 << 20
LIMITS = {"code": 8, "ray": 48, "faces": 45}  # MiB of one parcel
# Of bursts only as many as the way leaves room for beside the first parcel; training ones are the
# sharp photograph alone.
MOST = ({"validation": 128}, {"train": 900, "validation": 64, "test": 150})


def main(words: list[str], about: str) -> int:
    """Make what is asked for; returns the exit status."""
    parser = Parser(prog="gpu.py pack", description=about)
    parser.add_argument("what", nargs="*", choices=[[], "code", "ray", "faces"], default=[],
                        help="code, ray, faces; none = all, faces if --run is given")  # fmt: skip
    parser.add_argument("--out", type=Path, default=ROOT / "parcels", metavar="DIR")
    parser.add_argument("--python", default="3.12", help="of that machine (3.12)")
    parser.add_argument("--run", nargs="+", default=[], metavar="RUN",
                        help="runs whose clips travel: videos, then bursts of stills")  # fmt: skip
    parser.add_argument(
        "--limit", type=float, metavar="MIB", help="of one parcel, other than usual"
    )
    with ending("gpu.py pack") as end:
        chosen = parser.parse_args(words)
        wanted = chosen.what or ["code", "ray", *["faces"] * bool(chosen.run)]
        if "faces" in wanted and not chosen.run:
            raise SettingsError("faces: give --run, a run whose clips are to travel")
        for name in wanted:
            limit = chosen.limit or LIMITS[name]
            if name != "faces":
                _allow(packages.pack(name, chosen.out, chosen.python), limit)
                continue
            first = Run(chosen.run[0])
            for number, uri in enumerate(chosen.run):
                most = MOST[min(number, len(MOST) - 1)]
                file = chosen.out / "faces" / f"{number + 1}-{Path(uri).name}.tar"
                about_it = pack(Run(uri), file, most, judge=first)
                print(
                    ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in about_it.items())
                )
                _allow(file, limit)
    return end.status


def _allow(file: Path, limit: float) -> None:
    """Say how large a parcel is; one that is too large is removed and refused."""
    size = file.stat().st_size / MIB
    print(f"{file}: {size:.1f} MiB of {limit:g}", flush=True)
    if size > limit:
        file.unlink()
        raise InputError(f"{file}: {size:.1f} MiB, more than {limit:g}; raise --limit or pack less")
