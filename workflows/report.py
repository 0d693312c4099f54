"""The report of a run: tables, figures and one self-contained page that opens from disk."""

import base64
import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import jinja2
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from infra import storage
from infra.runs import Run, Stage, versions
from infra.settings import Settings
from workflows import selection
from workflows.scoring import enlarged

TEMPLATE = Path(__file__).with_name("report.html.j2")
COLUMNS = {
    "psnr": "PSNR, luma [dB]",
    "verification": "verification [%]",
    "l2_pool3": "distance pool3",
    "l2_pool4": "distance pool4",
    "l2_fc7": "distance fc7",
    "clips": "clips",
}
TILE = 128  # pixels of a face on the contact sheet


@dataclass(frozen=True)
class Sample:
    """A test clip for the contact sheet: the central low frame h×w×3, each variant's restoration
    and the truth S×S×3, all uint8 RGB."""

    clip_id: str
    low: NDArray[np.uint8]
    restored: dict[str, NDArray[np.uint8]]
    high: NDArray[np.uint8]


def write_report(
    settings: Settings, run: Run, stage: Stage, metrics: dict[str, Any], samples: list[Sample]
) -> None:
    """Write `tables/`, `figures/` and `index.html` of the report folder."""
    table = table_rows(metrics["variants"])
    storage.write_bytes(stage.path("tables", "results.md"), markdown(table).encode())
    storage.write_bytes(stage.path("tables", "results.csv"), comma_separated(table).encode())
    figures = {"contact_sheet": png(contact_sheet(samples))}
    curves = _curves(run, settings.train.variants)
    if curves is not None:
        figures["training"] = _rendered(curves)
    trials = storage.read_json(run.path("tune", "trials.json"))
    figures |= {Path(uri).stem: storage.read_bytes(uri)
                for uri in storage.files(run.path("tune", "figures"), ".png")}  # fmt: skip
    for name, content in figures.items():
        storage.write_bytes(stage.path("figures", f"{name}.png"), content)
    page = _page(settings, run, metrics, table, figures, trials, samples)
    storage.write_bytes(stage.path("index.html"), page.encode())


def table_rows(variants: dict[str, dict[str, Any]]) -> list[list[str]]:
    """The table of results as text, header first; what was not measured is a dash."""
    lines = [["variant", *COLUMNS.values()]]
    for name, row in variants.items():
        cells = [name.replace("_", " ")]
        for key in COLUMNS:
            value = row[key]
            digits = 2 if key in ("psnr", "verification") else 3
            cells.append(
                "–" if value is None else str(value) if key == "clips" else f"{value:.{digits}f}"
            )
            if key == "verification" and row["verification_interval"]:
                cells[-1] += " ({:.1f}–{:.1f})".format(*row["verification_interval"])
        lines.append(cells)
    return lines


def markdown(table: list[list[str]]) -> str:
    """The table in Markdown."""
    lines = [table[0], ["---"] * len(table[0]), *table[1:]]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def comma_separated(table: list[list[str]]) -> str:
    """The table as CSV."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(table)
    return stream.getvalue()


def contact_sheet(samples: list[Sample]) -> NDArray[np.uint8]:
    """One row a clip: low pixels, every variant, truth; RGB with the names on top."""
    names = ["low", *samples[0].restored, "ground truth"]
    header = np.full((22, TILE * len(names), 3), 255, np.uint8)
    for column, name in enumerate(names):
        width = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)[0][0]
        where = (column * TILE + (TILE - width) // 2, 15)
        cv2.putText(header, name, where, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    rows = [header]
    for sample in samples:
        tiles = [enlarged(sample.low, TILE)[0]]
        for image in (*sample.restored.values(), sample.high):
            # Whole pixels, so that the sheet adds no smoothing of its own.
            tiles.append(cv2.resize(image, (TILE, TILE), interpolation=cv2.INTER_NEAREST))
        rows.append(np.concatenate(tiles, axis=1))
    return np.concatenate(rows)


def png(image: NDArray[np.uint8]) -> bytes:
    """An RGB picture as the bytes of a PNG file."""
    return bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1])


def _curves(run: Run, variants: list[str]) -> Figure | None:
    """Validation PSNR against training steps, a line a variant."""
    lines = {}
    for variant in variants:
        history = storage.read_json(run.path("train", variant, "history.json"))
        points = [(row["step"], row["validation_psnr"]) for row in history
                  if "validation_psnr" in row]  # fmt: skip
        if points:
            lines[variant] = points
    if not lines:
        return None
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for variant, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=variant)
    axes.set(xlabel="optimiser steps", ylabel="PSNR on validation people [dB]")
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


def _rendered(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    plt.close(figure)
    return stream.getvalue()


def _page(
    settings: Settings,
    run: Run,
    metrics: dict[str, Any],
    table: list[list[str]],
    figures: dict[str, bytes],
    trials: list[dict[str, Any]],
    samples: list[Sample],
) -> str:
    """The page with every picture inside it, so that it needs neither network nor server."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        run=run.uri,
        table=table,
        metrics=metrics,
        figures={name: base64.b64encode(content).decode() for name, content in figures.items()},
        trials=selection.table(trials),
        best=storage.read_json(run.path("tune", "best.json")),
        samples=[sample.clip_id for sample in samples],
        settings=settings,
        clips=run.record("clips").counts,
        recogniser=run.record("recogniser").counts,
        pretrain=run.record("pretrain").counts,
        perceptual=run.record("train").settings["train"]["perceptual"],
        steps={variant: run.record(f"train/{variant}").counts.get("step")
               for variant in settings.train.variants},
        seconds={variant: run.record(f"train/{variant}").seconds
                 for variant in settings.train.variants},
        versions=versions(),
    )  # fmt: skip
