"""Both engines make the same updates, however DeepSpeed divides them, and skip the same NaN."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from infra.errors import TrainingError
from infra.training.deepspeed_engine import DeepSpeedEngine
from infra.training.engine import Engine
from infra.training.torch_engine import TorchEngine
from model.objectives.curriculum import Curriculum
from model.objectives.restoration import Restoration
from tests.infra.training.test_engines import Fit, batch, options
from tests.model.objectives.test_curriculum import network, stored
from tests.support.planted import Planted
from tests.support.root import ROOT
from tests.support.waiting import PATIENCE

PLAIN = [{"zero_stage": stage} for stage in range(4)]
CASES = [
    *PLAIN,
    *({**case, "clip_gradient": 0.1, "accumulate": 2} for case in PLAIN),
    *({**case, "ema": 0.5} for case in PLAIN[:3]),
    *({**case, "offload": True} for case in PLAIN[1:]),
    *({**case, "precision": "bf16"} for case in PLAIN),
]
STEPS, POISONED = 5, 2
SAVED = 3  # steps before the checkpoint of two workers


def say(found: Any) -> None:
    """Print a result where `said` tells it from what DeepSpeed prints."""
    print(f"said {json.dumps(found)}", flush=True)


def losses(engine: Engine) -> tuple[list[float], list[bool]]:
    """The losses of some steps, and which of them updated the weights; one batch has a NaN."""
    terms = []
    for step in range(STEPS):
        given = batch(step)
        if step == POISONED:
            given["x"][0, 0, 0, 0] = torch.nan
        terms.append(engine.step(given, 0.01))
    return [float(t["loss"]) for t in terms], [bool(t["finite"]) for t in terms]


def compare() -> None:
    """Say how far the two engines are apart in each case."""
    for case in CASES:
        plain = TorchEngine(Fit(), options(**{**case, "zero_stage": 0, "offload": False}))
        divided = DeepSpeedEngine(Fit(), options(**case))
        (one, updated), (other, same) = losses(plain), losses(divided)
        weights, found = plain.network_state(), divided.network_state()
        apart = max(float((weights[name] - found[name]).abs().max()) for name in weights)
        del one[POISONED], other[POISONED]
        worst = max(abs(a - b) for a, b in zip(one, other, strict=True))
        say([case, worst, apart, updated, same])


def average_sees_what_initialize_changes() -> None:
    """Say how far the average is from weights that DeepSpeed changed while it set itself up."""
    import deepspeed

    initialize = deepspeed.initialize

    def changing(model: Fit, **given: Any) -> Any:
        with torch.no_grad():  # stands for what moves them to a GPU
            model.network[0].weight.zero_()
        return initialize(model=model, **given)

    deepspeed.initialize = changing
    average = DeepSpeedEngine(Fit(), options(ema=0.5)).average
    assert average is not None
    say(float(average.values["0.weight"].abs().max()))


def save_as_one_of_two(stage: int, folder: str) -> None:
    """Train on this worker's half of each batch, and save."""
    engine = DeepSpeedEngine(Fit(), halves(stage))
    for step in range(SAVED):
        engine.step({"x": batch(step)["x"].chunk(2)[engine.rank]}, 0.01)
    engine.save(Path(folder), {"step": SAVED})


def halves(stage: int) -> Any:
    return options(zero_stage=stage).model_copy(update={"batch_size": 4, "workers": 2})


def go_on_as_one(stage: int, folder: str) -> None:
    """Say the losses after the checkpoint of two workers, after one of its own, and after that of
    the two again, as a training does that ends with its best checkpoint."""
    engine = DeepSpeedEngine(Fit(), options(zero_stage=stage))
    own = Path(folder) / "own"

    def rest(place: Path) -> list[float]:
        state = engine.load(place)
        return [float(engine.step(batch(n), 0.01)["loss"]) for n in range(state["step"], STEPS + 1)]

    found = [rest(Path(folder))]
    engine.load(Path(folder))
    engine.save(own, {"step": SAVED})
    found += [rest(own), rest(Path(folder))]
    say(found)


