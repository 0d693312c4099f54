"""Where the other stages find the clips that preprocess wrote."""

from datasets.shards.files import open_shard
from infra import storage
from infra.errors import RunError
from infra.runs import Run


def shards(run: Run, split: str, needed: bool = True) -> list[str]:
    """URIs of a split's shards; raises RunError where there is none and it is needed."""
    run.record("clips")
    found = storage.files(run.path("clips", split), ".parquet")
    if not found and needed and split == "train":
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
