"""Weights in parts, the plan of the trainings, and what goes into parcels of packages."""

from pathlib import Path

import pytest
import torch

from infra.errors import InputError, SettingsError
from model.network import build
from model.weights import load_network, save_weights
from workflows.bare_gpu import driver
from workflows.bare_gpu.parcels import packages, packing, weight_parts
from workflows.bare_gpu.steps import training

# What a parcel must hold whatever else is there: these are imported before anything is done.
IMPORTED = {"pydantic", "pydantic-settings", "pyyaml", "botocore", "aiohttp"}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    for name in ("f1", "f5warp"):
        save_weights(build(name, 4, 32, 0.25), tmp_path / f"{name}.safetensors")
    return {name: tmp_path / f"{name}.safetensors" for name in ("f1", "f5warp")}


def test_weights_come_back_as_bf16_in_parts(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_parts, "PART", 100_000)
    out = tmp_path / "out"
    out.mkdir()
    assert weight_parts.cut(files, out, 1 << 30) == ["f1", "f5warp"]
    parts = sorted(out.glob("weights.[0-9]*"))
    assert len(parts) > 10 and all(part.stat().st_size <= 100_000 for part in parts)
    assert driver.main(["--join", str(out)], "") == 0
    for name, file in files.items():
        before, after = load_network(file), load_network(out / f"{name}.safetensors")
        for one, other in zip(before.parameters(), after.parameters(), strict=True):
            assert torch.equal(one.bfloat16().float(), other)
    parts[3].write_bytes(parts[3].read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="is damaged or a part is missing"):
        weight_parts.join(out)


def test_weights_beyond_the_limit_stay(files: dict[str, Path], tmp_path: Path) -> None:
    limit = files["f1"].stat().st_size // 2 + 10_000
    assert weight_parts.cut(files, tmp_path, limit) == ["f1"]


def test_the_plan_names_trainings_and_shares() -> None:
    parts = training.plan([Path("1-a.tar"), Path("2-b.tar")], "pretrain:0.5,f1:1;f25warp")
    assert [(part.parcel.stem, part.trainings) for part in parts] == [
        ("1-a", (("pretrain", 0.5), ("f1", 1.0))),
        ("2-b", (("f25warp", 1.0),)),
    ]
    assert training.plan([Path("1-a.tar")], driver.PLAN)[0].share == pytest.approx(7.2)
    with pytest.raises(ValueError, match="no parcel of faces"):
        training.plan([], "f1")
    with pytest.raises(ValueError, match="expected name:share, got 'f1:much'"):
        training.plan([Path("a.tar")], "f1:much")


def test_parcels_hold_what_is_imported_and_nothing_twice() -> None:
    code, ray = (
        {line.partition("==")[0] for line in packages.missing(name, "3.12")}
        for name in packages.PARCELS
    )
    assert code >= IMPORTED and ray >= {"ray", "deepspeed", "av"}
    assert not code & ray and not (code | ray) & packages.THERE
    with pytest.raises(SettingsError, match="no parcel 'paint'"):
        packages.missing("paint", "3.12")


@pytest.mark.parametrize(
    ("path", "out"),
    [
        ("ray/jars/ray_dist.jar", True),
        ("ray/dashboard/client/build/static/js/main.js", False),
        ("ray/dashboard/client/build/static/js/main.js.map", True),
        ("ray/core/src/ray/raylet/raylet", False),
        ("botocore/data/ec2/2016-11-15/service-2.json.gz", True),
        ("botocore/data/s3/2006-03-01/service-2.json.gz", False),
        ("botocore/data/endpoints.json", False),
        ("pydantic/main.py", False),
        ("psutil/tests/test_linux.py", True),
    ],
)
def test_what_no_step_uses_stays(path: str, out: bool) -> None:
    assert packages._left_out(Path(path)) is out


def test_a_parcel_over_its_limit_is_refused_and_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pack(name: str, folder: Path, python: str) -> Path:
        file = folder / f"{name}-{python}"
        file.write_bytes(bytes(3 << 20))
        return file

    monkeypatch.setattr(packages, "pack", pack)
    assert packing.main(["code", "--out", str(tmp_path), "--limit", "2"], "") == 2
    assert "3.0 MiB, more than 2; raise --limit" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert packing.main(["code", "--out", str(tmp_path)], "") == 0
    assert "3.0 MiB of 8" in capsys.readouterr().out
    assert packing.main(["faces", "--out", str(tmp_path)], "") == 2
    assert "give --run" in capsys.readouterr().err
