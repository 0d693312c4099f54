"""What is installed: every package by its hash, and all that the packages named bring along."""

import re
import subprocess
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.root import ROOT
from workflows.bare_gpu.parcels.packages import needed_by

TORCH = {"requirements-torch.txt", "requirements-torch-cpu.txt"}
LISTS = {"requirements.txt", "requirements-dev.txt"} | TORCH


def locked(name: str) -> dict[str, str]:
    """The packages of a list with their versions; fails where one is not pinned or not hashed."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", "")
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        whole = re.fullmatch(
            r"([\w.-]+)==([^ ;]+)( ;[^#]*?)?((\s+--hash=sha256:[0-9a-f]{64})+)", line
        )
        assert whole, f"{name}: {line[:80]}"
        found[canonicalize_name(whole[1])] = whole[2]
    assert found
    return found


def test_every_package_is_pinned_and_hashed_and_in_one_list() -> None:
    assert {path.name for path in ROOT.glob("requirements*.txt")} == LISTS
    lists = {name: set(locked(name)) for name in LISTS}
    assert lists["requirements.txt"].isdisjoint(lists["requirements-dev.txt"])
    for torch in TORCH:
        assert {"torch", "setuptools"} <= lists[torch]
        assert lists[torch].isdisjoint(lists["requirements.txt"] | lists["requirements-dev.txt"])


@pytest.mark.parametrize(("groups", "lists"), [
    (["run"], ["requirements.txt"]),
    (["run", "dev"], ["requirements.txt", "requirements-dev.txt"]),
])  # fmt: skip
def test_the_lists_hold_all_that_the_named_packages_need_as_it_is_installed_here(
    groups: list[str], lists: list[str]
) -> None:
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    versions = {k: v for name in (*lists, "requirements-torch-cpu.txt")
                for k, v in locked(name).items()}  # fmt: skip
    wanted = [str(name) for group in groups for name in named[group]]
    assert {canonicalize_name(Requirement(name).name) for name in wanted} <= set(versions)
    needed = needed_by(wanted, "3.11", {"nvidia", "triton"})
    for name in needed:
        installed = metadata.version(name).partition("+")[0]
        assert versions[name].partition("+")[0] == installed, name


def test_make_installs_nothing_without_its_hash() -> None:
    told = subprocess.run(
        ["make", "-Bn", ".venv/.installed-dev"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.replace("\\\n", " ")
    installs = [line for line in told.splitlines() if "pip install" in line]
    assert len(installs) == 3
    for line in installs:
        assert line.count("--require-hashes --no-deps") == line.count("pip install") > 0
