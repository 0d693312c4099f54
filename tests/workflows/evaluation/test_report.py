"""The report's sheets, plots and warp overlay, from pictures made here."""

import re

import numpy as np
import pytest
import torch

from model.network import Network, build
from workflows.evaluation.report.contact_sheet import GAP, STRIP, contact_sheet
from workflows.evaluation.report.page import TEMPLATE
from workflows.evaluation.report.plots import psnr_against_frames, roc
from workflows.evaluation.report.samples import Sample, drawn_clips, extreme_clips
from workflows.evaluation.report.warp_overlay import MARGIN, TILE, warp_overlay
from workflows.shared.figures import figure_png
from workflows.shared.pictures import jpeg, png

COLOURS = {"ground_truth": 200, "low": 60, "bicubic": 40, "f1": 80}


def sample(*names: str) -> Sample:
    return Sample(
        "a#0@12",
        low=np.full((8, 8, 3), 10, np.uint8),
        faces={name: np.full((64, 64, 3), COLOURS[name], np.uint8) for name in names},
        values={name: {"psnr": 20.0} for name in names},
    )


def test_contact_sheet_shows_each_picture_in_its_column() -> None:
    """Columns as asked for, `low` as bare pixels, a missing picture grey (190)."""
    names = ["ground_truth", "low", "bicubic", "f1"]
    sheet = contact_sheet([sample(*names), sample("ground_truth", "low", "bicubic")], names, "psnr")
    height, width = STRIP + 2 * (128 + GAP + STRIP), 4 * (128 + GAP)
    assert sheet.shape == (height, width, 3)
    rows = sheet[STRIP:].reshape(2, 128 + GAP + STRIP, 4, 128 + GAP, 3)
    faces = rows[:, GAP // 2 : GAP // 2 + 128, :, GAP // 2 : GAP // 2 + 128]
    assert faces.mean(axis=(1, 3, 4)).tolist() == [[200, 10, 40, 80], [200, 10, 40, 190]]
    assert faces.std(axis=(1, 3)).max() == 0
    below = rows[:, 128 + GAP :]
    # The row's number under the truth, the figure under the others, nothing where there is none.
    assert (below.min(axis=(1, 3, 4)) < 128).tolist() == [[True] * 4, [True, True, True, False]]
    assert png(sheet).startswith(b"\x89PNG") and jpeg(sheet).startswith(b"\xff\xd8")


def test_drawn_clips_are_of_different_people_first_and_follow_the_seed() -> None:
    identities = ["ann"] * 20 + ["bob"] * 20 + ["cat"]
    chosen = drawn_clips(identities, 5, seed=1)
    assert {identities[index] for index in chosen[:3]} == {"ann", "bob", "cat"}
    assert len(set(chosen)) == 5
    assert chosen == drawn_clips(identities, 5, seed=1) != drawn_clips(identities, 5, seed=2)


def test_best_and_worst_by_the_direction_of_the_measure() -> None:
    values = np.array([3.0, np.nan, 1, 2, 9, 8, 7, 6, 5, 4, 10, 11, 12])
    few = ["ann", "bob"] * 7
    assert extreme_clips(values, few, "psnr") == ([12, 11, 10, 4, 5], [2, 3, 0, 9, 8])
    assert extreme_clips(values, few, "l2_fc7") == ([2, 3, 0, 9, 8], [12, 11, 10, 4, 5])
    assert extreme_clips(values[:4], few, "psnr") == ([0], [2])
    many = [f"p{index // 2}" for index in range(40)]
    both = extreme_clips(np.arange(40.0), many, "psnr")
    assert both == ([39, 37, 35, 33, 31], [0, 2, 4, 6, 8])


def test_plots_show_what_was_measured_and_are_absent_otherwise() -> None:
    figures = {"bicubic": {"psnr": 20.0}, "linear": {"psnr": 20.5}, "f1": {"psnr": 21.0},
               "f5": {"psnr": 21.5},
               "f5warp": {"psnr": 22.0}, "mine": {"psnr": 30.0}}  # fmt: skip
    plot = psnr_against_frames(figures)
    assert plot is not None
    lines = {line.get_label(): line.get_xydata() for line in plot.axes[0].get_lines()}
    assert np.array_equal(lines["warped"], [[1, 21], [5, 22]])
    assert np.array_equal(lines["stacked as they are"], [[1, 21], [5, 21.5]])
    assert set(lines["linear"][:, 1]) == {20.5}
    assert figure_png(plot).startswith(b"\x89PNG")
    assert psnr_against_frames({"bicubic": {"psnr": 20.0}, "f1": {"psnr": 21.0}}) is None

    curve = (np.array([0, 0, 1.0]), np.array([0, 1.0, 1]))
    both = roc({"own": {"f1": curve}, "judge": {"f1": curve}})
    assert both is not None and len(both.axes) == 2
    assert figure_png(both)
    assert roc({"own": {}, "judge": {}}) is None


def test_warp_overlay_draws_the_grid_where_the_predictor_reads() -> None:
    """A predictor that shifts every point by +0.25 (of a picture from −1 to 1) moves the grid
    TILE/8 pixels to the right, and the warped frame shows what lay there."""
    network = build("f5warp", scale=4, size=32, width=0.05)
    assert isinstance(network, Network) and network.predictor is not None
    with torch.no_grad():
        network.predictor.last.bias.view(-1, 2)[:, 0] = 0.25
    low = np.zeros((25, 8, 8, 3), np.uint8)
    low[:, :, 4:] = 255
    picture = warp_overlay(network, low)
    tile = TILE + 2 * MARGIN
    assert picture.shape == (2 * (tile + 18), 5 * tile, 3)
    greenish = (picture[..., 1].astype(int) - picture[..., 0] > 60)[18:tile]
    first = [np.flatnonzero(greenish[:, n * tile : (n + 1) * tile].any(axis=0))[0] for n in (0, 1)]
    assert first[1] - first[0] == pytest.approx(TILE / 8, abs=1)
    bright = (picture[tile + 36 : 2 * tile, :, 0] > 128)[tile // 2]
    edges = [
        MARGIN + np.flatnonzero(bright[n * tile + MARGIN : (n + 1) * tile - MARGIN])[0]
        for n in (0, 1)
    ]
    assert edges[0] - edges[1] == pytest.approx(TILE / 8, abs=1)


def test_the_page_asks_for_nothing_from_outside() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert not re.findall(r"https?://|<link|src=\"[^{]", text)
