"""The report of a run: tables, figures and one self-contained page that opens from disk."""

from pathlib import Path
from typing import Any

import jinja2

from infra import storage
from infra.provenance import versions
from infra.runs import Run, Stage, StageRecord
from infra.settings.settings import Settings
from workflows.evaluation import paired_differences
from workflows.evaluation.aggregate import Curve
from workflows.evaluation.measured import Measured
from workflows.evaluation.methods import Methods
from workflows.evaluation.report.plots import psnr_against_frames, roc, training
from workflows.evaluation.report.sheets import Sheet, overlay, sheets
from workflows.evaluation.report.tables import results, table_1, table_2
from workflows.search import pareto
from workflows.shared import artifacts
from workflows.shared.figures import figure_png
from workflows.shared.pictures import data_url, png
from workflows.shared.tables import FORMATS, Table

TEMPLATE = Path(__file__).with_name("page.html.j2")


def write_report(
    settings: Settings,
    methods: Methods,
    stage: Stage,
    metrics: dict[str, Any],
    measured: Measured,
    curves: dict[str, dict[str, Curve]],
) -> None:
    """Write `tables/`, `figures/` and `index.html` of the report folder."""
    run = methods.run
    tables = {"results": results(metrics["variants"]), "table1": table_1(_splits(metrics)),
              "table2": table_2(metrics["variants"]),
              "differences": paired_differences.table(metrics["differences"])}  # fmt: skip
    for name, table in tables.items():
        for ending, write in FORMATS.items():
            storage.write_bytes(stage.path("tables", f"{name}.{ending}"), write(table).encode())
    plots = {
        "training": training(_validations(run)),
        "roc": roc(curves),
        "frames": psnr_against_frames(metrics["variants"]),
    }
    figures = {name: figure_png(plot) for name, plot in plots.items() if plot is not None}
    figures |= {Path(uri).stem: storage.read_bytes(uri)
                for uri in storage.files(run.path("tune", "figures"), ".png")}  # fmt: skip
    # On Ray the actors have the GPU, and this process may be on a machine without one.
    here = settings.engine == "torch" and settings.evaluate.gpus_per_worker > 0
    shown = sheets(methods, settings.evaluate, measured, settings.seed, "cuda" if here else "cpu")
    warps = overlay(methods, measured, settings.seed)
    if warps is not None:
        figures["warp"] = png(warps)
    for name, content in figures.items():
        storage.write_bytes(stage.path("figures", f"{name}.png"), content)
    for sheet in shown:
        storage.write_bytes(stage.path("figures", f"{sheet.name}.png"), png(sheet.picture))
    page = _page(settings, run, metrics, tables, figures, shown)
    storage.write_bytes(stage.path("index.html"), page.encode())


def _splits(metrics: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    train = {"train": metrics["train"]} if "train" in metrics else {}
    return {**train, "test": metrics["variants"]}


def _validations(run: Run) -> dict[str, list[tuple[float, float]]]:
    """Variant → (step, PSNR) of each validation of its training; those that have any."""
    found = {}
    for variant in artifacts.trained_variants(run):
        history = storage.read_json(run.path("train", variant, artifacts.HISTORY))
        points = [(row["step"], row["validation_psnr"]) for row in history
                  if "validation_psnr" in row]  # fmt: skip
        if points:
            found[variant] = points
    return found


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
        figures={name: data_url(content, "png") for name, content in figures.items()},
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
