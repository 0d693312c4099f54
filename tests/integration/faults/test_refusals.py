"""Bad settings and unusable input: one line and exit status 2, before anything is started."""

from pathlib import Path

import pytest

from tests.integration.conftest import TINY, run, run_here


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--source", "nowhere"], "nowhere"),
        (["--nope", "1"], "--nope"),
        (["--train.steps", "many"], "train.steps"),
        (["--train.variants", "f4"], "f4"),
        (["--force", "lunch"], "lunch"),
    ],
)
def test_one_line_and_status_2(arguments: list[str], said: str, tmp_path: Path) -> None:
    ended = run_here("--run", tmp_path / "run", *arguments)
    assert ended.status == 2
    lines = ended.output.strip().splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert not (tmp_path / "run").exists()


def test_a_stage_without_its_input_names_what_to_run(tmp_path: Path) -> None:
    ended = run("train.py", "--run", tmp_path / "run")
    assert ended.status == 2
    assert "run workflows/full.py" in ended.output.strip().splitlines()[-1]


def test_what_a_later_stage_cannot_be_given_is_refused_before_the_first_works(
    tmp_path: Path,
) -> None:
    ended = run(
        "full.py", "--config", TINY, "--run", tmp_path / "run", "--train.gpus_per_worker", 99
    )
    assert ended.status == 2
    (line,) = ended.output.strip().splitlines()
    assert line.startswith("error: tune: needs 0.5 CPU and 99 GPU (tune.cpus_per_trial, train.gpus")
    assert not (tmp_path / "run/source").exists()
