"""The objective of the face recogniser."""

import torch

from model.objectives.recognition import Recognition
from model.perceptual import FaceRecogniser
from tests.support.objectives import recogniser, stored


def test_recogniser_learns_three_faces() -> None:
    module = FaceRecogniser(3, width=0.1, input_size=32, dropout=0.0)
    objective = Recognition(module, label_smoothing=0.1)
    batch = stored(3)
    assert 0.5 < objective(batch)["loss"].item() < 2.5
    objective.eval()
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-3)
    for _ in range(30):
        optimizer.zero_grad()
        terms = objective(batch)
        terms["loss"].backward()
        optimizer.step()
    assert float(terms["accuracy"]) == 1


def test_recogniser_sees_augmented_faces_in_training_only() -> None:
    objective = Recognition(recogniser())
    batch = stored()
    assert objective(batch)["loss"].item() != objective(batch)["loss"].item()
    objective.eval()
    assert objective(batch)["loss"].item() == objective(batch)["loss"].item()
