"""What a run holds, and the names of its files; its networks are loaded by networks.py, so that
who looks for shards needs no PyTorch."""

from typing import Any

from datasets.shards.files import open_shard
from infra import storage
from infra.errors import RunError
from infra.runs import Run
from infra.settings import of_run, of_weights
from infra.settings.settings import Settings

WEIGHTS = of_weights.WEIGHTS  # of the recogniser, of P, and of each variant, in its own folder
LINEAR = "linear.safetensors"  # beside the weights of a variant
HISTORY = "history.json"  # beside them: the scalars of a training
BEST, TRIALS = "best.json", "trials.json"  # of a search
METRICS = "metrics.json"  # of the report


def shards(run: Run, split: str) -> list[str]:
    """URIs of a split's shards; raises RunError where there is none to train on."""
    run.record("clips")
    found = storage.files(run.path("clips", split), ".parquet")
    if not found and split == "train":
        raise RunError(
            f"{run.path('clips')}: no clip in the {split} split; add videos of more people, "
            "or change preprocess.*_share or seed"
        )
    return found


def rows(paths: list[str]) -> int:
    """Number of clips in the shards, from their footers."""
    total = 0
    for uri in paths:
        with open_shard(uri) as file:
            total += file.metadata.num_rows
    return total


def refuse_other_clips(run: Run, settings: Settings, other_films: bool = False) -> None:
    """Raise RunError where the run's clips were made with other settings than these, naming each
    field: no stage behind preprocess, and no tool, fits clips of another size or another kind. Only
    what restores may be given `other_films`."""
    if not run.is_complete("clips"):
        return
    found = run.record("clips").settings
    wanted: dict[str, Any] = {
        "clip": settings.clip.stored(),
        "preprocess": settings.preprocess.made_from(),
        "synthetic": settings.synthetic.made_from(),
        "seed": settings.seed,
    }
    name = found.get("preprocess", {}).get("detector")
    if name is None:  # no face was looked for
        del wanted["preprocess"]["detector"]
    elif of_run.is_asked(settings.preprocess.detector, name, of_run.detector_of(run.uri)):
        wanted["preprocess"]["detector"] = name
    if settings.source is not None and not other_films:
        wanted["source"] = storage.absolute(settings.source)
    both = [name for name in wanted if name in found]
    changed = of_run.differences({n: found[n] for n in both}, {n: wanted[n] for n in both})
    if fields := sorted(changed):
        raise RunError(
            f"{run.uri}: its clips were made with other settings: {'; '.join(fields)}. "
            "Leave these out, give the --config that it was made with, or give another --run"
        )


def trained_variants(run: Run) -> list[str]:
    """The variants that a run has trained, in the order of its tables."""
    return [str(variant) for variant in run.record("train").settings["variants"]]


def found_best(run: Run) -> dict[str, Any]:
    """What the run's search chose; raises RunError where it has not ended."""
    run.record("tune")
    return dict(storage.read_json(run.path("tune", BEST)))
