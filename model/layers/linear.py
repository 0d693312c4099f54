"""Linear multi-frame restoration: the classical baseline, and where R starts from. Ours.

The mean m of the aligned frames and the central frame c, both enlarged bilinearly, go through a
chain of filters, colour by colour with the same weights:

    y₀ = m,    y_j = max(0, K_j ∗ (y_{j-1}, m, c) + b_j),    j = 1 … 5.

Each is 7×7 with reflected borders and is fitted by ridge regression of the truth on its inputs, so
that it mends what the one before left over. Together they see 31×31 pixels, as R's five middle
layers do, into which they can be written as they are (model/layers/reconstruction_start.py); one
filter of that size could not. Of one frame m is c.

Suffixes: B batch, T frames, S high pixels, N clips, F inputs of a filter.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

STAGES, KERNEL, INPUTS = 5, 7, 3
COLOURS = 3
RIDGE = 1e-5  # of the mean square of the inputs
SAMPLES = 500  # pixels a clip, which the filters are fitted to


class LinearRestoration(nn.Module):
    """The chain of filters: B×(T·3)×S×S aligned frames in temporal order → B×3×S×S in [0, 1].

    As it is built it gives the mean; `fit` makes it restore.
    """

    def __init__(self, num_frames: int) -> None:
        super().__init__()
        self.num_frames = num_frames
        kernels = torch.zeros(STAGES, INPUTS, KERNEL, KERNEL)
        kernels[:, 0, KERNEL // 2, KERNEL // 2] = 1
        self.kernels = nn.Parameter(kernels, requires_grad=False)
        self.biases = nn.Parameter(torch.zeros(STAGES), requires_grad=False)

    def forward(self, stack: Tensor) -> Tensor:
        """B×(T·3)×S×S → B×3×S×S in [0, 1]."""
        mean, central = self.mean_and_central(stack)
        image = mean
        for number in range(STAGES):
            image = self.stage(number, image, mean, central)
        return image.clamp(0, 1)

    def mean_and_central(self, stack: Tensor) -> tuple[Tensor, Tensor]:
        """m and c of B×(T·3)×S×S aligned frames, B×3×S×S each."""
        frames = stack.unflatten(1, (self.num_frames, COLOURS))
        return frames.mean(dim=1), frames[:, self.num_frames // 2]

    def stage(self, number: int, image: Tensor, mean: Tensor, central: Tensor) -> Tensor:
        """y_{j-1}, m and c, B×3×S×S each → y_j, for j = `number` + 1."""
        filtered = functional.conv2d(
            _padded(image, mean, central), self.kernels[number][None], self.biases[number][None]
        )
        return torch.relu(filtered).view_as(image)


@torch.no_grad()
def fit(
    filters: LinearRestoration,
    stacks: Callable[[slice], Tensor],
    truth: Tensor,
    batch_size: int = 8,
    seed: int = 0,
) -> None:
    """Fit the filters, one after the other, to N×3×S×S `truth` in [0, 1].

    `stacks` gives the aligned frames b×(T·3)×S×S of a slice of the N clips; it is asked once for
    each. Every filter minimises Σ |K ∗ (y, m, c) + b - truth|² + ridge · |K|² over `SAMPLES` random
    pixels a clip, the same for all colours. Raises ValueError without a clip.
    """
    if not len(truth):
        raise ValueError("truth: no clip to fit the linear restoration to; expected one or more")
    parts = [slice(first, first + batch_size) for first in range(0, len(truth), batch_size)]
    pairs = [filters.mean_and_central(stacks(part)) for part in parts]
    images = [mean for mean, _ in pairs]
    generator = torch.Generator().manual_seed(seed)
    side = truth.shape[-1]
    places = torch.randint(side * side, (SAMPLES,), generator=generator)
    for number in range(STAGES):
        products = truth.new_zeros(INPUTS * KERNEL**2 + 1, INPUTS * KERNEL**2 + 1).double()
        answers = products.new_zeros(len(products))
        for part, image, (mean, central) in zip(parts, images, pairs, strict=True):
            inputs, wanted = _samples(image, mean, central, truth[part], places)
            products += inputs.T @ inputs
            answers += inputs.T @ wanted
        ridge = RIDGE * products.diagonal()[:-1].mean()
        products.diagonal()[:-1] += ridge  # a constant is not held back
        solution = torch.linalg.solve(products, answers)
        filters.kernels[number] = solution[:-1].view(INPUTS, KERNEL, KERNEL)
        filters.biases[number] = solution[-1]
        images = [
            filters.stage(number, image, *pair) for image, pair in zip(images, pairs, strict=True)
        ]


def _samples(
    image: Tensor, mean: Tensor, central: Tensor, truth: Tensor, places: Tensor
) -> tuple[Tensor, Tensor]:
    """What a filter sees around the pixels `places`, and what it should give: n×F and n."""
    side = truth.shape[-1]
    rows, columns = places // side, places % side
    windows = _padded(image, mean, central).unfold(2, KERNEL, 1).unfold(3, KERNEL, 1)
    seen = windows[:, :, rows, columns].permute(0, 2, 1, 3, 4).flatten(2).flatten(0, 1)
    constant = seen.new_ones(len(seen), 1)
    wanted = truth[:, :, rows, columns].flatten(0, 1).flatten()
    return torch.cat((seen, constant), dim=1).double(), wanted.double()


def _padded(image: Tensor, mean: Tensor, central: Tensor) -> Tensor:
    """Three B×3×S×S → (B·3)×3×(S+6)×(S+6): y, m and c of each colour, borders reflected."""
    half = KERNEL // 2
    inputs = torch.stack((image, mean, central), dim=2).flatten(0, 1)
    return functional.pad(inputs, (half, half, half, half), mode="reflect")
