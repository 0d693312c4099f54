"""DeepSpeed's universal checkpoint: what some workers saved, for another number of workers."""

import io
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


@contextmanager
def universal_checkpoint(folder: Path) -> Iterator[Path]:
    """A temporary folder with the DeepSpeed checkpoint `folder`/engine put together whole.

    ZeRO shares the optimiser's state out among the workers; DeepSpeed's converter joins the shares
    to one file a parameter, which `"checkpoint": {"load_universal": true}` reads on any number of
    workers.
    """
    from deepspeed.checkpoint import ds_to_universal

    with TemporaryDirectory(prefix="facestack-universal-") as converted:
        options = Namespace(
            input_folder=str(folder / "engine"),
            output_folder=str(Path(converted) / "engine"),
            num_extract_workers=1,  # in this process: a network of megabytes needs no pool
            num_merge_workers=1,
            keep_temp_folder=False,
            strict=True,
            inject_missing_state=True,
        )
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            ds_to_universal.main(options)
        yield Path(converted)


def separate_groups(optimiser: Any, modules: list[str]) -> None:
    """Give each group of parameters its module's name, and its count of steps, back.

    DeepSpeed's loader for ZeRO 3 gives all groups the options of the first, and one tensor that
    counts the steps of all: Adam would count a step once a group.
    """
    for group, module in zip(optimiser.param_groups, modules, strict=True):
        group["module"] = module
    for state in optimiser.state.values():
        state["step"] = state["step"].clone()
