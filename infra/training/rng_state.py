"""The states of torch's random generators on disk, so that a resumed training goes on drawing."""

from pathlib import Path

import torch


def save_generators(folder: Path, rank: int, device: torch.device) -> None:
    """Write the generator of the CPU, from which augmentation draws, and that of a GPU: dropout."""
    torch.save(torch.get_rng_state(), folder / f"generator-{rank}.pt")
    if device.type == "cuda":
        torch.save(torch.cuda.get_rng_state(device), folder / f"generator-cuda-{rank}.pt")


def load_generators(folder: Path, rank: int, device: torch.device) -> None:
    """Take up what `save_generators` wrote; there is nothing where there were fewer workers."""
    cpu, gpu = folder / f"generator-{rank}.pt", folder / f"generator-cuda-{rank}.pt"
    if cpu.exists():
        torch.set_rng_state(torch.load(cpu, weights_only=True))
    if gpu.exists() and device.type == "cuda":  # checkpoints of before lack it
        torch.cuda.set_rng_state(torch.load(gpu, weights_only=True), device)
