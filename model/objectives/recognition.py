"""The objective of the face recogniser: cross-entropy over the training people."""

from torch.nn import functional

from infra.training.engine import Objective, Terms
from model.objectives.augmentation import augment_faces
from model.perceptual import FaceRecogniser
from model.pixels import Batch, device_of, exact, to_pixels


class Recognition(Objective):
    """Training of a face recogniser on `high` and `label` by cross-entropy.

    In training the faces are mirrored, shifted, zoomed, lit differently, and at times blurred or
    enlarged from few pixels, because the recogniser will be asked about restored faces.
    """

    network: FaceRecogniser
    columns = ("high", "identity")

    def __init__(
        self, recogniser: FaceRecogniser, label_smoothing: float = 0.1, degrade: float = 0.3
    ) -> None:
        super().__init__()
        self.network = recogniser
        self.label_smoothing, self.degrade = label_smoothing, degrade

    def forward(self, batch: Batch) -> Terms:
        """Batch with high B×S×S×3 and label B, the identity's number → loss, accuracy in [0, 1]."""
        device = device_of(self.network)
        faces = to_pixels(batch["high"], device)
        label = batch["label"].to(device)
        if self.training:
            with exact(device):
                faces = augment_faces(faces, self.degrade)
        scores = self.network(faces).float()
        smoothing = self.label_smoothing if self.training else 0.0
        loss = functional.cross_entropy(scores, label, label_smoothing=smoothing)
        return {"loss": loss, "accuracy": (scores.argmax(1) == label).float().mean().detach()}
