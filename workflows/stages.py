"""The stages of a run in their order, as data; `full.py --list` prints them."""

import importlib
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class StageInfo:
    """A stage: the folder of the run that holds its completion record, the module that has a
    function of its name (and `check`, where pydantic alone cannot refuse), and the stages whose
    results it reads."""

    name: str
    folder: str
    module: str
    about: str
    needs: tuple[str, ...] = ()

    def load(self) -> ModuleType:
        """Import the module; not before it is needed, since each brings much along."""
        return importlib.import_module(f"workflows.{self.module}")


STAGES = {
    stage.name: stage
    for stage in (
        StageInfo("preprocess", "clips", "preprocessing.stage", "films to shards of clips"),
        StageInfo(
            "recogniser", "recogniser", "training.recognition",
            "VGG-Face from a file, or one trained on the training people",
            ("preprocess",),
        ),
        StageInfo(
            "pretrain", "pretrain", "training.warp", "the warp predictor alone", ("preprocess",)
        ),
        StageInfo(
            "tune", "tune", "search.stage", "a search over frames, warping, λ, learning rate",
            ("preprocess", "recogniser", "pretrain"),
        ),
        StageInfo(
            "train", "train", "training.restoration",
            "the variants, by eq. (6); with train.use_search as tune found best",
            ("preprocess", "recogniser", "pretrain"),
        ),
        StageInfo(
            "evaluate", "report", "evaluation.stage", "metrics on test people, and the report",
            ("preprocess", "recogniser", "train"),
        ),
        StageInfo(
            "enhance", "enhanced", "enhancement.stage", "restored faces of a collection of films",
            ("train",),
        ),
    )
}  # fmt: skip


def listing() -> str:
    """The stages as a table of text: name, folder, what each needs, what it makes."""
    rows = [("stage", "folder", "needs", "")]
    rows += [(s.name, s.folder, ", ".join(s.needs) or "-", s.about) for s in STAGES.values()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
