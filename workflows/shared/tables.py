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
        "| " + " | ".join(table.titles) + " |",
        "| --- |" + " ---: |" * (len(table.titles) - 1),
    ]
    for row in table.rows:
        cells = [f"**{cell.text}**" if cell.best else cell.text for cell in row]
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |")
    return "\n".join(lines) + "\n"


def comma_separated(table: Table) -> str:
    """The table as CSV, with a last column that names the columns in which the row is best."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*table.titles, "best in"])
    for row in table.rows:
        best = [title for title, cell in zip(table.titles, row, strict=True) if cell.best]
        writer.writerow([*(cell.text for cell in row), "; ".join(best)])
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


FORMATS = {"md": markdown, "csv": comma_separated, "tex": latex}


def _escaped(text: str) -> str:
    for character in "&%$#_{}":
        text = text.replace(character, f"\\{character}")
    return text.replace("–", "--")
