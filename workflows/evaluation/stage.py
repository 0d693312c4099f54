"""Stage evaluate: metrics of every method on test people, and the report that shows them."""

import re
from typing import Any

from datasets.protocols.pairing import Pairing
from infra import cluster, storage
from infra.errors import RunError, SettingsError
from infra.nodes.preflight import Needs, require
from infra.progress import say
from infra.runs import Run, Stage
from infra.settings.settings import Settings
from workflows.evaluation.aggregate import figures_of
from workflows.evaluation.exchange import check_restored, export_clips, frame_name
from workflows.evaluation.judges import load_judge
from workflows.evaluation.measure import measure
from workflows.evaluation.measured import Measured
from workflows.evaluation.methods import BASELINES, Methods, is_weights
from workflows.evaluation.paired_differences import differences
from workflows.evaluation.pairing import NoPairError, choose, read_protocol
from workflows.evaluation.report.page import write_report
from workflows.evaluation.report.samples import stored_clips
from workflows.shared import artifacts


def evaluate(settings: Settings, run: Run) -> None:
    """Write `report/metrics.json`, tables, figures and `report/index.html`."""
    settings = _resolved(settings)
    if settings.evaluate.export is not None:
        _export(settings, run, settings.evaluate.export)
    used = {"evaluate": settings.evaluate.made_from(), "seed": settings.seed}
    inputs = ["clips", "recogniser", "train"]
    if settings.train.use_search or run.is_complete("tune"):
        inputs.append("tune")
    with run.stage("evaluate", "report", used, inputs) as stage:
        if stage is None:
            return
        methods = Methods(run, settings.clip, settings.evaluate.external)
        methods.networks()  # refuses weights that do not fit before the work begins
        if (wanted := needs(settings, run)) is not None:
            cluster.connect(settings.cluster.address, settings.cluster.cpus)
            require(wanted)
        test = _Split(settings, methods, "test", settings.evaluate.max_clips)
        metrics: dict[str, Any] = {
            "variants": test.figures,
            "pairs": test.about,
            "identities": len(test.people),
            "external": test.external,
            "differences": differences(test.measured, list(test.figures), settings.seed),
        }
        if "train" in settings.evaluate.splits:
            limit = None if settings.evaluate.protocol != "drawn" else len(test.measured.clip_ids)
            try:
                train = _Split(settings, methods, "train", limit)
                metrics |= {"train": train.figures, "train_pairs": train.about}
            except NoPairError as error:
                say(stage.name, f"no row of training people: {error}")
        storage.write_json(stage.path(artifacts.METRICS), metrics)
        if test.pairing.missing:
            names = "\n".join(test.pairing.missing) + "\n"
            storage.write_bytes(stage.path("tables", "missing.txt"), names.encode())
        write_report(settings, methods, stage, metrics, test.measured, test.curves)
        _say(stage, test.figures)
        stage.counts |= {"clips": len(test.measured.clip_ids), "identities": len(test.people),
                         "variants": len(test.figures)}  # fmt: skip


def needs(settings: Settings, run: Run) -> Needs | None:
    """What the stage needs of Ray's nodes; None where it measures in this process."""
    if settings.engine == "torch":
        return None
    fields, gpus = "evaluate.gpus_per_worker", settings.evaluate.gpus_per_worker
    return Needs("evaluate", run.uri, gpus=gpus, fields=fields)


def _resolved(settings: Settings) -> Settings:
    """The settings with the protocol of preprocess where evaluate names no other, and with the
    files of other methods and of the judge where actors find them."""
    options, before = settings.evaluate, settings.preprocess
    filled = {
        "protocol_file": options.protocol_file or before.protocol,
        "protocol_split": options.protocol_split or before.protocol_split,
        "external": {name: storage.absolute(uri) for name, uri in options.external.items()},
        "judge": options.judge and storage.absolute(options.judge),
    }
    return settings.model_copy(update={"evaluate": options.model_copy(update=filled)})


