"""The faces of a span, restored: those of the whole track, wherever it was cut."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from infra import process
from infra.errors import RunError
from infra.text import sha256_of
from model.network import Network, build
from model.pixels import to_pixels
from model.streaming import restore
from model.weights import load_network, save_weights
from tests.support.enhancement.spans import Uncounted, Untold, a_film, a_part
from workflows.enhancement.spans import Model, Span, TrackPart, Verdict
from workflows.enhancement.steps import restore as step_of
from workflows.enhancement.steps.pieces import Piece, piece_of, row_of
from workflows.enhancement.steps.restore import Restorer
from workflows.shared.restoring import to_bytes

LENGTH = 23


@pytest.fixture
def restorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Restorer:
    """One network for faces of 8 pixels with windows of five frames, one for those of 16."""
    monkeypatch.setattr(process, "limit_threads", lambda _: None)
    monkeypatch.setattr(step_of, "STRETCH", 7)
    found = []
    for variant, low_size, reach in (("f5", 8, 2), ("f1", 16, 0)):
        torch.manual_seed(low_size)
        path = tmp_path / f"{variant}.safetensors"
        save_weights(build(variant, 4, 4 * low_size, 0.1, "kaiming"), path)
        digest = sha256_of(path.read_bytes())
        found.append(Model(str(path), digest, variant, 4, low_size, reach))
    return Restorer(found, 1.2, 4, "cpu", Uncounted(), Untold())  # type: ignore[arg-type]


def whole(restorer: Restorer, low_size: int, low: np.ndarray) -> np.ndarray:
    (model,) = (model for model in restorer.models if model.low_size == low_size)
    network = load_network(model.uri)
    assert isinstance(network, Network)
    return to_bytes(restore(network, to_pixels(torch.from_numpy(low), torch.device("cpu"))))


def done(restorer: Restorer, piece: Piece) -> Piece:
    (table,) = restorer(pa.Table.from_pylist([row_of(piece)]))
    (row,) = table.to_pylist()
    return piece_of(row)


def cut(track: TrackPart, begin: int, end: int, reach: int = 2) -> TrackPart:
    """The frames of a located track from `begin` to before `end`, as a span has them."""
    near = slice(begin, end)
    values = {
        name: getattr(track, name)[near]
        for name in ("times", "crops", "faces", "scores", "low", "sharpness")
    }
    return replace(
        track, first=begin, begins=begin == 0, ends=end == LENGTH, **values,
        before=track.low[max(begin - reach, 0) : begin], after=track.low[end : end + reach],
        restored=track.restored[:0], consistency=track.consistency[:0],
    )  # fmt: skip


@pytest.mark.parametrize("cuts", [(), (11,), (1, 2, 22), (5, 10, 15, 20)])
def test_a_track_in_spans_is_restored_as_a_whole(cuts: tuple[int, ...], restorer: Restorer) -> None:
    track, film, found = a_part(LENGTH), a_film(), []
    ends = (*cuts, LENGTH)
    for number, (begin, end) in enumerate(zip((0, *cuts), ends, strict=True)):
        span = Span(number, begin, end - begin, [cut(track, begin, end)])
        made = done(restorer, Piece(film.source, film, span)).span
        assert made is not None
        (part,) = made.parts
        assert len(part.restored) == len(part.consistency) == end - begin
        assert len(part.before) == len(part.after) == 0
        found.append(part.restored)
    np.testing.assert_array_equal(np.concatenate(found), whole(restorer, 8, track.low))


def test_each_face_goes_to_the_network_of_its_size(restorer: Restorer) -> None:
    """In order of the tracks, whichever network is the first."""
    film, chance = a_film(), np.random.default_rng(1)
    large = chance.integers(0, 256, (9, 16, 16, 3), np.uint8)
    parts = [a_part(5), a_part(9, 1, low=large), a_part(3, 2)]
    verdict = Verdict(1, 30, 3)
    piece = done(restorer, Piece(film.source, film, Span(0, 0, 30, parts), verdict))
    assert piece.verdict == verdict and piece.seconds["restore"] > 0
    assert piece.span is not None
    for part, made in zip(parts, piece.span.parts, strict=True):
        assert made.track == part.track
        side = part.low.shape[1]
        np.testing.assert_array_equal(made.restored, whole(restorer, side, part.low))
    told = [frames for _, _, frames in restorer.progress.told]  # type: ignore[attr-defined]
    assert len(told) == 1 + 2 + 1 and sum(told) == pytest.approx(30)


def test_what_has_no_span_goes_on_as_it_is(restorer: Restorer) -> None:
    source, verdict = a_film().source, Verdict(reason="a/v.mp4: damaged", kind="damaged")
    assert done(restorer, Piece(source, None, None, verdict)).verdict == verdict
    fault = {"fault": "s3://a: away", "status": 3}
    (table,) = restorer(pa.Table.from_pylist([fault]))
    assert table.to_pylist() == [fault]
    assert "networks" not in vars(restorer)


def test_a_face_is_consistent_with_what_it_was_made_from(restorer: Restorer) -> None:
    """Brighter by a fifth and by two fifths of white, by the formula -10 log10(mean squared error):
    20 log10(5) dB, and 20 log10(2) less."""
    low = np.full((3, 8, 8, 3), 100, np.uint8)
    brighter = np.array([0, 51, 102], np.uint8)[:, None, None, None]
    faces = np.full((3, 32, 32, 3), 100, np.uint8) + brighter
    found = restorer._made(a_part(3, low=low), faces).consistency
    fifth = 20 * np.log10(5)
    np.testing.assert_allclose(found, [100, fifth, fifth - 20 * np.log10(2)], atol=1e-3)


def test_weights_that_were_replaced_meanwhile_are_not_used(restorer: Restorer) -> None:
    model = restorer.models[0]
    Path(model.uri).write_bytes(Path(restorer.models[1].uri).read_bytes())
    with pytest.raises(RunError, match=r"f5\.safetensors: was replaced since this command began"):
        _ = restorer.networks


def test_what_goes_wrong_with_a_span_is_its_films_error(
    restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> object:
        raise RuntimeError("out of memory on the device")

    monkeypatch.setattr(step_of, "restore_parts", full)
    film = a_film()
    piece = done(restorer, Piece(film.source, film, Span(0, 0, 5, [a_part(5)]), Verdict(1, 5, 1)))
    assert piece.span is None and piece.verdict is not None
    assert piece.verdict.reason == "a/v.mp4: RuntimeError: out of memory on the device"
