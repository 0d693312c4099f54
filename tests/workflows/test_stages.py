"""The list of stages: each has its function and its entry script, and needs only earlier ones."""

import subprocess
import sys

import pytest

from tests.support.root import ROOT
from workflows.stages import STAGES, StageInfo, listing


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_a_stage_has_its_function_and_its_script(stage: StageInfo) -> None:
    assert callable(getattr(stage.load(), stage.name))
    script = (ROOT / "workflows" / f"{stage.name}.py").read_text()
    assert f'main(["{stage.name}"]' in script


def test_needs_are_earlier_stages_and_folders_differ() -> None:
    seen: set[str] = set()
    for stage in STAGES.values():
        assert set(stage.needs) <= seen
        seen.add(stage.name)
    assert len({stage.folder for stage in STAGES.values()}) == len(STAGES)


def test_the_listing_is_printed_without_loading_ray_or_torch() -> None:
    program = (
        "import runpy, sys; sys.argv = ['full.py', '--list']\n"
        "try: runpy.run_path('workflows/full.py', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'ray', 'torch', 'deepspeed'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == listing()
    assert [line.split()[0] for line in listing().splitlines()[1:]] == list(STAGES)
