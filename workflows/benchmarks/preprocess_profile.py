"""The stage's work in this process, without Ray, and the shares of its parts."""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from datasets.clips import cutting
from datasets.shards.assembly import assemble_shard, part_rows, plan_shards
from datasets.sources.footage import Footage
from datasets.tracking import crops
from datasets.tracking.search import Search
from infra import storage
from infra.settings.settings import Settings
from workflows.benchmarks.preprocess_baseline import model_of
from workflows.preprocessing import parts as sources
from workflows.preprocessing.outcomes import Outcome
from workflows.shared.source_rows import bundles, item
from workflows.shared.source_survey import find

Item = TypeVar("Item")
Call = Callable[..., Any]
Spent = dict[str, float]


def in_process(root: Path, settings: Settings) -> dict[str, int]:
    """Makes the parts and then the shards of all sources below `root`; gives frames and clips."""
    how = sources.extraction(settings, model_of(settings))
    with tempfile.TemporaryDirectory() as folder:
        outcomes: list[Outcome] = []
        for bundle in bundles(find(str(root)).sources):
            row = sources.make_part(how, folder, "", item(bundle))
            outcomes += sources.outcomes_in(row)
        parts = sorted({storage.join(folder, outcome.part) for outcome in outcomes if outcome.part})
        rows = (row for part in parts for row in part_rows(part, lambda clip: ("train", "")))
        plans = plan_shards(rows, settings.preprocess.shard_megabytes * 2**20)
        clips = sum(assemble_shard(plan, f"{folder}/{plan.name}") for plan in plans)
    return {"frames": sum(outcome.frames for outcome in outcomes), "clips": clips}


def shares(spent: Spent, total: float, decode: float) -> dict[str, float]:
    """Shares of the processor time of `in_process`, which add up to 1.

    `spent` is what `watched` found, `total` [s] all of it and `decode` [s] that of decoding alone:
    "colour" is what reading takes beyond it, the conversion to RGB and the checks. "tracking" is
    the rest of the way from frames to clips, the search for cuts among it; "write" all that comes
    after, parts and shards.
    """
    named = {
        "decode": decode,
        "colour": max(0.0, spent["read"] - decode),
        "detection": spent["detection"],
        "crop": spent["crop"],
        "degrade": spent["degrade"],
    }
    inside = spent["read"] + spent["detection"] + spent["crop"] + spent["degrade"]
    named |= {"tracking": spent["clips"] - inside, "write": total - spent["clips"]}
    return {name: seconds / sum(named.values()) for name, seconds in named.items()}


@contextmanager
def watched() -> Iterator[Spent]:
    """Gives the processor time [s] that the parts of preprocessing take while it lasts."""
    spent: Spent = defaultdict(float)
    make_clips = cutting.clips_of

    def clips_of(*given: Any, **named: Any) -> Iterator[Any]:
        return timed_items(spent, "clips", make_clips(*given, **named))

    places: list[tuple[object, str, Call]] = [
        (Search, "everywhere", timed_call(spent, "detection", Search.everywhere)),
        (Search, "around", timed_call(spent, "detection", Search.around)),
        (cutting, "open_source", timed_opening(spent, cutting.open_source)),
        (sources, "clips_of", clips_of),
        (crops, "crop", timed_call(spent, "crop", crops.crop)),
        (cutting, "degrade", timed_call(spent, "degrade", cutting.degrade)),
    ]
    with ExitStack() as stack:
        for owner, name, watched in places:
            stack.enter_context(patch.object(owner, name, watched))
        yield spent


def timed_opening(spent: Spent, open_source: Call) -> Call:
    """`open_source` whose footage notes as "read" what its opening and its frames take."""

    @contextmanager
    def opened(*given: Any) -> Iterator[Footage]:
        with ExitStack() as stack:
            enter = timed_call(spent, "read", stack.enter_context)
            footage: Footage = enter(open_source(*given))
            yield replace(footage, frames=lambda: timed_items(spent, "read", footage.frames()))

    return opened


def timed_call(spent: Spent, name: str, call: Call) -> Call:
    """`call`, which adds the processor time [s] that it takes to `spent`."""

    def watched(*given: Any, **named: Any) -> Any:
        before = time.process_time()
        try:
            return call(*given, **named)
        finally:
            spent[name] += time.process_time() - before

    return watched


def timed_items(spent: Spent, name: str, items: Iterable[Item]) -> Iterator[Item]:
    """`items`, each of which adds the processor time [s] that it takes to `spent`."""
    ask = timed_call(spent, name, iter(items).__next__)
    while True:
        try:
            item = ask()
        except StopIteration:
            return
        yield item
