"""Film of high dynamic range is shown as an ordinary screen would, by published formulas."""

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from datasets.sources.films.hdr import Curve, as_shown
from tests.support.films import film, flat, read

LUMA = np.array([0.2627, 0.6780, 0.0593])  # of BT.2020
TO_2020 = np.array([
    [0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956],
])  # fmt: skip  # of BT.709's light, by BT.2087


def pq(nits: np.ndarray) -> np.ndarray:
    """The code of light by ST 2084, table values: m1 0.15930, m2 78.84375, c 0.83594, 18.8516…"""
    y = (nits / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def hlg(nits: np.ndarray) -> np.ndarray:
    """The code of light on a screen of 1000 nits by BT.2100: the inverse of its gamma of 1.2, then
    its curve."""
    light = nits / 1000
    luma = (LUMA * light).sum(-1, keepdims=True)
    scene = light * np.where(luma > 0, luma, 1) ** (1 / 1.2 - 1)
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


def coded(signal: np.ndarray, full: bool) -> tuple[int, int, int]:
    """10-bit Y'CbCr of R'G'B' by BT.2020."""
    y = float((LUMA * signal).sum())
    cb, cr = (signal[2] - y) / 1.8814, (signal[0] - y) / 1.4746
    scale, offset = (1023, 1023) if full else (876, 896), 0 if full else 64
    return round(scale[0] * y + offset), round(scale[1] * cb + 512), round(scale[1] * cr + 512)


def tagged(curve: ColorTrc, full: bool) -> Callable[[VideoStream], None]:
    def adjust(stream: VideoStream) -> None:
        context = stream.codec_context
        context.color_primaries, context.color_trc = ColorPrimaries.BT2020, curve
        context.colorspace = Colorspace.BT2020
        context.color_range = ColorRange.JPEG if full else ColorRange.MPEG

    return adjust


def shown(
    path: Path, signal: np.ndarray, curve: ColorTrc, full: bool = False
) -> tuple[np.ndarray, Counter[str]]:
    """The colour that a film of one coded colour is shown in, and what was treated in 5 frames."""
    frames = [flat(coded(signal, full), "yuv420p10le", 64, 64) for _ in range(5)]
    codec = {".mp4": "libx265", ".mkv": "ffv1"}[path.suffix]
    options = {"x265-params": "log-level=none:qp=1"} if codec == "libx265" else {}
    film(path, frames, codec, "yuv420p10le", adjust=tagged(curve, full), **options)
    found, footage = read(path)
    return np.median(found[0], (0, 1)), footage.counts


@pytest.mark.parametrize(
    ("curve", "full"),
    [(ColorTrc.SMPTE2084, False), (ColorTrc.SMPTE2084, True), (ColorTrc.ARIB_STD_B67, False)],
)
def test_light_up_to_white_stays_what_it_is(tmp_path: Path, curve: ColorTrc, full: bool) -> None:
    """Grey of 10, 50, 150 and 203 nits, a face's colour, by their light in BT.709:
    code = 255 (nits / 203)^(1/2.4)."""
    for light in ([10] * 3, [50] * 3, [150] * 3, [203] * 3, [110, 70, 50]):
        wide = TO_2020 @ np.array(light, float)
        signal = (pq if curve == ColorTrc.SMPTE2084 else hlg)(wide)
        found, counts = shown(tmp_path / "v.mp4", signal, curve, full)
        expected = 255 * (np.array(light) / 203) ** (1 / 2.4)
        np.testing.assert_allclose(found, expected, atol=3)
        assert counts == {"HDR frames": 5}


@pytest.mark.parametrize(
    ("light", "level"),
    [([400] * 3, [255] * 3), ([4000] * 3, [255] * 3), ([812, 406, 203], [255, 191.0, 143.1])],
)
def test_what_is_brighter_than_white_keeps_its_hue(
    tmp_path: Path, light: list[int], level: list[float]
) -> None:
    """The largest of the three becomes white: 1, 1/2 and 1/4 are 255, 191.0 and 143.1."""
    signal = pq(TO_2020 @ np.array(light, float))
    found, _ = shown(tmp_path / "v.mkv", signal, ColorTrc.SMPTE2084)
    np.testing.assert_allclose(found, level, atol=2.5)


def test_an_ordinary_film_of_wide_gamut_keeps_its_colours(tmp_path: Path) -> None:
    light = np.array([0.5, 0.3, 0.2])  # of BT.709, 1 for white
    signal = (TO_2020 @ light) ** (1 / 2.4)
    found, counts = shown(tmp_path / "v.mkv", signal, ColorTrc.BT2020_10)
    np.testing.assert_allclose(found, 255 * light ** (1 / 2.4), atol=2.5)
    assert counts == {"frames of wide gamut": 5}


@pytest.mark.parametrize("curve", ["PQ", "HLG"])
def test_what_is_shown_grows_with_the_light_and_keeps_to_the_screen(curve: Curve) -> None:
    grey = np.repeat(np.linspace(0, 1, 500)[:, None], 3, 1)
    shown = as_shown(grey, curve)
    assert (np.diff(shown[:, 1]) >= 0).all()
    any_colour = as_shown(np.random.default_rng(0).random((500, 3)), curve)
    assert any_colour.min() >= 0 and any_colour.max() <= 1


@pytest.mark.parametrize("name", ["a:b", "it's", "back\\slash", "a,b;c[d]=e"])
def test_the_folder_of_temporary_files_may_have_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
    found, counts = shown(tmp_path / "v.mkv", pq(np.full(3, 203.0)), ColorTrc.SMPTE2084)
    np.testing.assert_allclose(found, 255, atol=2.5)
    assert counts == {"HDR frames": 5}
