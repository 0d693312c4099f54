"""Which errors are a source's own, and how others reach the driver of a stage."""

from types import SimpleNamespace

import pyarrow as pa
import pytest

from datasets.shards.files import ShardError
from datasets.sources.footage import DecodeError
from datasets.sources.layouts import Source
from infra.attempts import AttemptsError
from infra.errors import FacestackError, FaultError, InputError, RunError
from workflows.shared.ray_rows import rows, until_fault
from workflows.shared.source_rows import bundles, item, sources_of, why

FILM = Source("file:///x/a/v.mp4", "a/v.mp4", "a", "video")


@pytest.mark.parametrize(
    ("error", "reason", "kind"),
    [
        (DecodeError.at("a/v.mp4", "damaged", " (x)"), "a/v.mp4: damaged (x)", "damaged"),
        (AttemptsError("its process died", "died"), "a/v.mp4: its process died", "died"),
        (ShardError("no clips"), "a/v.mp4: ShardError: no clips", "ShardError"),
        (MemoryError("all of it"), "a/v.mp4: MemoryError: all of it", "MemoryError"),
    ],
)
def test_what_is_wrong_with_a_source_is_its_reason(
    error: Exception, reason: str, kind: str
) -> None:
    assert why(FILM, error) == (reason, kind)


@pytest.mark.parametrize("error", [FaultError("disk: full"), RunError("clips: forbidden")])
def test_what_is_wrong_with_the_run_is_no_reason(error: FacestackError) -> None:
    with pytest.raises(type(error), match=str(error)):
        why(FILM, error)


@pytest.mark.parametrize(
    ("error", "status"),
    [(FaultError("disk: full"), 3), (ShardError("a: old"), 2), (RunError("a: forbidden"), 2)],
)
def test_an_error_of_a_task_ends_the_stage_in_one_line(error: FacestackError, status: int) -> None:
    def task(_: dict[str, object]) -> dict[str, object]:
        raise error

    (fault,) = until_fault(task, pa.Table.from_pylist([{"rows": 0}]))
    found = SimpleNamespace(iter_rows=lambda: iter([{"rows": 1}, *fault.to_pylist()]))
    stream = rows(found)
    assert next(stream) == {"rows": 1}
    with pytest.raises((FaultError, InputError), match=str(error)) as raised:
        next(stream)
    assert raised.value.status == status


def test_stills_share_a_row_and_films_do_not() -> None:
    stills = [Source(f"u{n}", f"a/{n}.png", "a", "image") for n in range(70)]
    made = [sources_of(item(bundle)) for bundle in bundles([*stills, FILM])]
    assert [len(bundle) for bundle in made] == [1, 64, 6]
    assert [source for bundle in made for source in bundle] == [FILM, *stills]
