"""Both engines make the same updates, however DeepSpeed divides them, and skip the same NaN."""

import json
import os
import subprocess
import sys

import torch

from infra.engines import DeepSpeedEngine, Engine, TorchEngine
from tests.conftest import ROOT
from tests.infra.test_engines import Fit, batch, options

PLAIN = [{"zero_stage": stage} for stage in range(4)]
CASES = [
    *PLAIN,
    *({**case, "clip_gradient": 0.1, "accumulate": 2} for case in PLAIN),
    *({**case, "ema": 0.5} for case in PLAIN[:3]),
    *({**case, "offload": True} for case in PLAIN[1:]),
    *({**case, "precision": "bf16"} for case in PLAIN),
]
MODULE = "tests.integration.test_deepspeed_engine"
STEPS, POISONED = 5, 2


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
    """Print, as JSON a line, how far the two engines are apart in each case."""
    torch.distributed.init_process_group(
        "gloo", rank=0, world_size=1, store=torch.distributed.HashStore()
    )
    for case in CASES:
        plain = TorchEngine(Fit(), options(**{**case, "zero_stage": 0, "offload": False}))
        divided = DeepSpeedEngine(Fit(), options(**case))
        (one, updated), (other, same) = losses(plain), losses(divided)
        weights, found = plain.network_state(), divided.network_state()
        apart = max(float((weights[name] - found[name]).abs().max()) for name in weights)
        del one[POISONED], other[POISONED]
        worst = max(abs(a - b) for a, b in zip(one, other, strict=True))
        print(json.dumps([case, worst, apart, updated, same]), flush=True)


def test_deepspeed_updates_as_plain_pytorch_does() -> None:
    """In a process of its own: DeepSpeed keeps what it set up for one engine in globals."""
    done = subprocess.run(
        [sys.executable, "-c", f"from {MODULE} import compare; compare()"], cwd=ROOT,
        capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "RANK": "0", "WORLD_SIZE": "1",
             "LOCAL_RANK": "0", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[{")]
    assert [row[0] for row in rows] == CASES
    for case, worst, apart, updated, same in rows:
        assert worst < 1e-6 and apart < 1e-6, case
        assert updated == same == [step != POISONED for step in range(STEPS)], case
