"""Training at the paper's width on the real faces of each parcel, by the clock; every network is
measured on people that none has seen, and the weights named come back.

The settings are workflows/configs/gpu.yaml. A plan names for each parcel what is trained and for
which share of the time: `pretrain:0.7,f1:1,f25warp:3`.
"""

import json
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflows.bare_gpu.commands import Here
from workflows.bare_gpu.driver import ROOT
from workflows.bare_gpu.parcels import weight_parts
from workflows.bare_gpu.step import Figures, Given, Save

CONFIG = ROOT / "workflows" / "configs" / "gpu.yaml"
WEIGHTS_LIMIT = 44 << 20  # bytes in all: three parts
RESERVE, LEAST = 0.15, 15.0  # share of the time for evaluating, and seconds at least
FIRST_OVERHEAD = 8.0  # seconds of a stage beside its training, until one has been seen
LEAST_TRAINING = 2.0  # seconds
TINY_CLIPS, TINY_STEPS = 40, "30"  # of each split; of each training, where time is left for them


@dataclass(frozen=True)
class Part:
    """A parcel's trainings, as (name, share)."""

    parcel: Path
    trainings: tuple[tuple[str, float], ...]

    @property
    def share(self) -> float:
        """In that of other parcels."""
        return sum(share for _, share in self.trainings)


def run(given: Given, save: Save) -> Figures:
    """Train and measure; what is done is saved after each training and each evaluation."""
    end = time.monotonic() + given.seconds - 5
    parts = plan(sorted(Path(given.parcels, "faces").glob("*.tar")), given.plan)
    found: Figures = {}
    weights: dict[str, Path] = {}
    here = Here()
    for number, part in enumerate(parts):
        left = end - time.monotonic()
        until = time.monotonic() + left * part.share / sum(p.share for p in parts[number:])
        found[part.parcel.stem] = {"trainings": {}}
        _part(part, given, until, found, save, here)
        for variant in given.weights.split(","):
            file = _run_of(part, given) / "train" / variant / "weights.safetensors"
            if file.exists():
                weights[f"{part.parcel.stem}-{variant}"] = file
        kept = weight_parts.cut(weights, Path(given.out), WEIGHTS_LIMIT)
        own = f"{part.parcel.stem}-"
        found[part.parcel.stem]["weights"] = [name for name in kept if name.startswith(own)]
        save(found)
    wrong = [name for name, mine in found.items() if "metrics" not in mine]
    wrong += [
        f"{name} {training}"
        for name, mine in found.items()
        for training, row in mine["trainings"].items()
        if row["status"]
    ]
    if wrong:
        raise SystemExit(f"not measured, or failed: {', '.join(wrong)}")
    return found


def plan(parcels: list[Path], text: str) -> list[Part]:
    """The plan's parts with the parcels in their order; raises ValueError where they do not fit."""
    if not parcels:
        raise ValueError(
            "no parcel of faces (parcels/faces/*.tar); docs/gpu.md says how to make one"
        )
    parts = []
    for parcel, words in zip(parcels, text.split(";"), strict=False):
        trainings = []
        for word in words.split(","):
            name, colon, share = word.strip().partition(":")
            try:
                trainings.append((name, float(share) if colon else 1.0))
            except ValueError as error:
                raise ValueError(f"--plan: expected name:share, got {word!r}") from error
        parts.append(Part(parcel, tuple(trainings)))
    return parts


def _part(part: Part, given: Given, until: float, found: Figures, save: Save, here: Here) -> None:
    from workflows.bare_gpu.parcels.face_parcels import unpack

    mine = found[part.parcel.stem]
    place = _run_of(part, given)
    shutil.rmtree(place, ignore_errors=True)
    begun = time.monotonic()
    run = unpack(part.parcel, place, given.device, TINY_CLIPS if given.tiny else None)
    record = run.record("clips").settings
    mine["parcel"] = {**record["parcel"], "unpacking_seconds": round(time.monotonic() - begun, 1)}
    words = ["--config", str(CONFIG), "--run", run.uri, *_geometry(record["clip"])]
    words += ["--train.fresh", "1"] if record["parcel"]["made_of_stills"] else []
    words += _tiny() if given.tiny else []
    if not given.cuda:
        words += ["--train.gpus-per-worker", "0", "--evaluate.gpus-per-worker", "0"]
    if not run.is_complete("recogniser"):  # every identity figure then rests on very little
        here.call("recogniser.py", *words, "--recogniser.minutes", "0.2")
    reserve = max(LEAST, RESERVE * (until - time.monotonic()))
    overhead = FIRST_OVERHEAD
    for number, (name, share) in enumerate(part.trainings):
        left = until - reserve - time.monotonic()
        box = left * share / sum(s for _, s in part.trainings[number:])
        minutes = max(LEAST_TRAINING, box - overhead) / 60
        mine["trainings"][name], overhead = _trained(here, name, minutes, words, place, overhead)
        save(found)
    variants = [
        name for name in mine["trainings"] if (place / "train" / name / "stage.json").exists()
    ]
    if variants:
        mine |= _evaluated(
            here, words, place, variants, Path(given.out) / f"{part.parcel.stem}.jpg"
        )
        save(found)


