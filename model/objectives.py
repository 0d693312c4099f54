"""The three objectives of training: restoration (eq. 6), warp pretraining (§3), the recogniser.

An objective holds the module that is trained as `network`; `forward(batch)` takes a batch as stored
(uint8) and returns a dictionary of scalars, of which only "loss" carries a gradient.

Suffixes: B batch, T frames, A = T-1 adjacent frames, h w low pixels, S high pixels.
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.augmentation import augment_clips, augment_faces, jitter_frames
from model.batches import Batch, low_window, pick_frames, to_pixels, without_centre
from model.bursts import Pair, make_burst
from model.crops import draw_crop
from model.curriculum import Curriculum, GivenMotion
from model.fresh_bursts import FreshBursts
from model.losses import perceptual_distances, pixel_loss
from model.metrics import end_point_error, psnr_luma
from model.perceptual import FaceRecogniser
from model.real_pairs import draw_pairs, known
from model.thin_plate_spline import dense_field
from model.warp_predictor import WarpPredictor
from model.warp_regression import fit_last_layer
from model.warping import warp

Terms = dict[str, Tensor]


class Restoration(nn.Module):
    """Eq. (6) on a variant: pixel term plus λ_l times the distance of each layer in `weights`.

    `recogniser` is frozen here and is no part of `parameters()` or `state_dict()`, yet follows the
    objective to its device. `input_size` is what it sees (None: its own). With `augment`, clips are
    mirrored, played backwards and relit at random in training (model/augmentation.py). With `crop`,
    R is trained on a random square of that share of the side (model/crops.py). With `fresh`, some
    clips get new low frames in training (model/fresh_bursts.py). `curriculum` says when the warp
    predictor learns and whose motion R is given. With `rate_by_frames` R's first layer learns at
    1 / num_frames of the rate: of T nearly equal frames, T weights that Adam moves by one step each
    move the picture by T. `at` makes the objective ready for a step, and `rates` are the learning
    rates of the predictor and of that layer in that of the rest.
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
        # In a tuple it is not registered as a submodule.
        frozen = None if recogniser is None else recogniser.requires_grad_(False).eval()
        self._frozen: tuple[FaceRecogniser | None] = (frozen,)

    def at(self, step: int, steps: int) -> None:
        """Be ready for 1-based `step` of `steps`."""
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

        `order`, B, and `motion`, B×25×64×2, are looked at where GivenMotion says.
        """
        device = device_of(self.network)
        if self.fresh is not None and self.training:
            with _exact(device):
                batch = self.fresh.of(batch, device)
        window = low_window(batch, self.num_frames, device, self.frame_step)
        truth = to_pixels(batch["high"], device)
        known = self.motion.known(batch, window)
        if self.augment and self.training:
            with _exact(device):
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
            found = perceptual_distances(recogniser, restored, truth, self.weights, self.input_size)
            for layer, distance in found.items():
                loss = loss + self.weights[layer] * distance
                terms[layer] = distance.detach()
        return {"loss": loss, **terms}


class WarpPretraining(nn.Module):
    """P and M alone, before restoration: paper §3, and two teachers of ours.

    objective `photometric` is the paper's: the squared error between the warped adjacent frame and
    the central one. With target `low` all adjacent low frames are warped; with `high` the stored
    sharp neighbour is, through the same spline. `jitter` (low pixels) moves each adjacent low frame
    by a random drift in training, so that there is more to learn. objective `field` compares
    splines in low pixels, over pairs of which a `stored_share` are real with the motion that is
    stored (model/real_pairs.py), where there is such; the others are made with known motion from
    the sharp frame (model/bursts.py).
    """

    def __init__(
        self,
        predictor: WarpPredictor,
        num_frames: int,
        target: str = "low",
        objective: str = "photometric",
        jitter: float = 0.0,
        blur_sigma: float | None = 2.4,
        strength: float = 1.0,
        stored_share: float = 0.0,
    ) -> None:
        super().__init__()
        if target not in ("low", "high"):
            raise ValueError(f"target: expected low or high, got {target!r}")
        if objective not in ("photometric", "field"):
            raise ValueError(f"objective: expected photometric or field, got {objective!r}")
        if num_frames < 3:
            raise ValueError(f"num_frames: a window of {num_frames} has no adjacent frame")
        self.network = predictor
        self.num_frames = num_frames
        self.target, self.objective = target, objective
        self.jitter, self.blur_sigma, self.strength = jitter, blur_sigma, strength
        self.stored_share = stored_share

    def forward(self, batch: Batch) -> Terms:
        """Batch as stored → loss; photometric: before, after (squared error a pair); field: epe."""
        if self.objective == "field":
            return self._field(batch)
        return self._low(batch) if self.target == "low" else self._high(batch)

    def start(self, batches: Iterable[Batch]) -> None:
        """Fit the predictor's last layer to the pairs that `field` draws of each batch."""
        fit_last_layer(self.network, map(self._pairs, batches))

    def _low(self, batch: Batch) -> Terms:
        low_BT = low_window(batch, self.num_frames, device_of(self.network))
        radius, count = self.num_frames // 2, self.num_frames - 1
        adjacent = without_centre(low_BT).flatten(0, 1)
        if self.jitter and self.training:
            with _exact(adjacent.device):
                adjacent = jitter_frames(adjacent, self.jitter)
        central = low_BT[:, radius]
        maps = self.network.central_maps(central).repeat_interleave(count, dim=0)
        shifts = self.network.shifts(maps, self.network.adjacent_maps(adjacent))
        return _photometric(shifts, adjacent, central.repeat_interleave(count, dim=0))

    def _high(self, batch: Batch) -> Terms:
        device = device_of(self.network)
        low_BT = to_pixels(batch["low"], device)
        central = low_BT[:, low_BT.shape[1] // 2]
        adjacent = pick_frames(low_BT, batch["neighbour_offset"])
        shifts = self.network(central, adjacent)
        neighbour = to_pixels(batch["neighbour"], device)
        return _photometric(shifts, neighbour, to_pixels(batch["high"], device))

    def _field(self, batch: Batch) -> Terms:
        low_size = batch["low"].shape[-2]
        pair = self._pairs(batch)
        shifts = self.network(pair.central, pair.adjacent).float()
        field = dense_field(shifts, low_size, low_size)
        truth = dense_field(pair.shifts, low_size, low_size)
        still = dense_field(torch.zeros_like(pair.shifts), low_size, low_size)
        loss = (field - truth).mul(low_size / 2).square().sum(-1).mean()
        return {
            "loss": loss,
            "epe": end_point_error(field, truth).mean().detach(),
            "epe_before": end_point_error(still, truth).mean(),
        }

    def _pairs(self, batch: Batch) -> Pair:
        """One pair a clip, the real ones first."""
        device = device_of(self.network)
        # Validation draws the same pairs each time; training draws from the global generator, which
        # the training loop keeps in its checkpoints.
        generator = None if self.training else torch.Generator().manual_seed(0)
        real = torch.rand(len(batch["low"]), generator=generator) < self.stored_share
        if real.any():
            real &= known(batch["motion"]).sum(1).cpu() > 1
        parts = []
        with _exact(device):
            if real.any():
                low, motion = batch["low"][real], batch["motion"][real]
                parts.append(draw_pairs(to_pixels(low, device), motion.to(device), generator))
            if not real.all():
                parts.append(self._made(to_pixels(batch["high"][~real], device), batch, generator))
        return Pair(*map(torch.cat, zip(*parts, strict=True)))

    def _made(self, high: Tensor, batch: Batch, generator: torch.Generator | None) -> Pair:
        strength: float | Tensor = self.strength
        if self.training:
            # Frames next to each other hardly move: half of the pairs are such.
            draw = torch.rand(2, len(high), 1, 1)
            strength = strength * torch.where(draw[0] < 0.5, draw[1], 1.0)
        scale = high.shape[-1] // batch["low"].shape[-2]
        return make_burst(high, scale, self.blur_sigma, strength, generator)


class Recognition(nn.Module):
    """Training of a face recogniser on `high` and `label` by cross-entropy.

    In training the faces are mirrored, shifted, zoomed, lit differently, and at times blurred or
    enlarged from few pixels, because the recogniser will be asked about restored faces.
    """

    def __init__(
        self, recogniser: FaceRecogniser, label_smoothing: float = 0.1, degrade: float = 0.3
    ) -> None:
        super().__init__()
        self.network = recogniser
        self.label_smoothing, self.degrade = label_smoothing, degrade

    def forward(self, batch: Batch) -> Terms:
        """Batch with high B×S×S×3 and label B → loss, accuracy in [0, 1]."""
        device = device_of(self.network)
        faces = to_pixels(batch["high"], device)
        label = batch["label"].to(device)
        if self.training:
            with _exact(device):
                faces = augment_faces(faces, self.degrade)
        scores = self.network(faces).float()
        smoothing = self.label_smoothing if self.training else 0.0
        loss = functional.cross_entropy(scores, label, label_smoothing=smoothing)
        return {"loss": loss, "accuracy": (scores.argmax(1) == label).float().mean().detach()}


def device_of(module: nn.Module) -> torch.device:
    """The device of a module's parameters (CPU when it has none)."""
    first = next(module.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def _exact(device: torch.device) -> torch.autocast:
    """No autocast, which is for the network: what is learnt from stays float32."""
    return torch.autocast(device.type, enabled=False)


def _photometric(shifts: Tensor, adjacent: Tensor, central: Tensor) -> Terms:
    field = dense_field(shifts.float(), *central.shape[-2:])
    after = pixel_loss(warp(adjacent, field), central)
    return {
        "loss": after,
        "after": after.detach(),
        "before": pixel_loss(adjacent, central).detach(),
    }
