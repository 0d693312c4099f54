"""What torch wrote to a checkpoint, opened without running what stands in it, whoever wrote it; and
the states of its random generators there, so that a resumed training goes on drawing.

A file of torch is a pickle, and a pickle may name any function to be called. With `weights_only`
torch makes tensors and plain containers alone. DeepSpeed forbids that in each of its calls, and
needs no more than a few kinds of small objects beside.
"""

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from infra.errors import TrainingError

FORCE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # torch lets it overrule what a caller asks for


@contextmanager
def weights_only(folder: Path, classes: tuple[type, ...] = ()) -> Iterator[None]:
    """Inside, each `torch.load` of this process gives tensors, containers and `classes` alone.

    Raises TrainingError that names the folder where a file there asks for more, or is damaged.
    """
    before = os.environ.get(FORCE)
    os.environ[FORCE] = "1"
    try:
        with torch.serialization.safe_globals(list(classes)):
            yield
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "PytorchStreamReader" not in str(error):
            raise  # of what takes the tensors up
        raise TrainingError(
            f"{folder}: this checkpoint was not opened: a file in it is damaged, or is not of this "
            "program and may run somebody else's. Remove the checkpoint to go on from the one "
            "before, or begin anew with --force and the name of the stage"
        ) from error
    finally:
        if before is None:
            del os.environ[FORCE]
        else:
            os.environ[FORCE] = before


def of_deepspeed() -> tuple[type, ...]:
    """What DeepSpeed's checkpoints hold beside tensors and containers; none of these does anything
    when it is made."""
    from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler, LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    return LossScaler, DynamicLossScaler, ZeroStageEnum, fragment_address


def save_generators(folder: Path, rank: int, device: torch.device) -> None:
    """Write the generator of the CPU, from which augmentation draws, and that of a GPU: dropout."""
    torch.save(torch.get_rng_state(), folder / f"generator-{rank}.pt")
    if device.type == "cuda":
        torch.save(torch.cuda.get_rng_state(device), folder / f"generator-cuda-{rank}.pt")


def load_generators(folder: Path, rank: int, device: torch.device) -> None:
    """Take up what `save_generators` wrote; there is nothing where there were fewer workers."""
    cpu, gpu = folder / f"generator-{rank}.pt", folder / f"generator-cuda-{rank}.pt"
    with weights_only(folder):
        if cpu.exists():
            torch.set_rng_state(torch.load(cpu))
        if gpu.exists() and device.type == "cuda":  # checkpoints of before lack it
            torch.cuda.set_rng_state(torch.load(gpu), device)
