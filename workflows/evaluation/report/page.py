"""The report of a run: tables, figures and one self-contained page that opens from disk."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

from infra import storage
from infra.provenance import versions
from infra.runs import Run, Stage, StageRecord
from infra.settings.settings import Settings
from model.network import Network
from workflows.evaluation import paired_differences
from workflows.evaluation.aggregate import Curve
from workflows.evaluation.measure import MEASURES, Measured
from workflows.evaluation.methods import all_networks, row_names
from workflows.evaluation.report.contact_sheet import contact_sheet
from workflows.evaluation.report.plots import psnr_against_frames, roc
from workflows.evaluation.report.samples import (
    Sample,
    drawn_clips,
    extreme_clips,
    make_samples,
    stored_clips,
)
from workflows.evaluation.report.warp_overlay import warp_overlay
from workflows.search import pareto
from workflows.shared import artifacts
from workflows.shared.figures import figure_png, plt
from workflows.shared.pictures import Picture, jpeg, png
from workflows.shared.tables import FORMATS, Table, results, table_1, table_2

TEMPLATE = Path(__file__).with_name("page.html.j2")
SHEETS = {  # measure of an extremes sheet → its name on the page and its digits
    "psnr": ("PSNR [dB]", 2),
    "ssim": ("SSIM", 3),
    "l2_pool3": ("distance pool3", 3),
    "l2_pool4": ("distance pool4", 3),
    "l2_fc7": ("distance fc7", 3),
    "consistency": ("consistency with the input [dB]", 2),
}


@dataclass(frozen=True)
class Sheet:
    """A contact sheet on the page: name of its file, title, picture, and the clips of its rows."""

    name: str
    title: str
    picture: Picture
    clip_ids: list[str]

    @property
    def url(self) -> str:
        """The picture as a data URL."""
        return _url(jpeg(self.picture), "jpeg")


def write_report(
    settings: Settings,
    run: Run,
    stage: Stage,
    metrics: dict[str, Any],
    measured: Measured,
    curves: dict[str, dict[str, Curve]],
) -> None:
    """Write `tables/`, `figures/` and `index.html` of the report folder."""
    tables = {"results": results(metrics["variants"]), "table1": table_1(_splits(metrics)),
              "table2": table_2(metrics["variants"]),
              "differences": paired_differences.table(metrics["differences"])}  # fmt: skip
    for name, table in tables.items():
        for ending, write in FORMATS.items():
            storage.write_bytes(stage.path("tables", f"{name}.{ending}"), write(table).encode())
    plots = {
        "training": _curves(run, artifacts.trained_variants(run)),
        "roc": roc(curves),
        "frames": psnr_against_frames(metrics["variants"]),
    }
    figures = {name: figure_png(plot) for name, plot in plots.items() if plot is not None}
    figures |= {Path(uri).stem: storage.read_bytes(uri)
                for uri in storage.files(run.path("tune", "figures"), ".png")}  # fmt: skip
    sheets = _sheets(settings, run, measured)
    overlay = _overlay(settings, run, measured)
    if overlay is not None:
        figures["warp"] = png(overlay)
    for name, content in figures.items():
        storage.write_bytes(stage.path("figures", f"{name}.png"), content)
    for sheet in sheets:
        storage.write_bytes(stage.path("figures", f"{sheet.name}.png"), png(sheet.picture))
    page = _page(settings, run, metrics, tables, figures, sheets)
    storage.write_bytes(stage.path("index.html"), page.encode())


def _splits(metrics: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    train = {"train": metrics["train"]} if "train" in metrics else {}
    return {**train, "test": metrics["variants"]}


def _sheets(settings: Settings, run: Run, measured: Measured) -> list[Sheet]:
    """Drawn clips; the loss ablation, where networks differ in nothing but their training; and the
    best and worst clips of the last variant by each measure."""
    rows = row_names(settings, run)
    shown = artifacts.trained_variants(run)[-1]
    drawn = drawn_clips(measured.identities, settings.evaluate.samples, settings.seed)
    extremes = {
        measure: extreme_clips(
            measured.values[:, rows.index(shown), MEASURES.index(measure)],
            measured.identities,
            measure,
        )
        for measure in SHEETS
    }
    wanted = drawn + [clip for pair in extremes.values() for half in pair for clip in half]
    samples = make_samples(settings, run, artifacts.shards(run, "test"), measured, wanted)
    chosen = [samples[index] for index in drawn]
    title = "Clips drawn by the seed; below each face its PSNR [dB]"
    found = [_sheet("contact_sheet", title, chosen, rows, "psnr", 2)]
    for variant, names in _ablations(settings, run).items():
        title = f"{variant} by loss; below each face its distance fc7"
        columns = ["ground_truth", "bicubic", *names]
        found.append(_sheet(f"ablation_{variant}", title, chosen, columns, "l2_fc7", 3))
    for measure, (name, digits) in SHEETS.items():
        best, worst = extremes[measure]
        title = f"{name} of {shown}: the best {len(best)} clips, then the worst {len(worst)}"
        if best:
            group = [samples[index] for index in best + worst]
            found.append(_sheet(f"extremes_{measure}", title, group, rows, measure, digits))
    return found


def _sheet(
    name: str, title: str, samples: list[Sample], rows: list[str], measure: str, digits: int
) -> Sheet:
    picture = contact_sheet(samples, rows, measure, digits)
    return Sheet(name, title, picture, [sample.clip_id for sample in samples])


def _ablations(settings: Settings, run: Run) -> dict[str, list[str]]:
    """Variant → rows of that architecture, for those of which there are several."""
    found: dict[str, list[str]] = {}
    for name, network in all_networks(run, settings).items():
        if isinstance(network, Network):
            found.setdefault(network.variant, []).append(name)
    return {variant: names for variant, names in found.items() if len(names) > 1}


def _overlay(settings: Settings, run: Run, measured: Measured) -> Picture | None:
    """The warps of the variant with the longest window, on a drawn clip; none without warping."""
    warping = [network for network in all_networks(run, settings).values()
               if isinstance(network, Network) and network.predictor is not None]  # fmt: skip
    if not warping:
        return None
    network = max(warping, key=lambda network: network.num_frames)
    clip = measured.clip_ids[drawn_clips(measured.identities, 1, settings.seed)[0]]
    stored = stored_clips(artifacts.shards(run, "test"), [clip], ("clip_id", "low"))
    return warp_overlay(network, stored["low"][0])


def _url(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _curves(run: Run, variants: list[str]) -> Figure | None:
    """Validation PSNR against training steps, a line a variant."""
    lines = {}
    for variant in variants:
        history = storage.read_json(run.path("train", variant, artifacts.HISTORY))
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


def _perceptual(trained: dict[str, StageRecord]) -> dict[str, list[str]]:
    """The λ of eq. (6) in words → the variants trained with them."""
    found: dict[str, list[str]] = {}
    for variant, record in trained.items():
        weights = record.settings["train"]["perceptual"]
        text = ", ".join(f"{layer} {weight:.4g}" for layer, weight in weights.items())
        found.setdefault(text or "none, pixel loss alone", []).append(variant)
    return found


def _page(
    settings: Settings,
    run: Run,
    metrics: dict[str, Any],
    tables: dict[str, Table],
    figures: dict[str, bytes],
    sheets: list[Sheet],
) -> str:
    """The page with every picture inside it, so that it needs neither network nor server."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    searched = run.is_complete("tune")
    trained = {variant: run.record(f"train/{variant}")
               for variant in artifacts.trained_variants(run)}  # fmt: skip
    return template.render(
        run=run.uri,
        tables=tables,
        metrics=metrics,
        figures={name: _url(content, "png") for name, content in figures.items()},
        sheets=sheets,
        trials=pareto.table(storage.read_json(run.path("tune", artifacts.TRIALS)))
        if searched
        else None,
        best=artifacts.found_best(run) if searched else None,
        settings=settings,
        clips=run.record("clips").counts,
        recogniser=run.record("recogniser").counts,
        pretrain=run.record("pretrain").counts,
        perceptual=_perceptual(trained),
        steps={variant: record.counts.get("step") for variant, record in trained.items()},
        seconds={variant: record.seconds for variant, record in trained.items()},
        versions=versions(),
    )  # fmt: skip
