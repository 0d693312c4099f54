from collections import Counter

import pytest

from datasets.protocols.split import LeakError, Split, check_leaks, split_of

SHARES = (0.7, 0.15, 0.15)


def test_known_values_do_not_change_between_machines_and_versions() -> None:
    """SHA-256 of "seed NUL identity", first 8 bytes big-endian over 2⁶⁴, against 0.7 and 0.85."""
    assert [split_of(name, 0, SHARES) for name in ("id000", "id001", "id002", "Žofia Ünal")] == [
        "train",
        "validation",
        "train",
        "train",
    ]


def test_shares_hold_for_many_identities() -> None:
    counts = Counter(split_of(f"person {i}", 3, SHARES) for i in range(4000))
    assert counts["train"] / 4000 == pytest.approx(0.7, abs=0.03)
    assert counts["validation"] / 4000 == pytest.approx(0.15, abs=0.02)
    assert counts["test"] / 4000 == pytest.approx(0.15, abs=0.02)


def test_another_seed_deals_again() -> None:
    names = [f"person {i}" for i in range(100)]
    assert [split_of(name, 1, SHARES) for name in names] != [
        split_of(name, 2, SHARES) for name in names
    ]


def test_shares_may_leave_a_split_empty_and_must_sum_to_one() -> None:
    assert {split_of(f"person {i}", 0, (0.0, 0.0, 1.0)) for i in range(50)} == {"test"}
    with pytest.raises(ValueError, match="must sum to 1"):
        split_of("a", 0, (0.5, 0.1, 0.1))
    with pytest.raises(ValueError, match="must not be negative"):
        split_of("a", 0, (1.2, -0.1, -0.1))


@pytest.mark.parametrize(
    ("people", "tested", "message"),
    [
        ({"train": "ab", "validation": "c", "test": "bd"}, "", "both train and test, such as 'b'"),
        ({"train": "a", "validation": "bc", "test": "c"}, "", "both validation and test"),
        ({"train": "abd", "validation": "c", "test": ""}, "xb", "in train, and tested"),
    ],
)
def test_leaks_are_found(people: dict[Split, str], tested: str, message: str) -> None:
    with pytest.raises(LeakError, match=message):
        check_leaks(people, tested)


def test_people_apart_are_no_leak() -> None:
    check_leaks({"train": "ab", "validation": "c", "test": "de"}, "dx")
