"""The figures of `benchmark.py preprocess` as text, with what is required of them."""

from pathlib import PurePath
from typing import Any

FASTER, OVERHEAD, LARGEST_SHARE, GROWTH = 1.6, 0.10, 1 / 3, 0.10
Figures = dict[str, Any]


def preprocess_table(figures: Figures) -> str:
    """The figures as Markdown tables, with what is required and whether it was reached."""
    facts, start, counts = figures["machine"], figures["start_seconds"], figures["counts"]
    lines = [
        f"{figures['source']}: {figures['videos']} videos, {counts['plain']['frames']} frames, "
        f"{counts['stage 1']['clips']} clips (plain loop: {counts['plain']['clips']}), "
        f"min_face {figures['min_face']}, detector {PurePath(figures['detector']).name}",
        f"{facts['cpu']}, {facts['cores']} cores, load {facts['load']}; {figures['rounds']} rounds",
        f"start-up: Ray {start['ray']:.1f} s, its workers {start['workers']:.1f} s, "
        f"a stage of one video {start['one_video']:.1f} s",
        "",
        "| way | frames/s (min – max) | CPU ms a frame | rate × plain | CPU × plain "
        "| CPU × in process |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in figures["rows"]:
        lines.append(
            f"| {row['way']} | {row['frames_per_second']:.0f} "
            f"({row['frames_per_second_min']:.0f} – {row['frames_per_second_max']:.0f}) "
            f"| {row['cpu_ms']:.2f} | {row['rate_to_plain']:.2f} | {row['cpu_to_plain']:.2f} "
            f"| {row['cpu_to_in_process']:.2f} |"
        )
    lines += ["", f"| {' | '.join(figures['shares'])} |", "|" + "---:|" * len(figures["shares"])]
    lines += ["| " + " | ".join(f"{part:.0%}" for part in figures["shares"].values()) + " |", ""]
    return "\n".join([*lines, *_judged(figures)])


def _judged(figures: Figures) -> list[str]:
    """One line for each requirement."""
    rows = {row["way"]: row for row in figures["rows"]}
    rate, extra = rows["stage 2"]["rate_to_plain"], rows["stage 1"]["cpu_to_plain"] - 1
    others = {k: v for k, v in figures["shares"].items() if k not in ("decode", "detection")}
    most = max(others, key=others.__getitem__)
    lines = [
        judged(f"two workers to the plain loop: {rate:.2f}, at least {FASTER}", rate >= FASTER),
        judged(f"one worker's processor time over the plain loop's: {extra:+.0%}, at most "
               f"{OVERHEAD:.0%}", extra <= OVERHEAD),
        judged(f"largest share but decode and detection: {most} {others[most]:.0%}, at most a "
               "third", others[most] <= LARGEST_SHARE),
    ]  # fmt: skip
    if figures["memory_bytes"] is not None:
        once, ten = (figures["memory_bytes"][name] for name in ("1", "10"))
        text = f"peak memory {once / 2**20:.0f} MiB, for 10 times the input {ten / 2**20:.0f} MiB"
        lines.append(judged(f"{text}, less than {GROWTH:.0%} more", ten < (1 + GROWTH) * once))
    return lines


def judged(text: str, reached: bool) -> str:
    """A requirement, and whether it was reached."""
    return f"{text}: {'reached' if reached else 'NOT REACHED'}"
