"""What the stage enhance says of its work: how it is laid out, and how fast each step was."""

from collections import Counter

from infra.settings.results import EnhanceSettings
from infra.text import number_of
from workflows.enhancement.receipts import Receipt
from workflows.enhancement.spans import Model

STEPS = {"read": "frames", "restore": "faces", "write": "faces"}  # and what each takes
# What a core reads of frames with one face in them, one of a recent GPU restores 50 to 300 times
# as fast (f1 to f25warp).
BUSY = "a GPU restores what 50 to 300 cores read"


def layout(
    films: int, networks: list[Model], options: EnhanceSettings, room: dict[str, float]
) -> str:
    """What is to be done, by what, and where: of `room` Ray's resources count."""
    by = ", ".join(
        f"{model.variant} {model.low_size} → {model.low_size * model.scale} px "
        f"(weights {model.sha256[:12]})" for model in networks
    )  # fmt: skip
    cores = f"{room.get('CPU', 0):g} CPUs"
    if gpus := options.gpus_per_worker:
        where = f"{cores} read and write, {room.get('GPU', 0) / gpus:g} workers restore on GPUs; "
        where += BUSY
    else:
        where = f"{cores} read, restore and write"
    return f"{number_of(films, 'film')} by {by} → {', '.join(options.outputs)}; {where}"


def speed(receipts: list[Receipt], gpus: float) -> str:
    """The pace and share of each step over some films; "" where nothing was restored."""
    took: dict[str, float] = dict.fromkeys(STEPS, 0.0)
    amounts: Counter[str] = Counter()
    for receipt in receipts:
        if not receipt.reason:
            for step, seconds in receipt.film["took"].items():
                took[step] += seconds
            amounts["frames"] += receipt.film["frames"]
            amounts["faces"] += receipt.film["faces"]
    total = sum(took.values())
    if not total or not all(took[step] for step in STEPS):
        return ""
    told = [
        f"{step} {amounts[thing] / took[step]:.0f} {thing}/s a process, "
        f"{100 * took[step] / total:.0f} %" for step, thing in STEPS.items()
    ]  # fmt: skip
    text = "; ".join(told)
    if gpus:
        cores = (took["read"] + took["write"]) / took["restore"] / gpus
        text += f": {cores:.0f} cores keep a GPU busy"
    return text
