"""Tests before these may have set the precision of products on a GPU, in the new way alone, which
`torch.export` reads in the old way."""

import pytest
import torch


@pytest.fixture(autouse=True)
def precision_as_torch_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (torch.backends.cudnn.conv, torch.backends.cudnn.rnn):
        monkeypatch.setattr(place, "fp32_precision", "tf32")
