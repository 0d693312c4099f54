"""Spans that are kept come back as they were, to the last bit."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from infra.errors import InputError
from tests.support.enhancement.spans import a_part
from workflows.enhancement.spans import Span
from workflows.enhancement.steps import store


def test_a_kept_span_is_read_as_it_was(tmp_path: Path) -> None:
    folder = store.folder_of(str(tmp_path / "film"), "ab12")
    spans = [
        Span(0, 0, 30, [a_part(30, ends=False), a_part(7, 4, 20, break_before="pause")]),
        Span(1, 30, 12, []),
    ]
    for span in reversed(spans):
        store.keep(folder, span)
    names = sorted(path.name for path in Path(folder).iterdir())
    assert [store.number(name) for name in names] == [0, 1]
    for span, found in zip(spans, store.read(folder, 2), strict=True):
        assert (found.number, found.first, found.frames) == (span.number, span.first, span.frames)
        for part, read in zip(span.parts, found.parts, strict=True):
            for field in fields(part):
                value, other = getattr(part, field.name), getattr(read, field.name)
                assert type(value) is type(other), field.name
                np.testing.assert_array_equal(value, other, field.name)
                if isinstance(value, np.ndarray):
                    assert value.dtype == other.dtype, field.name


def test_spans_of_two_ways_to_cut_a_film_do_not_fit(tmp_path: Path) -> None:
    """They were kept by code that ended spans elsewhere."""
    for span in (Span(0, 0, 30), Span(1, 28, 10)):
        store.keep(str(tmp_path), span)
    with pytest.raises(InputError, match="do not fit together: 1 begins at frame 28, not 30"):
        list(store.read(str(tmp_path), 2))
