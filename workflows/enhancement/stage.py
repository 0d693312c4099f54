"""Stage enhance: films of a folder or bucket in, restored faces out."""

import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from infra import cluster, storage
from infra.errors import InputError, RunError, SettingsError
from infra.nodes.counts import JobCounts
from infra.nodes.preflight import Needs, require
from infra.progress import say
from infra.runs import Run, Stage, digest_of
from infra.settings.of_run import DRAWN
from infra.settings.settings import Settings
from infra.text import number_of, tallied
from model.variants import parse_variant
from workflows.enhancement import films, models
from workflows.enhancement.gallery.pages import write_gallery
from workflows.enhancement.gallery.rows import about, shown
from workflows.enhancement.graph import Pool, restored
from workflows.enhancement.outputs.chosen import Chosen
from workflows.enhancement.plan import layout, speed
from workflows.enhancement.progress import Progress
from workflows.enhancement.receipts import (
    Receipt,
    complete_receipts,
    receipts_among,
    write_tables,
)
from workflows.enhancement.spans import Model
from workflows.enhancement.steps.locate import Wanted
from workflows.enhancement.steps.reading import Reader
from workflows.enhancement.steps.writing import Writer
from workflows.shared.face_models import chosen
from workflows.shared.face_models.finding import Choice
from workflows.shared.source_survey import Reading, find


def enhance(settings: Settings, run: Run) -> None:
    """Write what is asked for of each film below `enhanced/`, and the tables of all.

    A film that was restored already, from the same files and with the same settings and weights,
    is kept.
    """
    options, root = settings.enhance, films.root(settings, run)
    if options.weights is None and not run.is_complete(f"train/{options.variant}"):
        raise RunError(
            f"{run.path('train', options.variant)}: has not been trained in this run; give "
            "--weights FILE or another run's, or train it: workflows/full.py"
        )
    detector = _detector(settings, run)
    used = {
        "enhance": {name: v for name, v in options.made_from().items() if name != "source"}
        | {
            "large": options.for_large(films.are_own(settings, run)),
            "models": models.digests(options.models, run),
            "outputs": sorted(set(options.outputs)),
        },
        "source": DRAWN if root == run.path("source") else root,
        "clip": settings.clip.stored(),
        "preprocess": chosen.made_from(settings, detector),
    }
    inputs = [f"train/{options.variant}"] if options.weights is None else []
    changed = partial(changes, settings, run)
    with run.stage("enhance", "enhanced", used, inputs, changed) as stage:
        if stage is None:
            return
        networks = models.loaded(settings, run)
        of_stage = _stands_on(stage.fingerprint, networks[0], settings)
        files, before = storage.files(stage.uri), complete_receipts(stage.uri)
        reading = films.reading(settings, run, of_stage, receipts_among(files), before)
        found = films.found_among(files, stage.uri, of_stage, reading.left)
        storage.remove_all(found.stale)
        receipts = reading.kept
        if receipts:
            say(stage.name, f"{len(receipts)} of {reading.sources} films are restored already")
        if reading.left:
            model = chosen.keep(run, stage.name, detector)
            receipts = _restored(
                settings, run, _Work(stage, of_stage, networks, model, reading, found.spans)
            )
        receipts.sort(key=lambda receipt: receipt.name)
        if "gallery" in options.outputs:
            below = stage.uri.removeprefix(run.uri).strip("/")
            page = write_gallery(stage.uri, shown(receipts, below), about(root, networks))
            say(stage.name, f"a page over all faces: {page}")
        write_tables(stage, receipts, settings.preprocess.max_error_share * reading.sources)


def _stands_on(fingerprint: str, own: Model, settings: Settings) -> str:
    """What results stand on beside their sources: weights that are given are no setting, so that
    others make anew what they have to."""
    given = settings.enhance.weights is not None
    return digest_of(stage=fingerprint, weights=own.sha256) if given else fingerprint


@dataclass(frozen=True)
class _Work:
    """What is to be restored in a stage, on what it stands, and by what networks and detector."""

    stage: Stage
    of_stage: str
    networks: list[Model]
    detector: str | None
    reading: Reading[Receipt]
    spans: dict[str, list[int]]


