"""The one Ray Data graph of the stage enhance: sources in, receipts out.

What goes from step to step is small: of a face and frame the 768 bytes that the network sees and
what it made of them, never a frame of a film.
"""

import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import ray
import ray.data

from datasets.sources.layouts import Source
from infra.text import as_utf8
from workflows.enhancement.receipts import Receipt, from_json
from workflows.enhancement.spans import Verdict
from workflows.enhancement.steps.pieces import Piece, piece_of, row_of
from workflows.enhancement.steps.reading import Reader
from workflows.enhancement.steps.restore import Restorer
from workflows.enhancement.steps.writing import Writer, joined
from workflows.shared.ray_rows import dataset, rows, sound
from workflows.shared.source_rows import item

# CPUs that Ray counts for a process of each step. There may be more processes than cores: those
# that have no work take no time, and the system shares out the cores among the others.
READ, RESTORE, WRITE = 0.25, 0.5, 0.25
BLOCKS: dict[str, Any] = {"batch_size": None, "batch_format": "pyarrow"}


@dataclass(frozen=True)
class Pool:
    """At most so many `workers` that restore, None: as many as there is room for; each with so
    many `gpus`."""

    workers: int | None
    gpus: float


def restored(
    sources: list[Source],
    done: dict[str, list[int]],
    reader: Reader,
    restorer: tuple[Any, ...],
    writer: Writer,
    pool: Pool,
) -> Generator[Receipt, None, None]:
    """What became of each source, in the order in which they end: `done` are the numbers of the
    spans of a film, by its name, that are kept already, `restorer` the arguments of `Restorer`.

    To be closed before Ray is left. Raises as `ray_rows.rows` does.
    """
    items = [item([source]) | {"done": done.get(source.name, [])} for source in sources]
    context = ray.data.DataContext.get_current().copy()
    context.target_max_block_size = 1  # each row goes on as soon as it is made
    # An actor is not ended in a lull: for a thousand short films twenty-one were started where two
    # are at work, each with 3 s of imports. What is left over at the end goes all the same.
    context.autoscaling_config = replace(
        context.autoscaling_config, actor_pool_util_downscaling_threshold=-1.0
    )
    with ray.data.DataContext.current(context):
        written = (
            dataset(items)
            .map_batches(reader, num_cpus=READ, **BLOCKS)
            .map_batches(
                Restorer,
                fn_constructor_args=restorer,
                compute=ray.data.ActorPoolStrategy(min_size=1, max_size=pool.workers),
                num_cpus=RESTORE,
                num_gpus=pool.gpus or None,
                **BLOCKS,
            )
            .map_batches(writer, num_cpus=WRITE, **BLOCKS)
        )
        yield from _receipts(written, sources, done, writer)


def _receipts(
    written: ray.data.Dataset, sources: list[Source], done: dict[str, list[int]], writer: Writer
) -> Iterator[Receipt]:
    """Those that come, those of films whose spans are all kept by now, and those of films whose
    reading has died behind its first span again and again: what it then says Ray drops, since it
    stands where a span stood."""
    films = {
        as_utf8(source.name): _Kept(source, set(done[source.name]))
        for source in sources if source.name in done
    }  # fmt: skip
    missing = {as_utf8(source.name): source for source in sources}  # as rows can have it
    join = ray.remote(num_cpus=WRITE, max_retries=-1)(joined)
    joins: list[Any] = []
    for row in rows(written):
        name = row["source"]
        if name not in missing:  # a span of a film that has failed
            films.setdefault(name, _Kept(piece_of(row).source, set()))
        elif row.get("receipt"):
            del missing[name]
            yield from_json(json.loads(row["receipt"]))
        else:
            piece = piece_of(row)
            kept = films.setdefault(name, _Kept(piece.source, set()))
            if (whole := kept.take(piece, row["number"])) is not None:
                del missing[name], films[name]
                joins.append(join.remote(writer, row_of(whole)))
        ended, joins = ray.wait(joins, num_returns=len(joins), timeout=0) if joins else ([], [])
        yield from map(_joined, ended)
    while joins:
        ended, joins = ray.wait(joins)
        yield from map(_joined, ended)
    for source in missing.values():
        yield from_json(json.loads(writer.given_up(source)["receipt"]))
    for kept in films.values():  # of those that could not be read to their end
        writer.forget(kept.source)


def _joined(ended: Any) -> Receipt:
    return from_json(json.loads(sound(ray.get(ended))["receipt"]))


@dataclass
class _Kept:
    """What is known of a film of several spans: the numbers of those that are kept, and the seconds
    that they took."""

    source: Source
    numbers: set[int]
    seconds: dict[str, float] = field(default_factory=dict)
    verdict: Verdict | None = None

    def take(self, piece: Piece, number: int | None) -> Piece | None:
        """Take the number of a span that is kept, or the verdict; the film's last piece when all is
        there."""
        if number is not None:
            self.numbers.add(number)
        for step, seconds in piece.seconds.items():
            self.seconds[step] = self.seconds.get(step, 0.0) + seconds
        self.verdict = piece.verdict or self.verdict
        if self.verdict is None or len(self.numbers) < self.verdict.spans:
            return None
        return replace(piece, verdict=self.verdict, seconds=self.seconds)
