"""A shard that is damaged where its pictures lie ends every command that reads it in one line."""

import shutil
from pathlib import Path

import pytest

from tests.integration.conftest import TINY, Ended, run


@pytest.mark.parametrize(
    ("command", "split"),
    [
        (("evaluate.py", "--config", TINY, "--force", "evaluate"), "test"),
        (("train.py", "--config", TINY, "--force", "train", "--train.variants", '["f1"]'), "train"),
        (("train.py", "--config", TINY, "--force", "train", "--engine", "torch"), "train"),
        (("alignment.py",), "train"),
        (("study.py", "--study.port", 0), "test"),
    ],
    ids=["evaluate", "train", "train without Ray", "alignment", "study"],
)
def test_status_2_and_its_name(
    command: tuple[object, ...], split: str, tiny: tuple[Path, Ended], tmp_path: Path
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(tiny[0], folder)
    shard = folder / "clips" / split / "00000.parquet"
    content = shard.read_bytes()
    fifth = len(content) // 5
    shard.write_bytes(content[:fifth] + bytes(3 * fifth) + content[4 * fifth :])
    script, *arguments = command
    ended = run(str(script), "--run", folder, *arguments)
    assert ended.status == 2
    last = ended.output.strip().splitlines()[-1]
    assert last.startswith(f"error: {shard}: not a readable Parquet file (")
    assert "Traceback" not in ended.output
