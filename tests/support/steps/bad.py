"""A step for the driver's tests: it has figures, and then it fails."""

from workflows.bare_gpu.step import Figures, Given, Save


def run(given: Given, save: Save) -> Figures:
    save({"first": 1})
    raise RuntimeError("out of luck")


def table(figures: Figures) -> str:
    return f"first {figures['first']}"