def _restored(settings: Settings, run: Run, work: _Work) -> list[Receipt]:
    """The receipts that are kept, and those of the films that are left, as they are restored."""
    cluster.connect(settings.cluster.address, settings.cluster.cpus, dashboard=False)
    require(needs(settings, run))
    options, reading, stage = settings.enhance, work.reading, work.stage
    limits = replace(settings.preprocess.limits(), damage=options.damage)
    progress, counts = Progress(), JobCounts()
    clip, networks = settings.clip, work.networks
    wanted = Wanted(
        clip.geometry(), options.detection(settings.preprocess, work.detector),
        clip.how_degraded(), tuple(network.low_size for network in networks),
        max(network.reach for network in networks),
        options.for_large(films.are_own(settings, run)) == "degrade",
    )  # fmt: skip
    chosen_outputs = Chosen(tuple(options.outputs), options.film_scale, options.mark, limits)
    writer = Writer(
        run.uri, stage.uri, work.of_stage, {network.low_size: network for network in networks},
        chosen_outputs, counts, progress,
    )  # fmt: skip
    device = "cuda" if options.gpus_per_worker else "cpu"
    found = restored(
        reading.left, work.spans, Reader(wanted, limits, counts, progress),
        (networks, clip.blur_sigma, options.batch_size, device, counts, progress), writer,
        Pool(options.workers, options.gpus_per_worker),
    )  # fmt: skip
    say(stage.name, layout(len(reading.left), networks, options, cluster.resources()))
    if wanted.degraded and "film" in options.outputs:
        say(
            stage.name,
            f"faces over {wanted.largest} px are made as small as the network's input first "
            "(enhance.large degrade): in the film they lose what it shows",
        )
    receipts = list(reading.kept)
    # Where Ctrl-C comes between two receipts, Ray Data's threads would outlive Ray, and complain.
    with closing(found), progress.told(stage.name, len(reading.left)):
        for receipt in found:
            receipts.append(receipt)
            progress.close(receipt.name, receipt.film["frames"])
            treated = Counter(receipt.film["treated"])
            if receipt.reason or treated or not sys.stdout.isatty():  # a terminal has its bar
                told = receipt.reason.removeprefix(f"{receipt.name}: ")
                told = told or number_of(len(receipt.tracks), "track")
                told += f"; {tallied(treated)}" if treated else ""
                say(stage.name, f"{len(receipts)} of {reading.sources}: {receipt.name}: {told}")
    if paces := speed(receipts[len(reading.kept) :], options.gpus_per_worker):
        say(stage.name, paces)
    return receipts


def _detector(settings: Settings, run: Run) -> Choice | None:
    """What is to find faces; None where each frame is a crop already."""
    how = settings.enhance.how_found(settings.preprocess)
    return None if how == "aligned" else chosen.choose(settings, run)


def needs(settings: Settings, run: Run) -> Needs:
    """What the stage needs of Ray's nodes."""
    fields, gpus = "enhance.gpus_per_worker", settings.enhance.gpus_per_worker
    larger = [storage.absolute(uri) for uri in settings.enhance.models]
    reads = [films.root(settings, run), models.own_weights(settings, run), *larger]
    return Needs("enhance", run.uri, gpus=gpus, fields=fields, reads=reads)


def changes(settings: Settings, run: Run, fingerprint: str) -> str:
    """What of the films, or of weights that are given, has changed since all were restored, in
    words; "" for nothing."""
    known = complete_receipts(run.path("enhanced"))
    if not known:
        return ""
    try:
        own = models.loaded(settings, run)[0]  # without them nothing can be restored anew
        of_stage = _stands_on(fingerprint, own, settings)
        changed = films.reading(settings, run, of_stage, known, known).changes
        used = {row["weights"] for receipt in known for row in receipt.tracks}
        others = settings.enhance.weights is not None and used and own.sha256 not in used
        return f"its weights are others; {changed}" if others and changed else changed
    except (InputError, SettingsError) as error:
        say("enhance", f"its films are not compared: {error}")
        return ""


def check(settings: Settings) -> None:
    """Raise SettingsError for a variant that is not trained, weights that are none, a source that
    is not there, or a detector or a model that cannot be used."""
    options, run = settings.enhance, Run(settings.run)
    try:
        parse_variant(options.variant)
    except ValueError as error:
        raise SettingsError(f"enhance.variant: {error}") from error
    if options.weights is not None:
        models.loaded(settings, run)
        if settings.source is None and options.source is None:
            raise SettingsError("--source: expected the films to enhance: a file, folder or prefix")
    else:
        trained = run.is_complete(f"train/{options.variant}")
        if options.variant not in settings.train.variants and not trained:
            raise SettingsError(
                f"enhance.variant: {options.variant} is not among train.variants "
                f"({', '.join(settings.train.variants)}); or give --weights"
            )
        models.check_larger(settings)
    if options.source is not None:
        find(options.source, alone=True)
    _detector(settings, run)
