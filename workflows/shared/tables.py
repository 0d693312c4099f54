"""A table as Markdown, CSV and LaTeX, the best values marked. Which columns the tables of results
have: evaluation/report/tables.py."""

import csv
import io
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A cell as text, the number behind it for sorting, and whether it is the best of its kind."""

    text: str
    value: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table: titles, and rows of as many cells."""

    titles: list[str]
    rows: list[list[Cell]]


def markdown(table: Table) -> str:
    """The table in Markdown, the best values bold."""
    lines = [
        "| " + " | ".join(map(_one_cell, table.titles)) + " |",
        "| --- |" + " ---: |" * (len(table.titles) - 1),
    ]
    for row in table.rows:
        cells = [f"**{cell.text}**" if cell.best else cell.text for cell in row]
        lines.append("| " + " | ".join(map(_one_cell, cells)) + " |")
    return "\n".join(lines) + "\n"


def comma_separated(table: Table) -> str:
    """The table as CSV, with a last column that names the columns in which the row is best.

    A text that a spreadsheet would run as a formula has an apostrophe before it; numbers have none.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*map(_no_formula, table.titles), "best in"])
    for row in table.rows:
        best = [title for title, cell in zip(table.titles, row, strict=True) if cell.best]
        cells = [cell.text if cell.value is not None else _no_formula(cell.text) for cell in row]
        writer.writerow([*cells, _no_formula("; ".join(best))])
    return stream.getvalue()


def latex(table: Table) -> str:
    """The table as a LaTeX `tabular` that needs no package, the best values bold."""
    lines = [f"\\begin{{tabular}}{{l{'r' * (len(table.titles) - 1)}}}", "\\hline",
             " & ".join(map(_escaped, table.titles)) + r" \\", "\\hline"]  # fmt: skip
    for row in table.rows:
        cells = [_escaped(cell.text) for cell in row]
        bold = [f"\\textbf{{{text}}}" if cell.best else text
                for text, cell in zip(cells, row, strict=True)]  # fmt: skip
        lines.append(" & ".join(bold) + r" \\")
    return "\n".join([*lines, "\\hline", "\\end{tabular}"]) + "\n"


# How formulas begin in spreadsheets, the wide forms of East Asian ones too.
FORMULA = tuple("=+-@＝＋－＠")
FORMATS = {"md": markdown, "csv": comma_separated, "tex": latex}


# What means something to LaTeX, and how it is written.
LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
       "–": "--", "\n": " ", "\r": " "}
)  # fmt: skip


def _escaped(text: str) -> str:
    return text.translate(LATEX)


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


def _one_cell(text: str) -> str:
    """A text that stays in its cell of Markdown, and is no HTML there."""
    return _one_line(text).replace("<", "&lt;").replace("|", "\\|")


def _no_formula(text: str) -> str:
    try:
        float(text)
    except ValueError:
        # csv leaves a lone carriage return bare, behind which spreadsheets begin a row.
        line = _one_line(text)
        return f"'{line}" if line.startswith("\t") or line.lstrip().startswith(FORMULA) else line
    return text
