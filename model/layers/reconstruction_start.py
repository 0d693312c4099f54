"""Initial weights of R. No start changes the architecture; the paper says nothing of it.

`linear`       R begins as the linear restoration of linear.py. The first layer gives the mean
               of the aligned frames and the central one; layers 2 to 6 are its five filters, and
               hand mean and centre on; the last two undo the sigmoid.
`passthrough`  R begins as the enlarged central frame: a centre tap of 1 in every layer, then 5.2
               and -2.6 before the sigmoid, the line that is nearest to its inverse.
`kaiming`      He's random start, grey noise.

The sigmoid's inverse, log(x / (1 - x)), is not a layer's to give. Rectified units give a
broken line:

    logit(x) ≈ a + Σ_j b_j · max(0, x - t_j),      t = KNOTS, five a colour,

fitted over [0.02, 0.98] with the sigmoid's slope x (1 - x) as weight, since that is how much of an
error in the logit is seen. The next to last layer of R has 16 filters at every width, enough for
five knots of three colours.

Suffixes: T frames, D maps a frame, colours first.
"""

import numpy as np
import torch
from torch import nn

from model.layers.linear import COLOURS, INPUTS, STAGES, LinearRestoration

# Found by search: 0.0036 RMS of what is seen over [0.02, 0.98], and 0.02 at black and white.
KNOTS = (0.0, 0.1, 0.26, 0.74, 0.9)
LINE = (5.2, -2.6)


@torch.no_grad()
def start_as_kaiming(layers: list[nn.Conv2d]) -> None:
    """He's start, biases at zero."""
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


@torch.no_grad()
def start_as_passthrough(layers: list[nn.Conv2d], central: int) -> None:
    """Write the way of the central frame, whose colours enter at channel `central`."""
    source = central
    for layer in layers:
        for colour in range(COLOURS):
            _tap(layer, colour, {source + colour: LINE[0] if layer is layers[-1] else 1.0})
        source = 0
    _bias(layers[-1]).fill_(LINE[1])


@torch.no_grad()
def start_as_linear(layers: list[nn.Conv2d], filters: LinearRestoration, depth: int) -> None:
    """Write `filters` into R's eight layers; each of the T frames enters as `depth` maps.

    Raises ValueError where a layer has too few filters, or is another than the paper's.
    """
    needed = [2 * COLOURS, *[INPUTS * COLOURS] * (STAGES - 1), COLOURS, len(KNOTS) * COLOURS]
    for number, (layer, least) in enumerate(zip(layers, [*needed, COLOURS], strict=True)):
        if layer.out_channels < least:
            raise ValueError(
                f"start linear: layer {number + 1} of R has {layer.out_channels} filters, expected "
                f"{least} or more; widen R or use start passthrough"
            )
    for layer in layers:
        # What enters a layer is not negative, so that a unit whose weights add up to less than zero
        # would be silent for good. These answer to contrast.
        layer.weight.sub_(layer.weight.mean(dim=(1, 2, 3), keepdim=True))
    first, *middle, knots, last = layers
    frames, centre = filters.num_frames, filters.num_frames // 2
    for colour in range(COLOURS):
        places = [frame * depth + colour for frame in range(frames)]
        _tap(first, colour, dict.fromkeys(places, 1 / frames))
        _tap(first, COLOURS + colour, {places[centre]: 1.0})
    for number, layer in enumerate(middle):
        _write_stage(layer, filters, number)
    logit = _inverse_sigmoid()
    last.weight.zero_()  # what else there is begins to speak as it is learnt
    for colour in range(COLOURS):
        own = range(len(KNOTS) * colour, len(KNOTS) * (colour + 1))
        for unit, place in zip(own, KNOTS, strict=True):
            _tap(knots, unit, {colour: 1.0})
            _bias(knots)[unit] = -place
        _tap(last, colour, dict(zip(own, logit[1:].tolist(), strict=True)))
        _bias(last)[colour] = logit[0]


def _write_stage(layer: nn.Conv2d, filters: LinearRestoration, number: int) -> None:
    """Filter `number` gives the first three channels; mean and centre follow, where they fit."""
    kernels, bias = filters.kernels[number], filters.biases[number]
    # The first filter's y₀ is the mean, which enters once.
    entering = (
        {0: kernels[0] + kernels[1], 1: kernels[2]} if number == 0 else dict(enumerate(kernels))
    )
    for colour in range(COLOURS):
        layer.weight[colour] = 0
        for place, kernel in entering.items():
            layer.weight[colour, COLOURS * place + colour] = kernel
        _bias(layer)[colour] = bias
        if number + 1 < STAGES:
            _tap(layer, COLOURS + colour, {COLOURS * (len(entering) - 2) + colour: 1.0})
            _tap(layer, 2 * COLOURS + colour, {COLOURS * (len(entering) - 1) + colour: 1.0})


def _inverse_sigmoid() -> np.ndarray:
    """a, b_1 … b_5 of the module's formula."""
    x = np.linspace(0.02, 0.98, 481)
    units = np.stack([np.ones_like(x), *(np.maximum(x - knot, 0) for knot in KNOTS)], axis=1)
    slope = x * (1 - x)
    solution, *_ = np.linalg.lstsq(units * slope[:, None], np.log(x / (1 - x)) * slope, rcond=None)
    return solution


def _tap(layer: nn.Conv2d, channel: int, sources: dict[int, float]) -> None:
    """Make a channel the weighted sum of others, pixel by pixel."""
    middle = layer.kernel_size[0] // 2
    layer.weight[channel] = 0
    for source, weight in sources.items():
        layer.weight[channel, source, middle, middle] = weight


def _bias(layer: nn.Conv2d) -> torch.Tensor:
    assert layer.bias is not None  # R's layers have biases
    return layer.bias
