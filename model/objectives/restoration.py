"""The objective of the network: eq. (6) of the paper.

Suffixes: B batch, T frames, A = T-1 adjacent frames, h w low pixels, S high pixels.
"""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from infra.training.engine import Objective, Terms
from model.losses import perceptual_distances, pixel_loss
from model.metrics import psnr_luma
from model.objectives.augmentation import augment_clips
from model.objectives.crops import draw_crop
from model.objectives.curriculum import Curriculum, GivenMotion
from model.objectives.fresh_bursts import FreshBursts
from model.objectives.held import HeldFeatures
from model.perceptual import FaceRecogniser
from model.pixels import Batch, device_of, exact, low_window, to_pixels


class Restoration(Objective):
    """Eq. (6) on a variant: pixel term plus λ_l times the distance of each layer in `weights`.

    `recogniser` is frozen here and is no part of `parameters()` or `state_dict()`, yet follows the
    objective to its device. `input_size` is what it sees (None: its own). With `augment`, clips are
    mirrored, played backwards and relit at random in training (augmentation.py). With `crop`,
    R is trained on a random square of that share of the side (crops.py). With `fresh`, some
    clips get new low frames in training (fresh_bursts.py). `curriculum` says when the warp
    predictor learns and whose motion R is given. With `rate_by_frames` R's first layer learns at
    1 / num_frames of the rate: of T nearly equal frames, T weights that Adam moves by one step each
    move the picture by T. Without `look_up` nothing is kept of a clip from step to step: where the
    network runs on all workers or on none, each of which has seen other clips.
    """

    def __init__(
        self,
        network: nn.Module,
        num_frames: int,
        recogniser: FaceRecogniser | None = None,
        weights: Mapping[str, float] | None = None,
        input_size: int | None = None,
        augment: bool = False,
        crop: float | None = None,
        curriculum: Curriculum | None = None,
        fresh: FreshBursts | None = None,
        rate_by_frames: bool = False,
        look_up: bool = True,
    ) -> None:
        super().__init__()
        self.network = network
        self.num_frames = num_frames
        self.fresh = fresh
        self.first_rate = 1 / num_frames if rate_by_frames else 1.0
        self.frame_step = int(getattr(network, "frame_step", 1))
        self.augment = augment
        self.motion = GivenMotion(network, curriculum or Curriculum())
        self.at(1, 1)
        self.weights = {layer: value for layer, value in (weights or {}).items() if value}
        self.input_size = input_size
        if self.weights and recogniser is None:
            raise ValueError(
                f"weights: {', '.join(self.weights)} need a recogniser; give one or leave them out"
            )
        if self.weights and crop is not None:
            raise ValueError("crop: the recogniser of `weights` knows whole faces; leave one out")
        self.crop = crop
        # The same picture each time, unless it is augmented.
        self.held_truth = None if augment or not self.weights else HeldFeatures()
        self.columns = ["low", "high"]
        if self.motion.network is not None:
            self.columns += self.motion.curriculum.columns()
        if look_up and (self.motion.network is not None or self.held_truth is not None):
            self.columns.append("order")
        # In a tuple it is not registered as a submodule.
        frozen = None if recogniser is None else recogniser.requires_grad_(False).eval()
        self._frozen: tuple[FaceRecogniser | None] = (frozen,)

    def at(self, step: int, steps: int) -> None:
        """Set what the curriculum says of a step: whose motion R is given, and the `rates`."""
        self.rates = {
            "network.predictor": self.motion.at(step, steps),
            "network.reconstruction.layers.0": self.first_rate,
        }

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Restoration":
        """What `.to()` moves or lays out in another way moves the recogniser with it."""
        super()._apply(fn, recurse)
        if self._frozen[0] is not None:
            self._frozen[0]._apply(fn, recurse)
        return self

    def forward(self, batch: Batch) -> Terms:
        """Batch with low B×25×h×w×3 and high B×S×S×3 → loss, pixel, psnr (dB), one term a layer.

        `order`, B, and `motion`, B×25×64×2, are looked at where GivenMotion says; by `order` the
        recogniser's features of the truth are kept, where clips are not augmented.
        """
        device = device_of(self.network)
        if self.fresh is not None and self.training:
            with exact(device):
                batch = self.fresh.of(batch, device)
        window = low_window(batch, self.num_frames, device, self.frame_step)
        truth = to_pixels(batch["high"], device)
        known = self.motion.known(batch, window)
        if self.augment and self.training:
            with exact(device):
                window, truth, known = augment_clips(window, truth, known)
        shifts, apart = self.motion.given(window, known)
        if self.crop is not None and self.training:
            crop = draw_crop(truth.shape[-1], self.crop)
            restored = crop.inside(self.network(window, shifts=shifts, crop=crop.seen)).float()
            truth = truth[:, :, *crop.kept]
            pixel = pixel_loss(restored, truth) / crop.share
        else:
            restored = self.network(window, shifts=shifts).float()
            pixel = pixel_loss(restored, truth)
        loss = pixel
        terms = {"pixel": pixel.detach(), "psnr": psnr_luma(restored.detach(), truth).mean()}
        if apart is not None:
            loss = loss + self.motion.curriculum.alignment * apart
            terms["alignment"] = apart.detach()
        recogniser = self._frozen[0]
        if recogniser is not None and self.weights:
            target = None
            if self.held_truth is not None and "order" in batch:
                layers = list(self.weights)
                target = self.held_truth.of(
                    recogniser, truth, layers, self.input_size, batch["order"]
                )
            found = perceptual_distances(
                recogniser, restored, truth, self.weights, self.input_size, target
            )
            for layer, distance in found.items():
                loss = loss + self.weights[layer] * distance
                terms[layer] = distance.detach()
        return {"loss": loss, **terms}
