"""The table counts what a count by hand of one layer gives."""

import pytest

from model import thin_plate_spline
from model.complexity import count, parameters, table
from model.network import build


def test_counts_agree_with_the_formula_for_the_reconstruction() -> None:
    """k² · in · out a pixel and layer for R; f1 at 32 × 32 adds F's two streams."""
    filters = [4, 16, 32, 64, 64, 64, 32, 16, 3]
    kernels = [5, 7, 7, 7, 7, 7, 5, 5]
    pixels = 32 * 32
    macs = sum(
        k * k * before * after * pixels
        for k, before, after in zip(kernels, filters, filters[1:], strict=False)
    )
    # F: 192 → 256 → 256 → 256 → 1024, and the transposed convolution as blocks between 10 × 10.
    macs += 192 * 256 + 2 * 256 * 256 + 256 * 1024 + 9 * 9 * 3 * 3 * 8 * 8
    weights, gmac = count("f1", scale=4, size=32)
    assert gmac == pytest.approx(macs / 1e9, rel=1e-6)
    assert weights == parameters(build("f1", scale=4, size=32))


def test_what_is_made_once_a_process_is_not_counted() -> None:
    thin_plate_spline._computed.cache_clear()
    assert count("f3warp", scale=4, size=32) == count("f3warp", scale=4, size=32)


def test_table_lists_the_papers_variants() -> None:
    lines = table(scale=8, size=32).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        *("bicubic", "f1", "f5", "f25", "f5warp", "f25warp")
    ]
