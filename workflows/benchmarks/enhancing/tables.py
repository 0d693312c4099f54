"""The figures of `benchmark.py enhance` as text, with what is required of them."""

from pathlib import PurePath
from typing import Any

from workflows.benchmarks.preprocess_tables import judged

FASTER, OVERHEAD = 1.8, 0.10
Figures = dict[str, Any]


def enhance_table(figures: Figures) -> str:
    """The figures as Markdown tables, with what is required and whether it was reached."""
    facts, start = figures["machine"], figures["start_seconds"]
    lines = [
        f"{figures['source']}: {figures['films']} films, {figures['faces']['plain']} faces, "
        f"detector {PurePath(figures['detector']).name}, {figures['variant']} {figures['sizes']}",
        f"{facts['cpu']}, {facts['cores']} cores, load {facts['load']}, GPUs {figures['gpus']}; "
        f"{figures['rounds']} rounds",
        f"start-up on {figures['workers'][0]} cores: Ray {start['ray']:.1f} s, its workers "
        f"{start['workers']:.1f} s, a stage of a few faces {start['few_faces']:.1f} s",
        f"largest difference of a restored face, plain and stage: {figures['difference']} levels",
        "",
        "| way | faces/s (min – max) | CPU ms a face | cores busy | rate × plain | CPU × plain "
        "| CPU × in process |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in figures["rows"]:
        lines.append(
            f"| {row['way']} | {row['faces_per_second']:.1f} "
            f"({row['faces_per_second_min']:.1f} – {row['faces_per_second_max']:.1f}) "
            f"| {row['cpu_ms']:.1f} | {row['cores_busy']:.2f} | {row['rate_to_plain']:.2f} "
            f"| {row['cpu_to_plain']:.2f} | {row['cpu_to_in_process']:.2f} |"
        )
    for title, shares in figures["shares"].items():
        lines += ["", f"| {title} | {' | '.join(shares)} |", "|---|" + "---:|" * len(shares)]
        lines.append("| | " + " | ".join(f"{part:.0%}" for part in shares.values()) + " |")
    return "\n".join([*lines, "", *_judged(figures)])


def _judged(figures: Figures) -> list[str]:
    """What the network does alone, and one line for each requirement."""
    rows = {row["way"]: row for row in figures["rows"]}
    fewest, most = (f"stage {count(figures['workers'])}" for count in (min, max))
    rate, extra = rows[most]["rate_to_plain"], rows[fewest]["cpu_to_in_process"] - 1
    return [
        f"the network alone: {figures['restored_per_second']:.1f} faces/s, {most} end to end "
        f"{rows[most]['faces_per_second']:.1f}",
        judged(f"{most} to the plain loop: {rate:.2f}, at least {FASTER}", rate >= FASTER),
        f"of processor time alone: {1 / rows[most]['cpu_to_plain']:.2f}",
        judged(
            f"processor time of {fewest} over that of its steps without Ray: {extra:+.0%}, at most "
            f"{OVERHEAD:.0%}", extra <= OVERHEAD,
        ),
    ]  # fmt: skip