def _trained(
    here: Here, name: str, minutes: float, words: list[str], place: Path, overhead: float
) -> tuple[Figures, float]:
    """One training of so many minutes; its figures, and the seconds that went beside it."""
    if name == "pretrain":
        done = here.call("pretrain.py", *words, "--pretrain.minutes", f"{minutes:.4f}")
        folder = place / "pretrain"
    else:
        more = ["--train.variants", name, "--train.minutes", f"{minutes:.4f}"]
        done = here.call("train.py", *words, *more)
        folder = place / "train" / name
    found: Figures = {**done.figures(), "minutes": round(minutes, 3)}
    history = folder / "history.json"
    if done.status or not history.exists():
        return found, overhead
    rows = json.loads(history.read_text(encoding="utf-8"))
    # Without the first rows, which compile, choose algorithms and warm up.
    speeds = sorted(row["clips_per_second"] for row in rows[len(rows) // 3 :])
    found |= {
        "steps": rows[-1]["step"],
        "clips_per_second": round(speeds[len(speeds) // 2], 1),
        "loss": rows[-1]["loss"],
        "skipped_updates": rows[-1].get("skipped", 0),
        "loader_share": round(rows[-1].get("loader_share", 0.0), 4),
        "gpu_memory_gib": round(rows[-1].get("gpu_memory_gib", 0.0), 2),
        "validation": {
            row["step"]: round(value, 4)
            for row in rows
            for key, value in row.items()
            if key in ("validation_psnr", "validation_epe")
        },
    }
    return found, max(2.0, done.seconds - 60 * minutes)


def _evaluated(
    here: Here, words: list[str], place: Path, variants: Iterable[str], sheet: Path
) -> Figures:
    """Measure what was trained on the test people; the contact sheet comes back as a JPEG."""
    done = here.call("evaluate.py", *words, "--train.variants", ",".join(variants))
    if done.status:
        return {"evaluate": done.figures()}
    metrics = json.loads((place / "report" / "metrics.json").read_text(encoding="utf-8"))
    _sheet(place / "report" / "figures" / "contact_sheet.png", sheet)
    return {"evaluate": done.figures(), "metrics": metrics}


def _sheet(png: Path, jpeg: Path) -> None:
    import cv2

    picture = cv2.imread(str(png))
    if picture is not None:
        cv2.imwrite(str(jpeg), picture, [cv2.IMWRITE_JPEG_QUALITY, 92])


def _geometry(clip: dict[str, Any]) -> list[str]:
    """The settings of a run's clips as words, so that nothing else can be meant."""
    words = []
    for name, value in clip.items():
        words += [f"--clip.{name.replace('_', '-')}", "none" if value is None else str(value)]
    return words


def _tiny() -> list[str]:
    return [
        "--network.width", "0.125", "--pretrain.batch-size", "8", "--train.batch-size", "4",
        "--train.precision", "fp32", "--pretrain.precision", "fp32",
        "--train.steps", TINY_STEPS, "--pretrain.steps", TINY_STEPS,
        "--train.validation-clips", "4", "--evaluate.max-clips", "12", "--evaluate.samples", "2",
    ]  # fmt: skip


def _run_of(part: Part, given: Given) -> Path:
    return Path(given.work) / f"run-{part.parcel.stem}"


def table(figures: Figures) -> str:
    """What was trained, the table of methods, and the differences with their intervals."""
    lines: list[str] = []
    for name, mine in figures.items():
        lines += [f"### {name}", "", *_trainings(mine["trainings"])]
        if "metrics" in mine:
            lines += _metrics(mine["metrics"])
        elif "evaluate" in mine:
            lines.append(f"evaluate: {mine['evaluate']}")
        lines += ["", f"Weights that came back: {', '.join(mine.get('weights', [])) or 'none'}", ""]
    return "\n".join(lines)


def _trainings(found: dict[str, Figures]) -> list[str]:
    lines = ["| training | min | steps | clips/s | loss | loader | GiB | best validation |",
             "|---|---:|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for name, row in found.items():
        if "steps" not in row:
            lines.append(f"| {name} | {row['minutes']} | status {row['status']} | | | | | |")
            continue
        scores = row["validation"].values()
        best = (min if name == "pretrain" else max)(scores) if scores else float("nan")
        lines.append(
            f"| {name} | {row['minutes']:.2f} | {row['steps']} | {row['clips_per_second']:.0f} "
            f"| {row['loss']:.4g} | {row['loader_share']:.1%} | {row['gpu_memory_gib']} "
            f"| {best:.3f} |"
        )
    return lines


def _metrics(metrics: Figures) -> list[str]:
    lines = ["", "| method | PSNR [dB] | SSIM | clips |", "|---|---:|---:|---:|"]
    for name, row in metrics["variants"].items():
        psnr, ssim = ("–" if row[key] is None else f"{row[key]:.4g}" for key in ("psnr", "ssim"))
        lines.append(f"| {name} | {psnr} | {ssim} | {row['clips']} |")
    lines += ["", "| method | against | difference [dB] | 95 % over people | better in people |",
              "|---|---|---:|---:|---:|"]  # fmt: skip
    for row in metrics["differences"]:
        interval = row["interval"]
        span = "–" if interval is None else f"{interval[0]:+.3f} to {interval[1]:+.3f}"
        lines.append(
            f"| {row['method']} | {row['against']} | {row['psnr']:+.3f} | {span} "
            f"| {row['people_better']} of {row['people']} |"
        )
    return lines
