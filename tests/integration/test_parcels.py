"""A parcel of packages, fetched by pip and used by an interpreter that has nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workflows.bare_gpu.parcels import packages, packing, unpacking

pytestmark = pytest.mark.integration


def test_packages_travel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For this Python, so that it can be tried: one pure package and one in C."""
    monkeypatch.setattr(packages, "PARCELS", {"code": ("PyYAML", "tqdm")})
    words = ["code", "--out", str(tmp_path), "--python", unpacking.HERE]
    assert packing.main(words, "") == 0, capsys.readouterr().err
    assert "MiB of 8" in capsys.readouterr().out
    (site,) = unpacking.sites(tmp_path)
    names = {path.name for path in site.iterdir()}
    assert {"yaml", "tqdm"} <= names and "bin" not in names  # programs of packages stay behind
    program = "import yaml, tqdm; print(yaml.__file__, tqdm.__version__, yaml.CSafeLoader.__name__)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(site)},
    )  # fmt: skip
    assert done.stdout.startswith(str(site)) and "CSafeLoader" in done.stdout


def test_a_package_that_there_is_not_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "missing", lambda *_: ["tqdm==0.0.0.0"])
    assert packing.main(["code", "--out", str(tmp_path)], "") == 2
    told = capsys.readouterr().err
    assert told.startswith("error: tqdm==0.0.0.0: no wheel for Python 3.12 on Linux x86-64: ")
    assert not list(tmp_path.rglob("*.xz"))
