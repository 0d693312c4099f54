"""Tables 1 and 2 and the table of all results, in three formats."""

import csv
import io
from typing import Any

import pytest

from workflows.evaluation.report.tables import results, table_1, table_2
from workflows.shared.tables import Cell, Table, comma_separated, latex, markdown


def row(psnr: float | None, fc7: float, verification: float | None, **more: Any) -> dict[str, Any]:
    found = {
        "psnr": psnr, "ssim": 0.5, "verification": verification, "clips": 12,
        "verification_interval": [verification - 2, verification + 1.5] if verification else None,
        "l2_pool3": fc7 * 2, "l2_pool4": fc7, "l2_fc7": fc7, "consistency": 30.0, "temporal": None,
    }  # fmt: skip
    return found | more


FIGURES = {
    "ground_truth": row(None, 0.0, 97.5, consistency=100.0),
    "bicubic": row(23.456, 0.5, 80.0, consistency=41.25),
    "a_b&c": row(24.0, 0.3123, None),
}


def test_results_mark_the_best_method_and_dash_what_was_not_measured() -> None:
    table = results(FIGURES)
    assert table.titles[:3] == ["method", "PSNR [dB]", "SSIM"]
    assert "flicker [levels]" not in table.titles and "by the judge [%]" not in table.titles
    cells = {line[0].text: dict(zip(table.titles, line, strict=True)) for line in table.rows}
    assert cells["ground truth"]["PSNR [dB]"].text == "–"
    assert cells["ground truth"]["consistency [dB]"].text == "exact"
    assert cells["bicubic"]["verification [%]"].text == "80.00 (78.0–81.5)"
    best = {name: [title for title, cell in line.items() if cell.best]
            for name, line in cells.items()}  # fmt: skip
    # The truth is no method; SSIM is a tie, so both are best.
    assert best["ground truth"] == []
    assert best["bicubic"] == ["SSIM", "verification [%]", "consistency [dB]"]
    assert best["a b&c"] == ["PSNR [dB]", "SSIM", "distance pool3", "distance pool4",
                             "distance fc7"]  # fmt: skip


def test_a_row_of_fewer_clips_is_never_the_best() -> None:
    table = results(FIGURES | {"mine": row(40.0, 0.01, 99.0, clips=11)})
    assert not any(cell.best for cell in table.rows[-1])
    assert [line[0].text for line in table.rows if line[1].best] == ["a b&c"]


def test_markdown_csv_and_latex_hold_the_same_cells() -> None:
    table = table_2(FIGURES)
    texts = [[cell.text for cell in line] for line in table.rows]
    lines = markdown(table).splitlines()
    plain = [line.replace("**", "").strip("| ").split(" | ") for line in (lines[0], *lines[2:])]
    assert plain == [table.titles, *texts]
    assert "**24.00**" in lines[4] and "**80.00 (78.0–81.5)**" in lines[3]
    read = list(csv.reader(io.StringIO(comma_separated(table))))
    assert [line[:-1] for line in read] == [table.titles, *texts]
    assert read[3][-1] == "PSNR [dB]; SSIM"
    tex = latex(table)
    assert r"verification [\%]" in tex and r"a b\&c & \textbf{24.00}" in tex
    assert "80.00 (78.0--81.5)" in tex
    assert {line.count("&") - line.count(r"\&") for line in tex.splitlines() if r"\\" in line} == {
        len(table.titles) - 1
    }


def test_table_1_has_rows_of_train_and_test_people_and_a_best_of_each() -> None:
    other = {"bicubic": row(30.0, 0.1, 90.0), "f1": row(29.0, 0.2, 95.0)}
    table = table_1({"train": other, "test": FIGURES})
    assert [[cell.text for cell in line[:2]] for line in table.rows] == [
        ["train", "bicubic"], ["train", "f1"],
        ["test", "ground truth"], ["test", "bicubic"], ["test", "a b&c"],
    ]  # fmt: skip
    psnr = table.titles.index("PSNR [dB]")
    assert [line[psnr].best for line in table.rows] == [True, False, False, False, True]
    assert [cell.text for cell in table_1({"test": FIGURES}).rows[0][:2]] == [
        "test", "ground truth",
    ]  # fmt: skip


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r=", "\n@", " =", "＝"])
def test_a_spreadsheet_runs_no_cell_and_numbers_stay_numbers(begin: str) -> None:
    text = begin + "cmd|' /C calc'!A0"
    numbers = [Cell("-0.5"), Cell("+1.25"), Cell("-1e-4"), Cell("-0.13 (-0.2–0.1)", -0.13)]
    table = Table([text, "a", "b", "c", "d"], [[Cell(text), *numbers]])
    titles, row = csv.reader(io.StringIO(comma_separated(table), newline=""))
    assert titles[0] == row[0] == "'" + text.replace("\r", " ").replace("\n", " ")
    assert row[1:] == ["-0.5", "+1.25", "-1e-4", "-0.13 (-0.2–0.1)", ""]


def test_a_name_stays_text_in_markdown_and_latex() -> None:
    name = "<img src=x>|a\nb\\input{/etc/passwd}~^"
    table = Table(["method", name], [[Cell("f1"), Cell(name)]])
    lines = markdown(table).splitlines()
    assert len(lines) == 3
    assert lines[2] == r"| f1 | &lt;img src=x>\|a b\input{/etc/passwd}~^ |"
    assert lines[0].endswith(lines[2].removeprefix("| f1 "))
    tex = latex(table).splitlines()[4]
    assert tex == (
        r"f1 & <img src=x>|a b\textbackslash{}input\{/etc/passwd\}"
        r"\textasciitilde{}\textasciicircum{} \\"
    )
