"""Sums up the user study as the paper's Figure 4: shares of answers with 95 % Wilson intervals."""

from dataclasses import dataclass

from scipy.stats import binomtest

from infra import storage
from infra.errors import RunError
from infra.runs import Run
from workflows.shared.figures import figure_png, plt
from workflows.user_study.answers import Answers

LEVEL = 0.95
COLOURS = ("#1f6feb", "#b9bfc9", "#d97706")


@dataclass(frozen=True)
class Share:
    """How often one outcome of a pair was chosen, as shares of its answers."""

    outcome: str
    count: int
    share: float
    low: float
    high: float


def shares(answers: Answers) -> dict[tuple[str, str], list[Share]]:
    """For each pair: its first method, "tie" and its second, in this order.

    The interval is Wilson's score interval for a binomial share p = k / n at 95 %.
    """
    found = {}
    for pair, counts in answers.counts().items():
        total = counts.total()
        rows = []
        for outcome in (pair[0], "tie", pair[1]):
            count = counts[outcome]
            interval = binomtest(count, total).proportion_ci(LEVEL, method="wilson")
            rows.append(Share(outcome, count, count / total, interval.low, interval.high))
        found[pair] = rows
    return found


def write_summary(answers: Answers, run: Run) -> str:
    """Write `study/{summary.json,figure4.png}` of the run and return the table as Markdown.

    Raises RunError where there is no answer yet.
    """
    found = shares(answers)
    if not found:
        raise RunError(f"{answers.file}: holds no answer yet; run the study without --summary")
    people = answers.participants()
    content = {
        "participants": people,
        "pairs": [
            {"first": pair[0], "second": pair[1], "shares": [vars(share) for share in rows]}
            for pair, rows in found.items()
        ],
    }
    storage.write_json(run.path("study", "summary.json"), content)
    storage.write_bytes(run.path("study", "figure4.png"), _figure(found, people))
    return _table(found, people) + f"\n\nfigure: {run.path('study', 'figure4.png')}"


def _table(found: dict[tuple[str, str], list[Share]], people: int) -> str:
    lines = [
        f"{people} participants; share of answers in percent (95 % Wilson interval)",
        "",
        "| pair | answers | first | tie | second |",
        "|---|---:|---:|---:|---:|",
    ]
    for (first, second), rows in found.items():
        cells = " | ".join(
            f"{100 * row.share:.0f} ({100 * row.low:.0f} – {100 * row.high:.0f})" for row in rows
        )
        lines.append(f"| {first} : {second} | {sum(row.count for row in rows)} | {cells} |")
    return "\n".join(lines)


def _figure(found: dict[tuple[str, str], list[Share]], people: int) -> bytes:
    figure, axes = plt.subplots(figsize=(1.6 + 2.0 * len(found), 3.6), layout="constrained")
    for number, rows in enumerate(found.values()):
        for place, row in enumerate(rows):
            x = number + 0.27 * (place - 1)
            below, above = row.share - row.low, row.high - row.share
            axes.bar(x, 100 * row.share, 0.25, color=COLOURS[place])
            axes.errorbar(
                x, 100 * row.share, [[100 * below], [100 * above]], color="black", capsize=3
            )
            axes.annotate(row.outcome, (x, 0), (0, -4), textcoords="offset points", ha="center",
                          va="top", fontsize=8)  # fmt: skip
    axes.set_xticks([])
    axes.set_ylim(0, 100)
    axes.set_ylabel("answers [%]")
    axes.set_title(f"{people} participants, 95 % Wilson intervals", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure_png(figure, 130)
