"""Where results come from: the checkout, its commit, and the versions of what they depend on."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = "0.1.0"
PACKAGES = ("torch", "ray", "deepspeed", "pyarrow", "numpy", "opencv-python-headless", "av")


def versions() -> dict[str, str]:
    """Versions of facestack and of what its results depend on."""
    found = {"facestack": VERSION, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The git commit of this code, with "-dirty" where files were changed; None without one, as in
    a copy that Ray has uploaded."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=ROOT, capture_output=True, text=True, check=True, timeout=30,
            # A repository that merely holds ours is not the code's.
            env={**os.environ, "GIT_CEILING_DIRECTORIES": str(ROOT.parent)},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
