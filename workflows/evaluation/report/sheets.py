"""The sheets of the report: which clips stand on which, and the warps of one of them."""

from dataclasses import dataclass

from infra.settings.results import EvaluateSettings
from model.network import Network
from workflows.evaluation.measured import MEASURES, Measured
from workflows.evaluation.methods import Methods
from workflows.evaluation.report.contact_sheet import contact_sheet
from workflows.evaluation.report.samples import (
    Sample,
    drawn_clips,
    extreme_clips,
    make_samples,
    stored_clips,
)
from workflows.evaluation.report.warp_overlay import warp_overlay
from workflows.shared import artifacts
from workflows.shared.pictures import Picture, data_url, jpeg

SHEETS = {  # measure of an extremes sheet → its name on the page and its digits
    "psnr": ("PSNR [dB]", 2),
    "ssim": ("SSIM", 3),
    "l2_pool3": ("distance pool3", 3),
    "l2_pool4": ("distance pool4", 3),
    "l2_fc7": ("distance fc7", 3),
    "consistency": ("consistency with the input [dB]", 2),
}


@dataclass(frozen=True)
class Sheet:
    """A contact sheet on the page: name of its file, title, picture, and the clips of its rows."""

    name: str
    title: str
    picture: Picture
    clip_ids: list[str]

    @property
    def url(self) -> str:
        """The picture as a data URL."""
        return data_url(jpeg(self.picture), "jpeg")


def sheets(
    methods: Methods, options: EvaluateSettings, measured: Measured, seed: int, device: str
) -> list[Sheet]:
    """Drawn clips; the loss ablation, where networks differ in nothing but their training; and the
    best and worst clips of the last variant by each measure."""
    run, rows = methods.run, methods.names
    shown = artifacts.trained_variants(run)[-1]
    drawn = drawn_clips(measured.identities, options.samples, seed)
    extremes = {
        measure: extreme_clips(
            measured.values[:, rows.index(shown), MEASURES.index(measure)],
            measured.identities,
            measure,
        )
        for measure in SHEETS
    }
    wanted = drawn + [clip for pair in extremes.values() for half in pair for clip in half]
    restorers = methods.restorers(options.batch_size, device)
    samples = make_samples(restorers, artifacts.shards(run, "test"), measured, wanted)
    chosen = [samples[index] for index in drawn]
    title = "Clips drawn by the seed; below each face its PSNR [dB]"
    found = [_sheet("contact_sheet", title, chosen, rows, "psnr", 2)]
    for variant, names in _ablations(methods).items():
        title = f"{variant} by loss; below each face its distance fc7"
        columns = ["ground_truth", "bicubic", *names]
        found.append(_sheet(f"ablation_{variant}", title, chosen, columns, "l2_fc7", 3))
    for measure, (name, digits) in SHEETS.items():
        best, worst = extremes[measure]
        title = f"{name} of {shown}: the best {len(best)} clips, then the worst {len(worst)}"
        if best:
            group = [samples[index] for index in best + worst]
            found.append(_sheet(f"extremes_{measure}", title, group, rows, measure, digits))
    return found


def _sheet(
    name: str, title: str, samples: list[Sample], rows: list[str], measure: str, digits: int
) -> Sheet:
    picture = contact_sheet(samples, rows, measure, digits)
    return Sheet(name, title, picture, [sample.clip_id for sample in samples])


def _ablations(methods: Methods) -> dict[str, list[str]]:
    """Variant → rows of that architecture, for those of which there are several."""
    found: dict[str, list[str]] = {}
    for name, network in methods.networks().items():
        if isinstance(network, Network):
            found.setdefault(network.variant, []).append(name)
    return {variant: names for variant, names in found.items() if len(names) > 1}


def overlay(methods: Methods, measured: Measured, seed: int) -> Picture | None:
    """The warps of the variant with the longest window, on a drawn clip; none without warping."""
    warping = [network for network in methods.networks().values()
               if isinstance(network, Network) and network.predictor is not None]  # fmt: skip
    if not warping:
        return None
    network = max(warping, key=lambda network: network.num_frames)
    clip = measured.clip_ids[drawn_clips(measured.identities, 1, seed)[0]]
    stored = stored_clips(artifacts.shards(methods.run, "test"), [clip], ("clip_id", "low"))
    return warp_overlay(network, stored["low"][0])
