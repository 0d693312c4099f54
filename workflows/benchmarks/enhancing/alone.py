"""The steps of the stage enhance called one after another in this process, without Ray, on one
thread, and the shares of their parts. A film's spans go from step to step as they are."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from tempfile import TemporaryDirectory
from unittest.mock import patch

from datasets.sources.layouts import Source
from datasets.sources.video import open_source
from datasets.tracking.search import Search
from datasets.video_writer import VideoFile
from infra import process, storage
from infra.extraction import Limits
from infra.nodes.counts import JobCounts
from workflows.benchmarks.enhancing.apart import Job, Taken
from workflows.benchmarks.preprocess_profile import Spent, timed_call, timed_items, timed_opening
from workflows.enhancement.outputs.chosen import Chosen
from workflows.enhancement.outputs.output import Place
from workflows.enhancement.progress import Progress
from workflows.enhancement.spans import Film, Model, Span
from workflows.enhancement.steps.locate import spans_of
from workflows.enhancement.steps.restore import Restorer

LIMITS = Limits(damage="split")
OUTPUTS = Chosen(("faces",), 1.0, False, LIMITS)
BATCH = 16  # the stage's default
CLOCK = "restore clock"  # of the parts the one that is told in seconds of the clock


def alone(job: Job) -> Taken:
    """Read, restore and write the films of a job; the parts are `PARTS` and `CLOCK`."""
    process.limit_threads(1)
    restorer = _restorer(job.model, job.blur_sigma, job.device)
    with TemporaryDirectory() as folder, _watched() as spent:
        clock, busy = time.perf_counter(), time.process_time()
        faces = sum(
            _film(film, storage.join(folder, f"{number:05d}"), job, restorer, spent)
            for number, film in enumerate(job.films)
        )
        clock, busy = time.perf_counter() - clock, time.process_time() - busy
    return Taken(clock, busy, faces, _parts(spent, busy) | {CLOCK: spent[CLOCK]})


def _parts(spent: Spent, total: float) -> dict[str, float]:
    """The processor time [s] of each part, together `total`: "decode" makes RGB, too, "track" is
    what reading takes beside it and detection, for cuts, tracks and crops; "other" are the rows of
    the tables."""
    reading = spent["read"] + spent["detection"]
    known = spent["located"] + spent["restore"] + spent["encode"]
    return {
        "decode": spent["read"],
        "detect": spent["detection"],
        "track": spent["located"] - reading,
        "restore": spent["restore"],
        "encode": spent["encode"],
        "other": total - known,
    }


def _film(source: Source, folder: str, job: Job, restorer: Restorer, spent: Spent) -> int:
    """Restore one film into `folder`; the number of its faces."""
    count, models = 0, {job.model.low_size: job.model}
    with ExitStack() as stack:
        opened = timed_opening(spent, open_source)
        footage = stack.enter_context(opened(source, LIMITS))
        film = Film.of(source, footage)
        outputs = [stack.enter_context(out) for out in OUTPUTS.of(Place(film, folder, models))]
        spans = timed_items(spent, "located", spans_of(footage, job.wanted, Counter()))
        for span in _restored(spans, source.name, restorer, spent):
            count += sum(len(part.restored) for part in span.parts)
            for output in outputs:
                output.add(span)
    return count


def _restored(spans: Iterator[Span], film: str, restorer: Restorer, spent: Spent) -> Iterator[Span]:
    restore = timed_call(spent, "restore", restorer.restored)
    for span in spans:
        begun = time.perf_counter()
        made = restore(film, span)
        spent[CLOCK] += time.perf_counter() - begun
        yield made


@lru_cache(maxsize=1)
def _restorer(model: Model, blur_sigma: float | None, device: str) -> Restorer:
    return Restorer([model], blur_sigma, BATCH, device, _Uncounted(), _Silent())


class _Uncounted(JobCounts):
    """No worker dies here."""

    def __init__(self) -> None:
        pass


class _Silent(Progress):
    """Progress that nobody is told of."""

    def __init__(self) -> None:
        pass

    def add(self, film: str, frames: float) -> None:
        pass


@contextmanager
def _watched() -> Iterator[Spent]:
    """Gives the processor time [s] that detection and encoding take while the block runs."""
    spent: Spent = defaultdict(float)
    with ExitStack() as stack:
        for owner, name, part in (
            (Search, "everywhere", "detection"),
            (Search, "around", "detection"),
            (VideoFile, "add", "encode"),
            (VideoFile, "end", "encode"),
        ):
            timed = timed_call(spent, part, getattr(owner, name))
            stack.enter_context(patch.object(owner, name, timed))
        yield spent
