"""The report's tables and contact sheet."""

import csv
import io

import numpy as np

from workflows.report import Sample, comma_separated, contact_sheet, markdown, png, table_rows

METRICS = {
    "ground_truth": {
        "psnr": None, "verification": 97.5, "verification_interval": [95.0, 99.0],
        "l2_pool3": 0.0, "l2_pool4": 0.0, "l2_fc7": 0.0, "clips": 12,
    },
    "f5warp": {
        "psnr": 23.456, "verification": None, "verification_interval": None,
        "l2_pool3": 0.51234, "l2_pool4": 0.4, "l2_fc7": 0.3, "clips": 12,
    },
}  # fmt: skip


def test_table_says_what_was_measured_and_dashes_what_was_not() -> None:
    table = table_rows(METRICS)
    assert table[0][:3] == ["variant", "PSNR, luma [dB]", "verification [%]"]
    assert table[1][:3] == ["ground truth", "–", "97.50 (95.0–99.0)"]
    assert table[2] == ["f5warp", "23.46", "–", "0.512", "0.400", "0.300", "12"]


def test_markdown_and_csv_hold_the_same_cells() -> None:
    table = table_rows(METRICS)
    lines = markdown(table).splitlines()
    assert [line.strip("| ").split(" | ") for line in (lines[0], *lines[2:])] == table
    assert list(csv.reader(io.StringIO(comma_separated(table)))) == table


def test_contact_sheet_shows_each_picture_in_its_column() -> None:
    colours = {"bicubic": 40, "f1": 80}
    sample = Sample(
        "a#0@12",
        low=np.full((8, 8, 3), 10, np.uint8),
        restored={name: np.full((64, 64, 3), value, np.uint8) for name, value in colours.items()},
        high=np.full((64, 64, 3), 200, np.uint8),
    )
    sheet = contact_sheet([sample, sample])
    rows = sheet[22:].reshape(2, 128, 4, 128, 3)
    assert [int(rows[1, :, column].mean()) for column in range(4)] == [10, 40, 80, 200]
    assert rows.std(axis=(1, 3)).max() == 0
    assert png(sheet).startswith(b"\x89PNG")
