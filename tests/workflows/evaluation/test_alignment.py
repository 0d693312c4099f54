"""The measures of alignment against predictors of which the answer is known."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import Tensor

from infra.runs import Run
from model.objectives.known_motion import make_burst
from model.thin_plate_spline import dense_field
from tests.support.tiny_training import write_shards
from workflows.evaluation import alignment
from workflows.evaluation.alignment import picture, spread
from workflows.shared.motion_errors import Predict, error_by_distance, known_motion, stored_motion

SCALE, SIGMA, SEED = 4, 1.2, 3


def faces(count: int = 3, size: int = 32) -> Tensor:
    small = torch.rand(count, 3, size // 8, size // 8)
    return torch.nn.functional.interpolate(small, (size, size), mode="bicubic").clamp(0, 1)


def still(central: Tensor, adjacent: Tensor) -> Tensor:
    return torch.zeros(len(central), 64, 2)


def drift(x: float) -> Predict:
    """A predictor that reads every pixel `x` (normalised) to the right of its place."""
    return lambda central, adjacent: torch.tensor([x, 0.0]).expand(len(central), 64, 2)


def test_a_predictor_that_knows_the_motion_has_no_error() -> None:
    high = faces()
    burst = make_burst(high, SCALE, SIGMA, generator=torch.Generator().manual_seed(SEED))

    def oracle(central: Tensor, adjacent: Tensor) -> Tensor:
        assert torch.equal(central, burst.central) and torch.equal(adjacent, burst.adjacent)
        return burst.shifts

    found = known_motion(oracle, high, SCALE, SIGMA, SEED)
    assert found["after"] == pytest.approx(0, abs=1e-4)
    assert 0.05 < found["before"] < 2


def test_the_identity_leaves_the_end_point_error_as_it_was() -> None:
    """before = after = mean |A s| · w / 2 over pixels, A s the displacement of the true shifts s;
    the draw is repeated from the seed, and more faces than one part holds are all counted."""
    high = faces(34)
    found = known_motion(still, high, SCALE, SIGMA, SEED)
    assert found["before"] == found["after"]
    assert found == known_motion(still, high, SCALE, SIGMA, SEED)
    assert found != known_motion(still, high, SCALE, SIGMA, SEED + 1)
    generator = torch.Generator().manual_seed(SEED)
    shifts = [make_burst(part, SCALE, SIGMA, generator=generator).shifts for part in high.split(32)]
    moved = dense_field(torch.cat(shifts), 8, 8)
    place = dense_field(torch.zeros(34, 64, 2), 8, 8)
    expected = np.linalg.norm((moved - place).numpy() * 4, axis=-1).mean()
    assert found["before"] == pytest.approx(expected, abs=1e-4)


def test_stored_motion_is_measured_at_each_distance_where_it_is_known() -> None:
    """Two clips of five that drift by (t, 0)/8 pixels of 8 in frame t; of the second, frame 4 is
    not known. So at distance d the error of the identity is d/8, over 4 and 3 pairs."""
    low = torch.rand(2, 5, 3, 8, 8)
    motion = torch.zeros(2, 5, 64, 2, dtype=torch.float16)
    motion[..., 0] = torch.tensor([-2.0, -1, 0, 1, 2])[:, None] / 32
    motion[1, 4] = torch.nan
    expected = [
        {"distance": d, "pairs": pairs, "before": d / 8, "after": d / 8}
        for d, pairs in ((1, 4), (2, 3))
    ]
    assert stored_motion(still, low, motion) == expected

    def oracle(central: Tensor, adjacent: Tensor) -> Tensor:
        """Finds the pair, and the motion in the table."""
        return torch.stack([
            next(motion[n, t].float() for n in range(2) for t in range(5)
                 if torch.equal(a, low[n, t]) and torch.equal(c, low[n, 2]))
            for c, a in zip(central, adjacent, strict=True)
        ])  # fmt: skip

    assert [row["after"] for row in stored_motion(oracle, low, motion)] == [0, 0]
    assert stored_motion(still, low, torch.full_like(motion, torch.nan)) == []


def test_squared_error_of_each_distance_is_that_of_a_loop() -> None:
    """Mean over clips, both sides, pixels and colours of (255 · difference)²."""
    low = torch.rand(10, 7, 3, 8, 8)
    found = error_by_distance(still, low)
    levels = low.double().numpy() * 255
    expected = [
        np.mean([(levels[:, 3 + side * d] - levels[:, 3]) ** 2 for side in (-1, 1)])
        for d in (1, 2, 3)
    ]
    assert found["before"].numpy() == pytest.approx(expected, rel=1e-6)
    assert found["smoothed"].numpy() == pytest.approx(expected, rel=1e-4)
    assert found["after"].numpy() == pytest.approx(expected, rel=1e-4)


def test_smoothed_is_the_mean_of_both_neighbours_of_a_pixel() -> None:
    """For shifts of half a pixel: ((a₋₁ + a₀)/2 + (a₀ + a₁)/2)/2 = (a₋₁ + 2 a₀ + a₁)/4 in x."""
    low = torch.rand(2, 3, 3, 8, 8)
    levels = 255 * np.pad(low.double().numpy(), [(0, 0)] * 4 + [(1, 1)], mode="edge")
    mean = (levels[..., :-2] + 2 * levels[..., 1:-1] + levels[..., 2:]) / 4
    expected = np.mean([(mean[:, side] - levels[:, 1, ..., 1:-1]) ** 2 for side in (0, 2)])
    assert error_by_distance(drift(1 / 8), low)["smoothed"].item() == pytest.approx(expected, 1e-3)


def test_motion_undone_leaves_no_squared_error() -> None:
    """Frames that lie one pixel further left are read one pixel (2 / 8) further left again."""
    scene = torch.rand(2, 3, 8, 12)
    centre, moved = scene[..., 2:10], scene[..., 3:11]
    low = torch.stack((moved, centre, moved), dim=1)
    low[..., 0] = 0.5  # what is read outside the image is unknown; keep that column alike
    low[:, 0::2, ..., 0] = low[:, 1:2, ..., 0]
    found = error_by_distance(drift(-2 / 8), low)
    assert float(found["before"]) > 1000
    assert float(found["after"]) < 0.3 * float(found["before"])


def test_clips_of_the_figure_are_of_different_people_as_far_as_there_are() -> None:
    assert spread(["a", "a", "b", "a", "c"], 4) == [0, 2, 4, 1]
    assert spread(["a", "a"], 6) == [0, 1]


def test_the_picture_has_a_row_a_clip_and_five_columns() -> None:
    figure = picture(still, torch.rand(2, 5, 3, 8, 8))
    assert len(figure.axes) == 10
    assert [axes.get_title() for axes in figure.axes[:3]] == ["centre", "neighbour", "warped"]
    before, after = (figure.axes[column].images[0].get_array() for column in (3, 4))
    assert np.allclose(before, after, atol=1e-5)
    plt.close(figure)


def test_figures_are_said_as_they_are_measured(
    ready: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All but the last, which fails."""

    def fail(*_: object) -> None:
        raise KeyError("the linear gain")

    monkeypatch.setattr(alignment, "linear_gains", fail)
    write_shards(ready, "test", 8)
    with pytest.raises(KeyError):
        alignment.align(ready)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "[alignment] 8 test clips of 4 people"
    assert said[1].startswith("[alignment] end-point error")
    assert "2 frames away: squared error" in said[-1]