def check(settings: Settings) -> None:
    """Raise SettingsError for a protocol, a judge or another method that cannot be used."""
    options = _resolved(settings).evaluate
    if options.protocol != "drawn":
        read_protocol(options)
    load_judge(options)
    for name, uri in options.external.items():
        if not re.fullmatch(r"[\w .+-]{1,40}", name) or name in (
            *BASELINES, *settings.train.variants
        ):  # fmt: skip
            raise SettingsError(
                f"evaluate.external: {name!r} cannot name a row; use letters, digits, spaces, "
                "'.', '+', '-', and no name that is a row already"
            )
        if not storage.exists(uri):
            raise SettingsError(f"evaluate.external {name}: {uri}: no such folder or file")


class _Split:
    """The measures of a split's clips by every method, and their means."""

    def __init__(self, settings: Settings, methods: Methods, split: str, limit: int | None) -> None:
        shards = artifacts.shards(methods.run, split)
        if not shards:
            raise RunError(
                f"evaluate: no clip in the {split} split; add videos of more people, "
                "change seed, or make preprocess.train_share smaller"
            )
        options, frames = settings.evaluate, settings.clip.num_frames
        keys, self.pairing = choose(options, split, shards, limit, frames, settings.seed)
        chosen = {key.clip_id for key in keys}
        self.people = {key.identity for key in keys}
        self.external = _check_external(settings, split, sorted(chosen))
        here = settings.engine == "torch"
        self.measured: Measured = measure(methods, options, shards, chosen, self.pairing, here)
        self.figures, self.curves = figures_of(
            self.measured, self.pairing, methods.names, settings.seed
        )
        self.about = _about(settings, self.pairing)
        for name, found in self.external.items():
            if self.figures[name]["clips"] != found["clips"] - found["unusable"]:
                raise RunError(
                    f"evaluate.external {name}: the workers do not see the frames that this "
                    "process sees; give a shared folder or s3://"
                )


def _about(settings: Settings, pairing: Pairing) -> dict[str, Any]:
    """How many pairs there were, of which kind, and what was missing; the report says it."""
    return {
        "protocol": settings.evaluate.protocol,
        **pairing.counts,
        "missing": len(pairing.missing),
        "first_missing": pairing.missing[:20],
    }


def _check_external(settings: Settings, split: str, clip_ids: list[str]) -> dict[str, Any]:
    """Count and name what is wrong with each folder of another method; RunError where all is."""
    found = {}
    count = settings.clip.num_frames
    for name, uri in settings.evaluate.external.items():
        if is_weights(uri):
            continue
        wrong = check_restored(uri, clip_ids, count, settings.clip.size)
        if wrong:
            say("evaluate", f"{name}: {len(wrong)} of {len(clip_ids)} {split} frames cannot be "
                f"used: {'; '.join(wrong[:3])}{'; …' * (len(wrong) > 3)}")  # fmt: skip
        if len(wrong) == len(clip_ids) and split == "test":
            raise RunError(
                f"evaluate.external {name}: no usable frame in {uri} ({wrong[0]}); expected "
                f"CLIP/{frame_name(count // 2, count)} named as evaluate.export names them"
            )
        found[name] = {"clips": len(clip_ids), "unusable": len(wrong), "first": wrong[:20]}
    return found


def _export(settings: Settings, run: Run, uri: str) -> None:
    """Write the test clips that are measured as PNG; done each time that it is asked for."""
    shards = artifacts.shards(run, "test")
    options, frames = settings.evaluate, settings.clip.num_frames
    keys, _ = choose(options, "test", shards, options.max_clips, frames, settings.seed)
    wanted = [key.clip_id for key in keys]
    stored = stored_clips(shards, wanted, ("clip_id", "identity", "video", "frame", "low"))
    say("evaluate", f"{export_clips(uri, stored, settings.clip)} test clips exported to {uri}")


def _say(stage: Stage, figures: dict[str, dict[str, Any]]) -> None:
    for name, row in figures.items():
        psnr = "-" if row["psnr"] is None else f"{row['psnr']:.2f} dB"
        same = "-" if row["verification"] is None else f"{row['verification']:.1f} %"
        say(stage.name, f"{name:>13}: PSNR {psnr}, verification {same}")
