"""What the gallery shows of the receipts of a collection."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from workflows.enhancement.receipts import Receipt
from workflows.enhancement.spans import Model

Shown = dict[str, Any]  # as `pages.write_gallery` takes it


def shown(receipts: Iterable[Receipt], folder: str) -> Iterator[Shown]:
    """Every track; what the receipts call by paths under the run lies below the stage's `folder`
    there."""
    for receipt in receipts:
        for row in receipt.tracks:
            yield _of(row, receipt.film, f"{folder}/")


def _of(row: dict[str, Any], film: dict[str, Any], folder: str) -> Shown:
    def path(told: str | None) -> str:
        return (told or "").removeprefix(folder)

    def number(name: str) -> float:
        return math.nan if row[name] is None else float(row[name])

    same = ("video", "identity", "track", "frames", "start", "seconds", "input", "scale", "variant")
    return {name: row[name] for name in same} | {
        "side": number("face_side"),
        "resized": number("resized"),
        "sharpness": number("sharpness"),
        "consistency": number("consistency"),
        "picture": path(row.get("picture")),
        "plays": path(row.get("side_by_side") or row.get("output")),
        "film": path(film.get("film")),
    }


def about(films: str, models: Iterable[Model]) -> dict[str, object]:
    """How the faces were made, line by line."""
    told = {f"network for faces of {model.low_size} px": str(model) for model in models}
    return {"films": films, **told}
