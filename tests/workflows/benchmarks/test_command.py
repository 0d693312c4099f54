"""Mistakes in the call of a benchmark: one line, status 2, before anything is measured."""

import pytest

from workflows.benchmarks import command

pytestmark = pytest.mark.integration  # each benchmark brings its libraries along


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "required"),
        (["paint"], "invalid choice"),
        (["network", "--frames", "0"], "--frames: expected at least 1, got 0"),
        (["network", "--rounds", "many"], "invalid int value"),
        (["network", "--json", "no/such/folder/figures.json"], "make it first"),
        (["preprocess", "--frames", "49"], "--frames: expected at least 50, got 49"),
        (["preprocess", "--min-face", "0"], "--min-face: expected at least 1, got 0"),
        (["preprocess", "--source", "no/such/folder"], "no such folder"),
        (["loader", "--clips", "0"], "--clips: expected at least 1, got 0"),
        (["loader", "--shards", "no/such/folder"], "holds no shard"),
        (["evaluate", "--pairs", "1"], "--pairs: expected at least 2, got 1"),
        (["train", "--rounds", "0"], "--rounds: expected at least 1, got 0"),
    ],
)
def test_mistakes_are_one_line_and_status_two(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and told.count("\n") == 1 and message in told
