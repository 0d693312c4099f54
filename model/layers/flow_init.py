"""Initial weights of P that already see motion: optical flow written in its own layers. Ours.

From a random start P learns for thousands of steps that faces differ, and only then that they move:
motion is a product of a gradient and a difference in time, which no layer holds at first. Between
two frames moved by a little, d pixels (Lucas & Kanade 1981),

    central - adjacent = I_t ≈ I_x d_x + I_y d_y,      so that  sign(I_x) I_t ≈ |I_x| d_x

where gradients in x and y are unrelated. Rectified units give such a product without multiplying:

    relu(u + v) + relu(-u - v) - relu(u - v) - relu(v - u) = 2 sign(u v) min(|u|, |v|)

with u = REACH · I_x and v = I_t, so that also motion by more than REACH pixels stays bounded. The
branches give smoothed intensity and gradients of each colour, split by sign; the trunk the products
and |I_x|, |I_y|; the first dense layer their mean around each control point. Channels that this
does not need keep their random start, weakened by OTHERS, and all weights are trained as usual.
"""

import torch
from torch import Tensor, nn

from infra.conventions import CONTROL_POINTS
from model.thin_plate_spline import control_points, pixel_centres

Layer = nn.Conv2d | nn.Linear

COLOURS, AXES, SIGNS = range(3), range(2), (1.0, -1.0)
REACH = 2.0  # pixels of motion up to which a product is linear
WINDOW = 0.5  # deviation of the window around a control point, normalised
OTHERS = 0.3  # share of the random start that is kept beside the flow
# Adam moves all weights alike: small maps before the dense layer, and large weights in it, keep its
# many inputs from drowning the flow in the first steps.
SMALL = 0.1
GAIN = 12.0  # of the dense features, so that the last layer needs small weights only
LINE = torch.tensor([1.0, 2.0, 1.0]) / 4
SLOPE = torch.tensor([-1.0, 0.0, 1.0]) / 2
SPLIT = 6  # channels a colour: intensity, slope in x, slope in y, each as + and -
FLOW = 6  # maps of the trunk: product in x + and -, in y + and -, |slope| in x and y


@torch.no_grad()
def start_as_flow(
    central: nn.Sequential,
    adjacent: nn.Sequential,
    trunk: nn.Sequential,
    dense: nn.Sequential,
    low_size: int,
) -> None:
    """Write the flow over the random weights of P's two branches, its trunk and dense layers."""
    _see_slopes(_layers(central))
    adjacent.load_state_dict(central.state_dict())
    entry, merge, *smooth = _layers(trunk)
    products, slopes = _multiply(entry.weight)
    _gather(merge.weight, products, slopes)
    for number, layer in enumerate(smooth):
        kernel = torch.outer(LINE, LINE) if number == 0 else _dot()
        layer.weight[:FLOW] = 0
        for channel in range(FLOW):
            layer.weight[channel, channel] = kernel
    _pool(_layers(dense), low_size)


def _see_slopes(branch: list[Layer]) -> None:
    first, second, third = branch
    kernels = (torch.outer(LINE, LINE), torch.outer(LINE, SLOPE), torch.outer(SLOPE, LINE))
    used = SPLIT * len(COLOURS)
    for layer in branch:
        layer.weight[:used] = 0
    for colour in COLOURS:
        for number, kernel in enumerate(kernels):
            for half, sign in enumerate(SIGNS):
                channel = SPLIT * colour + 2 * number + half
                first.weight[channel, colour] = sign * kernel
    for channel in range(used):
        second.weight[channel, channel] = _dot()
        third.weight[channel, channel] = 1


def _multiply(weight: Tensor) -> tuple[list[tuple[int, int, float]], list[tuple[int, int]]]:
    """The four rectified terms of each product, and each slope's two halves.

    Returns (channel, axis, sign in the product) and (channel, axis).
    """
    branch = weight.shape[1] // 2
    # The other channels see only how the two images differ.
    difference = (weight[:, :branch] - weight[:, branch:]) / 2**0.5
    weight.copy_(OTHERS * torch.cat((difference, -difference), dim=1))
    products: list[tuple[int, int, float]] = []
    slopes: list[tuple[int, int]] = []
    row = 0
    for colour in COLOURS:
        for axis in AXES:
            intensity, slope = SPLIT * colour, SPLIT * colour + 2 + 2 * axis
            for u in SIGNS:
                for v in SIGNS:
                    weight[row] = 0
                    for image, side in ((0, 1.0), (branch, -1.0)):
                        _add(weight[row], image + intensity, v * side)
                        _add(weight[row], image + slope, u * REACH / 2)
                    products.append((row, axis, u * v))
                    row += 1
                weight[row] = 0
                for image in (0, branch):
                    _add(weight[row], image + slope, u / 2)
                slopes.append((row, axis))
                row += 1
    weight.mul_(SMALL)
    return products, slopes


def _gather(
    weight: Tensor, products: list[tuple[int, int, float]], slopes: list[tuple[int, int]]
) -> None:
    """Sum over colours, and over a pixel's surroundings."""
    kernel = torch.outer(LINE, LINE)
    weight[:FLOW] = 0
    for channel, axis, sign in products:
        weight[2 * axis, channel] = sign * kernel
        weight[2 * axis + 1, channel] = -sign * kernel
    for channel, axis in slopes:
        weight[2 * len(AXES) + axis, channel] = kernel


def _pool(layers: list[Layer], low_size: int) -> None:
    """Four units a control point, + and - in x and y, which the next two layers hand on."""
    first, *others = layers
    square = (control_points()[:, None] - pixel_centres(low_size, low_size)[None]).square().sum(-1)
    window = torch.softmax(-square / (2 * WINDOW**2), dim=1).to(first.weight)
    weight = first.weight.view(CONTROL_POINTS, 2, 2, -1, low_size * low_size)
    weight.mul_(OTHERS / SMALL)
    weight[..., :FLOW, :] = 0
    for axis in AXES:
        for half, sign in enumerate(SIGNS):
            weight[:, axis, half, 2 * axis] = sign * GAIN / SMALL * window
            weight[:, axis, half, 2 * axis + 1] = -sign * GAIN / SMALL * window
    for layer in others:
        layer.weight.mul_(OTHERS / 2**0.5).add_(torch.eye(len(layer.weight)))


def _add(row: Tensor, channel: int, value: float) -> None:
    """Take up the signed map whose two halves are `channel` and the one after it."""
    row[channel] += value * _dot()
    row[channel + 1] -= value * _dot()


def _dot() -> Tensor:
    return torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])


def _layers(part: nn.Sequential) -> list[Layer]:
    return [layer for layer in part if isinstance(layer, Layer)]
