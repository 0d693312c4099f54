"""The tests that need a GPU, and the numeric ones that can run on one."""

import os
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

from workflows.bare_gpu.driver import ROOT
from workflows.bare_gpu.step import Figures, Given, Save

MARK = "pytest.mark.gpu"
ON_DEVICE = "tests/model/test_on_device.py"  # asks FACESTACK_DEVICE; has some of the others too
# 2,000 steps, which the step `train` compares as well.
LONG = "tests/workflows/benchmarks/test_train.py::test_bf16_ends_where_fp32_does"


def run(given: Given, save: Save) -> Figures:
    """Run both kinds; each has its counts and what failed."""
    found: Figures = {}
    parts = {"numbers on the device": [ON_DEVICE]}
    if given.cuda:  # all of them skip without one
        parts["other tests marked gpu"] = ["-m", "gpu", "--deselect", LONG, *_marked()]
    for name, words in parts.items():
        found[name] = _pytest(words, given, Path(given.work) / "tests.xml")
        save(found)
    failed = sum(part["failed"] for part in found.values())
    if failed:
        raise SystemExit(f"{failed} tests failed")
    return found


def _marked() -> list[str]:
    """The files that hold such tests: others may want what is not here."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    marked = [str(f.relative_to(ROOT)) for f in files if MARK in f.read_text(encoding="utf-8")]
    return [file for file in marked if file != ON_DEVICE]


def _pytest(words: list[str], given: Given, report: Path) -> Figures:
    report.unlink(missing_ok=True)
    call = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts="]
    call += ["--import-mode=importlib", "--continue-on-collection-errors"]
    # Warnings of other versions than ours say nothing about the GPU.
    call += ["-o", "filterwarnings=default", f"--junitxml={report}", *words]
    subprocess.run(
        call, cwd=ROOT, env={**os.environ, "FACESTACK_DEVICE": given.device}, check=False
    )
    if not report.exists():
        return {
            "passed": 0,
            "failed": 1,
            "skipped": 0,
            "wrong": ["pytest did not run; see log.txt"],
        }
    cases = list(xml.parse(report).getroot().iter("testcase"))
    wrong = [
        f"{case.get('classname')}.{case.get('name')}: {(problem.get('message') or '')[:300]}"
        for case in cases
        for problem in case
        if problem.tag in ("failure", "error")
    ]
    skipped = sum(any(child.tag == "skipped" for child in case) for case in cases)
    return {"passed": len(cases) - skipped - len(wrong), "failed": len(wrong),
            "skipped": skipped, "wrong": wrong}  # fmt: skip


def table(figures: Figures) -> str:
    """Counts, and every failure by name."""
    lines = ["| | passed | failed | skipped |", "|---|---:|---:|---:|"]
    for name, found in figures.items():
        lines.append(f"| {name} | {found['passed']} | {found['failed']} | {found['skipped']} |")
    for found in figures.values():
        lines += ["", *(f"- {one}" for one in found["wrong"])]
    return "\n".join(lines)
