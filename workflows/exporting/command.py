"""A trained network in forms that other programs can use.

    python workflows/export.py --weights RUN --out FOLDER [--variant f25warp]
    python workflows/export.py --weights s3://bucket/run/train/f5warp/weights.safetensors --out …

FOLDER, local or in object storage, then holds weights.safetensors (the file itself, its header says
what it is), network.pt2 (a program of torch.export), network.onnx (batches of any size), model.json
(input, output, window, crop, hashes) and a README.md that says the same in words. Both programs are
compared with the network first. model.json is written last: with it there, all is there.
"""

import argparse
import tempfile
from pathlib import Path

from infra import outages, storage
from infra.errors import Parser, SettingsError, ending
from infra.progress import say
from model.network import Network
from workflows.exporting import card, programs
from workflows.exporting.trained import Trained, find, load
from workflows.shared.artifacts import WEIGHTS

STAGE = "export"  # in what is said


def main(arguments: list[str]) -> int:
    """Export what the command line names; returns the exit status of DESIGN §6."""
    with ending("export.py") as end, outages.reporting():
        chosen = _parser().parse_args(arguments)
        export(find(chosen.weights, chosen.variant), chosen.out)
    return end.status


def export(trained: Trained, out: str) -> None:
    """Write the folder `out`, which keeps what it has where the network cannot be exported.

    Raises SettingsError for a folder that holds weights of its own, InputError for weights of no
    network or for a program that does not do what the network does.
    """
    import onnxscript  # noqa: F401  # torch, whose exporter needs it, would say so on a page

    out = storage.absolute(out)
    index = storage.join(out, card.CARD)
    if _are_others(storage.join(out, WEIGHTS), index, trained):
        raise SettingsError(f"--out {out}: holds the weights of a training; give another folder")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / WEIGHTS).write_bytes(trained.content)
        network = load(folder / WEIGHTS, trained.uri)
        say(STAGE, f"{network.variant}, {trained.uri}")
        apart = make(network, folder)
        told = card.card(trained, network, apart, {p.name: p.read_bytes() for p in _files(folder)})
        (folder / card.README).write_text(card.readme(told), encoding="utf-8")
        storage.remove(index)
        storage.upload(folder, out)
        storage.write_json(index, told)
    for name, file in told["files"].items():
        say(STAGE, f"{storage.join(out, name)}: {file['bytes'] / 1e6:.1f} MB")


def make(network: Network, folder: Path) -> dict[str, float]:
    """Write both programs of a network to a folder; returns how far each is from it at most."""
    program = programs.exported(network)
    apart = {}
    for name, write, run in (
        (programs.TORCH, programs.write_torch, programs.run_torch),
        (programs.ONNX, programs.write_onnx, programs.run_onnx),
    ):
        write(program, folder / name)
        apart[name] = programs.compare(network, run(folder / name), name)
        say(STAGE, f"{name}: at most {apart[name]:.1e} from the network")
    return apart


def _are_others(weights: str, index: str, trained: Trained) -> bool:
    """Whether the file of weights, if it is there, is no export: that of a training, or others than
    those `trained`, which an export may have written that was cut off before the `index`."""
    if not storage.exists(weights):
        return False
    if storage.exists(storage.join(weights.rpartition("/")[0], "stage.json")):
        return True
    return not storage.exists(index) and storage.read_bytes(weights) != trained.content


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "export.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--weights", required=True, metavar="FILE|RUN",
        help="a .safetensors file of a variant, or a run folder; local or s3://",
    )  # fmt: skip
    parser.add_argument(
        "--variant",
        help="of a run, the variant; none = that of enhance.variant, or else the widest trained",
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="local or s3://")
    return parser