def refuse_what_was_planted(stage: int, folder: str) -> None:
    """Say what is said of a checkpoint with a program in the place of each of its files in turn."""
    engine = DeepSpeedEngine(Fit(), options(zero_stage=stage))
    place, sign = Path(folder), Path(folder) / "sign"
    engine.save(place, {"step": SAVED})
    files = sorted(place.rglob("*.pt"))
    for file in files:
        content = file.read_bytes()
        torch.save({"module": Planted(sign), "optimizer_state_dict": Planted(sign)}, file)
        try:
            engine.load(place)
            say("opened")
        except TrainingError as error:
            say(str(error))
        file.write_bytes(content)
    say([len(files), sign.exists(), engine.load(place)["step"]])


def hold_the_predictor() -> None:
    """Say by how much P moved in each of four steps, in two of which it is held; the last layer
    of a network that is not held, too."""
    for stage in range(4):
        net = network()
        objective = Restoration(net, 3, curriculum=Curriculum(0.5, warp_after=0.5))
        engine = DeepSpeedEngine(objective, options(zero_stage=stage))
        given = stored(8)
        if stage == 3:
            del given["order"]  # as the stage train does
        moved = []
        for step in range(1, 5):
            objective.at(step, 4)
            before = engine.network_state()
            engine.step(given, 0.001)
            after = engine.network_state()
            apart = {name: float((after[name] - before[name]).abs().max()) for name in after}
            moved.append([apart["predictor.last.weight"], apart["reconstruction.layers.7.weight"]])
        say([stage, moved])


def start(
    call: str, rank: int = 0, world_size: int = 1, store: str = ""
) -> "subprocess.Popen[str]":
    """A call of this module in a worker's process: DeepSpeed keeps what it set up in globals."""
    program = (
        "import torch.distributed as d\n"
        f"store = d.FileStore({store!r}, 2) if {store!r} else d.HashStore()\n"
        f"d.init_process_group('gloo', rank={rank}, world_size={world_size}, store=store)\n"
        f"import tests.integration.test_deepspeed_engine as ours; ours.{call}\n"
        "d.destroy_process_group()"  # else its threads may meet the end of the process: SIGABRT
    )
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "RANK": str(rank), "LOCAL_RANK": str(rank),
             "WORLD_SIZE": str(world_size), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def said(process: "subprocess.Popen[str]") -> list[Any]:
    """What it said, once it has ended well."""
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    return [json.loads(line[5:]) for line in out.splitlines() if line.startswith("said ")]


def test_deepspeed_updates_as_plain_pytorch_does() -> None:
    rows = said(start("compare()"))
    assert [row[0] for row in rows] == CASES
    for case, worst, apart, updated, same in rows:
        assert worst < 1e-6 and apart < 1e-6, case
        assert updated == same == [step != POISONED for step in range(STEPS)], case


def test_a_held_predictor_is_not_moved_however_deepspeed_divides_it() -> None:
    rows = said(start("hold_the_predictor()"))
    assert [stage for stage, _ in rows] == [0, 1, 2, 3]
    for stage, moved in rows:
        held, rest = zip(*moved, strict=True)
        assert held[:2] == (0, 0) and min(held[2:]) > 0, stage
        assert min(rest) > 0, stage


def test_the_average_starts_from_the_weights_that_are_trained() -> None:
    assert said(start("average_sees_what_initialize_changes()")) == [0.0]


@pytest.mark.parametrize("stage", range(4))
def test_a_program_planted_in_a_checkpoint_is_not_run(stage: int, tmp_path: Path) -> None:
    *refused, (files, ran, step) = said(
        start(f"refuse_what_was_planted({stage}, {str(tmp_path)!r})")
    )
    assert not ran
    assert len(refused) == files == (2 if stage else 1)
    for line in refused:
        assert line.startswith(f"{tmp_path}: this checkpoint was not opened")
        assert "--force" in line and "\n" not in line
    assert step == SAVED, "the checkpoint as it was is refused"


@pytest.mark.parametrize("stage", [2, 3])
def test_one_worker_loads_what_two_saved_before_and_after_its_own(
    stage: int, tmp_path: Path
) -> None:
    """The groups of parameters keep their own rates: the losses are those of plain PyTorch."""
    call, store = f"save_as_one_of_two({stage}, {str(tmp_path)!r})", str(tmp_path / "store")
    for process in [start(call, rank, 2, store) for rank in range(2)]:
        said(process)
    plain = TorchEngine(Fit(), options())
    expected = [float(plain.step(batch(step), 0.01)["loss"]) for step in range(STEPS + 1)][SAVED:]
    (found,) = said(start(f"go_on_as_one({stage}, {str(tmp_path)!r})"))
    assert found == [pytest.approx(expected, abs=1e-6)] * 3
