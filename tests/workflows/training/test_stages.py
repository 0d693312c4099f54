"""Small decisions of the stages that need neither Ray nor training."""

import pickle
from pathlib import Path

import pytest

from datasets.shards.assembly import PlannedRow, ShardPlan
from datasets.shards.files import ShardError, write_clips
from datasets.sources.discovery import Source
from infra.errors import RunError, SettingsError
from infra.runs import Run, Stage
from infra.settings.optimiser import OptimiserSettings
from infra.settings.settings import Settings
from tests.datasets.shards.test_files import clip
from tests.support.root import ROOT
from workflows.enhancement.receipts import safe_name
from workflows.preprocessing.packing import _forget_other_plan, _shard
from workflows.shared.command import forced
from workflows.stages import STAGES
from workflows.training import warp
from workflows.training.job import plan_of
from workflows.training.restoration import check


def test_force_takes_the_stages_behind_it_along() -> None:
    assert forced([]) == frozenset()
    assert forced(["enhance", "train"]) == {"train", "evaluate", "enhance"}
    assert forced(["preprocess"]) == set(STAGES)
    with pytest.raises(SettingsError, match="lunch"):
        forced(["lunch"])


@pytest.mark.parametrize(("variant", "said"), [("f4", "f4"), ("bicubic", "not trained"),
                                               ("f27", "clip.num_frames is 25")])  # fmt: skip
def test_variants_that_cannot_be_trained_are_refused(variant: str, said: str) -> None:
    settings = Settings()
    settings.train.variants = ["f1", variant]
    with pytest.raises(SettingsError, match=f"train.variants: .*{said}"):
        check(settings)


def test_photographs_of_one_frame_have_nothing_to_align() -> None:
    """The paper's objective needs neighbours; pairs of known motion come from the sharp frame."""
    settings = Settings.model_validate({"clip": {"num_frames": 1}})
    warp.check(settings)
    settings.pretrain.objective = "photometric"
    with pytest.raises(SettingsError, match=r"pretrain\.num_frames: .*clip\.num_frames is 1"):
        warp.check(settings)


def test_epochs_become_steps() -> None:
    """steps = epochs · rows / (batch size · workers), at least 1."""
    options = OptimiserSettings(epochs=3, steps=None, batch_size=10, workers=2)
    assert plan_of(options, 1000, "").steps == 150
    assert plan_of(options, 1, "").steps == 1
    assert plan_of(OptimiserSettings(steps=7), 1000, "").steps == 7


def test_twice_the_workers_with_half_the_clips_are_the_same_training() -> None:
    one, two = (OptimiserSettings(steps=7, batch_size=8 // n, workers=n) for n in (1, 2))
    assert one.made_from() == two.made_from()
    for other in (OptimiserSettings(steps=7, batch_size=8, workers=2),
                  OptimiserSettings(steps=7, batch_size=8, learning_rate=1e-3)):  # fmt: skip
        assert other.made_from() != one.made_from()


def test_another_batch_is_refused_by_name_where_a_training_was_begun(tmp_path: Path) -> None:
    run = Run(str(tmp_path))
    begun = OptimiserSettings(steps=7, batch_size=8)
    with (
        pytest.raises(KeyboardInterrupt),
        run.stage("train", "train", {"train": begun.made_from()}, []),
    ):
        raise KeyboardInterrupt
    other = OptimiserSettings(steps=7, batch_size=8, workers=2)
    with (
        pytest.raises(RunError, match=r"train\.batch_size × workers was 8, now 16\. Give --force"),
        run.stage("train", "train", {"train": other.made_from()}, []),
    ):
        pass


def test_shards_of_another_plan_are_made_anew(tmp_path: Path) -> None:
    """A run is cut off, a source comes or goes, and the same command is given again."""
    stage = Stage("preprocess", str(tmp_path), "")

    def plan(*clips: str) -> list[ShardPlan]:
        rows = tuple(PlannedRow(0, clip_id, "v", "part", 0, "train", 1) for clip_id in clips)
        return [ShardPlan("train", 0, rows)]

    def shard_outlives(plans: list[ShardPlan]) -> bool:
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / "train/00000.parquet").touch()
        _forget_other_plan(stage, plans)
        return (tmp_path / "train").exists()

    assert not shard_outlives(plan("a", "b"))  # of no plan that is known
    assert shard_outlives(plan("a", "b"))
    assert not shard_outlives(plan("a", "b", "c"))
    assert not shard_outlives(plan("a", "b"))


def test_a_shard_that_is_not_what_was_planned_is_refused(tmp_path: Path) -> None:
    write_clips(str(tmp_path / "train/00000.parquet"), [clip(number) for number in range(3)])
    rows = tuple(PlannedRow(0, f"{n}", "v", "part", n, "train", 1) for n in range(4))
    with pytest.raises(ShardError, match=r"00000\.parquet: holds 3 clips, 4 were planned"):
        _shard(str(tmp_path), {"plan": pickle.dumps(ShardPlan("train", 0, rows))})


def test_results_of_odd_names_stay_inside_the_folder_and_apart() -> None:
    names = [
        "a/b.mp4", "../../etc/passwd", "a/b?.mp4", "a/b*.mp4", "Zoë/x y.mp4", "a/./b.mp4",
        "a/\udcff.mp4", "a/\udcfe.mp4", "line\nbreak/'é' \"🙂\".mp4", "é" * 126 + ".mp4",
    ]  # fmt: skip
    found = [safe_name(Source("u", name, "i", "video")) for name in names]
    assert found[0] == "a/b.mp4"
    assert len(set(found)) == len(names)
    assert all(len(part.encode()) < 230 for name in found for part in Path(name).parts)
    assert all(".." not in Path(name).parts and not name.startswith("/") for name in found)


def test_ray_uploads_every_package() -> None:
    """A pattern that drops datasets/ or model/ from working_dir breaks the workers' imports."""
    for file in (".gitignore", ".rayignore"):
        lines = (ROOT / file).read_text().split("\n")
        patterns = {line.strip().strip("/") for line in lines if not line.startswith("#")}
        assert not patterns & {"datasets", "model", "infra", "workflows"}
