"""Shows what a run trains on: its card as text, and a contact sheet of random clips."""

import argparse
import json
from functools import partial
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from datasets.protocols.split import SPLITS
from datasets.shards.reader import ShardReader
from datasets.shards.row_groups import Batch
from infra import outages, storage
from infra.errors import Parser, RunError, ending
from infra.text import printable
from workflows.preprocessing.dataset_card import CARD, unbalanced
from workflows.shared.figures import figure_png
from workflows.shared.pictures import bare_pixels
from workflows.shared.restoring import bicubic

COLUMNS = ("clip_id", "identity", "low", "high", "sharpness", "degradation")
WORST = 10  # reasons and sources printed
LOW_FRAMES = 5  # shown of each clip, evenly spaced, the central one in the middle
HEADS = ("first low frame", "", "centre", "", "last", "centre, bicubic", "high")
ROWS = 8  # of a sheet; with more clips it grows to the side
CELL, GAP, HEAD, CAPTION = 128, 4, 16, 34  # pixels
LINE = 150  # characters
UNTOLD = ("angle", "motion_angle", "left", "top")  # of a recipe, for want of room
Sample = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Print the card of a run and write its contact sheet; returns the exit status."""
    with ending("preprocess.py inspect") as end, outages.reporting():
        chosen = _parser().parse_args(arguments)
        run = storage.absolute(chosen.run)
        out = chosen.out or storage.join(run, "clips", "contact_sheet.png")
        print(describe(read_card(run)))
        clips = random_clips(run, chosen.clips, chosen.seed)
        storage.write_bytes(out, figure_png(contact_sheet(clips), 100))
        print(f"contact sheet of {len(clips)} clips: {out}")
    return end.status


def _parser() -> argparse.ArgumentParser:
    parser = Parser("preprocess.py inspect", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="run folder, local or s3://")
    parser.add_argument("--out", help="PNG to write; none = clips/contact_sheet.png of the run")
    parser.add_argument("--clips", type=_positive, default=12, help="clips shown (default: 12)")
    parser.add_argument("--seed", type=int, default=0, help="another draws others (default: 0)")
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def read_card(run: str) -> dict[str, Any]:
    """The card of a run; raises RunError where there is none."""
    uri = storage.join(run, "clips", CARD)
    try:
        card = storage.read_json(uri)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RunError(
            f"{uri}: no such file; give a run folder whose stage preprocess has ended"
        ) from error
    except json.JSONDecodeError as error:
        raise RunError(f"{uri}: not a card ({error}); preprocess again") from error
    if not isinstance(card, dict) or "inputs" not in card:
        raise RunError(f"{uri}: not the card of a data set; preprocess again")
    return card


def describe(card: dict[str, Any]) -> str:
    """The card as text, without its longest lists."""
    facts = {
        "source": card["source"],
        "made by": f"facestack {card['versions']['facestack']}, commit {card['commit'] or 'none'}, "
        f"schema {card['schema']}, seed {card['seed']}",
        "degradation": ", ".join(f"{k} {_short(v)}" for k, v in card["degradation"].items()),
        "face moves": _face_motion(card.get("face_motion", {})),
        "frames read": f"{card['frames']:,}",
        "size": f"{card['shards']} shards, {card['bytes'] / 2**20:,.1f} MiB",
    }
    lines = [f"{name:<12}{value}" for name, value in facts.items()]
    for split, row in card["splits"].items():
        lines.append(
            f"{split:<12}{row['clips']:,} clips of {row['identities']:,} people in "
            f"{row['shards']} shards"
        )
    for name in ("inputs", "tracks", "clips"):
        account = card[name]
        lost = {what: sum(account[what].values()) for what in ("rejected", "errors")}
        lines.append(
            f"{name:<12}{account['found']:,} found = {account['accepted']:,} accepted + "
            f"{lost['rejected']:,} rejected + {lost['errors']:,} errors"
        )
        lines += _reasons({**account["rejected"], **account["errors"]})
    lines.append("clips by source")
    lines += _reasons({name: row["clips"] for name, row in card["sources"].items()})
    wrong = unbalanced(card)
    lines.append(f"accounts    {'; '.join(wrong) if wrong else 'nothing lost, nothing doubled'}")
    return "\n".join(lines)


def _reasons(counts: dict[str, int]) -> list[str]:
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    lines = [f"{'':<12}{count:>8,}  {_cut(name)}" for name, count in ordered[:WORST]]
    rest = ordered[WORST:]
    if rest:
        lines.append(f"{'':<12}{sum(n for _, n in rest):>8,}  in {len(rest):,} others")
    return lines


def _face_motion(by_distance: dict[str, float]) -> str:
    if not by_distance:
        return "not told"
    found = ", ".join(f"{value:g} at {distance}" for distance, value in by_distance.items())
    return f"{found} frames from the centre [low px RMS an axis]"


def _short(value: Any) -> str:
    return "–".join(f"{v:g}" for v in value) if isinstance(value, list) else str(value)


def random_clips(run: str, count: int, seed: int) -> list[Sample]:
    """Draw up to `count` clips, from every split by turns, each from a shard drawn for it.

    Raises RunError where the run has no shard.
    """
    chance = np.random.default_rng(seed)
    uris = {s: storage.files(storage.join(run, "clips", s), ".parquet") for s in SPLITS}
    splits = [split for split in SPLITS if uris[split]]
    if not splits:
        raise RunError(f"{storage.join(run, 'clips')}: holds no shard (*.parquet)")
    wanted = {split: len(range(place, count, len(splits))) for place, split in enumerate(splits)}
    found: list[Sample] = []
    for split in splits:
        # As many from each shard as it was drawn: shards are shuffled, so neighbours are random.
        drawn, times = np.unique(chance.choice(uris[split], wanted[split]), return_counts=True)
        for uri, number in zip(drawn.tolist(), times.tolist(), strict=True):
            reader = ShardReader([uri], number, seed, COLUMNS, prefetch=0)
            batch = next(reader.batches())
            rows = min(number, reader.rows)  # a batch goes on into the next epoch
            found += [_sample(batch, row, split) for row in range(rows)]
    return found


def _sample(batch: Batch, row: int, split: str) -> Sample:
    return {"split": split, **{name: batch[name][row] for name in COLUMNS}}


def contact_sheet(clips: list[Sample]) -> Figure:
    """Draw a row for each clip: low frames in temporal order, the centre enlarged, the high one."""
    columns = -(-len(clips) // ROWS)
    rows = -(-len(clips) // columns)
    shape = (HEAD + rows * (CELL + CAPTION), columns * len(HEADS) * (CELL + GAP) + GAP)
    # One picture with text over it: an axes for each frame takes Matplotlib many seconds.
    sheet = np.full((*shape, 3), 255, np.uint8)
    figure = Figure(figsize=(shape[1] / 100, shape[0] / 100), dpi=100)
    # parse_math off: a name may hold a dollar sign.
    write = partial(figure.text, fontsize=6.5, va="baseline", parse_math=False)
    for place, clip in enumerate(clips):
        top = HEAD + place % rows * (CELL + CAPTION)
        left = GAP + place // rows * len(HEADS) * (CELL + GAP)
        for step, (head, image) in enumerate(zip(HEADS, _cells(clip), strict=True)):
            x = left + step * (CELL + GAP)
            sheet[top : top + CELL, x : x + CELL] = image
            if top == HEAD:
                write(x / shape[1], 1 - (HEAD - 5) / shape[0], head)
        for line, text in enumerate(_captions(clip)):
            write(left / shape[1], 1 - (top + CELL + 12 + 13 * line) / shape[0], text)
    axes = figure.add_axes((0, 0, 1, 1), zorder=-1)
    axes.set_axis_off()
    axes.imshow(sheet, interpolation="none", aspect="auto")
    return figure


def _cells(clip: Sample) -> list[NDArray[np.uint8]]:
    low, high = clip["low"], clip["high"]
    shown = np.linspace(0, len(low) - 1, LOW_FRAMES).round().astype(int)
    cells = [bare_pixels(low[i], CELL) for i in shown]
    large = bicubic(low[len(low) // 2], high.shape[0])
    return cells + [
        cv2.resize(i, (CELL, CELL), interpolation=cv2.INTER_AREA) for i in (large, high)
    ]


def _captions(clip: Sample) -> tuple[str, str]:
    about = f"{clip['split']} · {clip['identity']} · {clip['clip_id']}"
    recipe = json.loads(clip["degradation"])
    drawn = ", ".join(f"{k} {v}" for k, v in recipe.items() if v and k not in UNTOLD)
    return _cut(about), _cut(f"sharpness {clip['sharpness']:.1f} · {drawn}")


def _cut(text: str) -> str:
    """The text in one line of LINE characters; names of files may hold any character."""
    plain = printable(text)
    return plain if len(plain) <= LINE else f"{plain[: LINE - 1]}…"
