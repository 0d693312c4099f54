"""What a search gave: its trials as rows, the Pareto front, and the trial that is chosen."""

from typing import Any

Row = dict[str, Any]  # variant, num_frames, warp, perceptual, learning_rate, psnr, …
OBJECTIVES = ("psnr", "verification")
RULE = (
    "of the trials that no other beats in both PSNR and verification, the one nearest to the best "
    "of both, each measured in units of its spread over the front; then the higher verification"
)


def objectives(metric: str) -> list[str]:
    """What the setting `tune.metric` maximises."""
    return list(OBJECTIVES) if metric == "both" else [metric]


def front(rows: list[Row]) -> list[Row]:
    """The rows that no other row reaches in both objectives and beats in one, by rising PSNR."""
    kept = [row for row in rows if not any(_dominates(other, row) for other in rows)]
    return sorted(kept, key=lambda row: (row["psnr"], row["verification"]))


def chosen(rows: list[Row], metric: str) -> Row:
    """The best row by one metric (the other breaks ties), or by RULE where both count."""
    if metric == "both":
        return _compromise(front(rows))
    other = next(name for name in OBJECTIVES if name != metric)
    return max(rows, key=lambda row: (row[metric], row[other] or 0.0))


def best_json(rows: list[Row], metric: str) -> Row:
    """The content of `tune/best.json`: the chosen row, and with two objectives front and rule."""
    best = chosen(rows, metric) | {"metric": metric}
    return best | {"rule": RULE, "front": front(rows)} if metric == "both" else best


def table(rows: list[Row]) -> list[list[str]]:
    """Every trial as text, header first, best PSNR on top; what was not searched has no column."""
    layers = list(rows[0]["perceptual"]) if rows else []
    others = {
        name: title
        for name, title in (("frame_step", "frame step"), ("learning_rate", "learning rate"))
        if any(row.get(name) is not None for row in rows)
    }
    header = ["trial", "variant", *(f"λ {layer}" for layer in layers), *others.values()]
    lines = [[*header, "steps", "PSNR [dB]", "verification [%]"]]
    for row in sorted(rows, key=lambda row: -row["psnr"]):
        numbers = [row["perceptual"][layer] for layer in layers]
        numbers += [row[name] for name in others]
        same = "–" if row["verification"] is None else f"{row['verification']:.1f}"
        said = ["–" if number is None else f"{number:.3g}" for number in numbers]
        lines.append([row["trial"], row["variant"], *said,
                      str(row["steps"]), f"{row['psnr']:.2f}", same])  # fmt: skip
    return lines


def _dominates(one: Row, other: Row) -> bool:
    pairs = [(one[name], other[name]) for name in OBJECTIVES]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def _compromise(rows: list[Row]) -> Row:
    def distance(row: Row) -> float:
        total = 0.0
        for name in OBJECTIVES:
            values = [other[name] for other in rows]
            spread = max(values) - min(values)
            total += ((max(values) - row[name]) / spread) ** 2 if spread else 0.0
        return total

    # Rounded, so that the two ends of a front of two are a tie and not a matter of the last bit.
    return min(rows, key=lambda row: (round(distance(row), 9), -row["verification"]))
