"""Names of variants, read and made."""

import subprocess
import sys

import pytest

from model.variants import Variant, parse_variant, variant_name, widest
from tests.support.root import ROOT


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bicubic", Variant(1, False)),
        ("f1", Variant(1, False)),
        ("f9", Variant(9, False)),
        ("f5warp", Variant(5, True)),
        ("f15warp", Variant(15, True)),
    ],
)
def test_names_are_read(name: str, expected: Variant) -> None:
    assert parse_variant(name) == expected


@pytest.mark.parametrize("name", ["f4", "f0", "f1warp", "f05", "warp", "F5", "f5 warp", ""])
def test_other_names_are_refused_with_a_remedy(name: str) -> None:
    with pytest.raises(ValueError, match=r"expected bicubic or f<odd number>|use f1"):
        parse_variant(name)


def test_names_are_made() -> None:
    made = [variant_name(1, True), variant_name(5, True), variant_name(25, False)]
    assert made == ["f1", "f5warp", "f25"]


def test_widest_has_most_frames_among_the_aligned_if_any() -> None:
    assert widest(["f1"]) == "f1"
    assert widest(["f25", "f1", "f5"]) == "f25"
    assert widest(["f1", "f25", "f5warp"]) == "f5warp"
    assert widest(["f5warp", "f25warp", "f25", "f9warp"]) == "f25warp"


def test_reading_a_name_takes_no_torch() -> None:
    program = "import sys, model.variants; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
