"""Stage train: the restoration variants with the loss of eq. (6)."""

from dataclasses import replace
from functools import partial
from typing import Any

from infra import storage
from infra.errors import SettingsError
from infra.nodes.preflight import Needs
from infra.runs import Run, Stage
from infra.settings import of_weights
from infra.settings.optimiser import OptimiserSettings
from infra.settings.settings import Settings
from infra.settings.training import TrainSettings
from infra.training.plan import Plan
from model.linear_fit import start_linear
from model.network import Network
from model.objectives.curriculum import Curriculum
from model.objectives.fresh_bursts import FreshBursts
from model.objectives.restoration import Restoration
from model.perceptual import FaceRecogniser
from model.variants import parse_variant
from model.weights import grow_from
from workflows.shared import artifacts, networks
from workflows.training import initial_weights
from workflows.training.dispatch import ended, fit, needs_of
from workflows.training.job import Trainee, TrainingJob, plan_of
from workflows.training.validation import Validation


def train(settings: Settings, run: Run) -> None:
    """Write `train/<variant>/weights.safetensors` for each variant of the settings.

    Every variant has its own completion record, so that one more variant trains alone, with a
    budget of its own if need be; the stage's record names it beside those trained before.
    """
    settings, perceptual = _chosen(settings, run)
    # With a record for each variant, the list itself is no part of any variant's settings.
    made_from = settings.train.made_from()
    for name in ("variants", "use_search"):
        del made_from[name]
    used = {
        **made_from,
        "perceptual": perceptual,
        "clip": settings.clip.model_dump(),
        "network": settings.network.model_dump(),
        "seed": settings.seed,
    }
    for variant in settings.train.variants:
        folder = f"train/{variant}"
        shorter = _shorter(settings.train.init_from, variant)
        inputs = ["clips", "recogniser", "pretrain"] + ([f"train/{shorter}"] if shorter else [])
        own = {"train": {**used, "init_from": shorter}}
        with run.stage("train", folder, own, inputs) as stage:
            if stage is not None:
                _train_one(settings, run, stage, variant, perceptual)
    variants = [*_trained_before(run, settings.train.variants), *settings.train.variants]
    parts = [f"train/{variant}" for variant in variants]
    scores = {variant: run.record(part).counts.get("validation_psnr")
              for variant, part in zip(variants, parts, strict=True)}  # fmt: skip
    every = {"variants": variants, "train": used}
    run.summarise(
        "train", "train", every, parts, {"variants": len(parts), "validation_psnr": scores}
    )


def _trained_before(run: Run, listed: list[str]) -> list[str]:
    """Other complete variants of the run, made from its present clips, recogniser and pretraining;
    by their frames, those that warp last."""
    now = {folder: run.record(folder).digest for folder in ("clips", "recogniser", "pretrain")}
    found = []
    for uri in storage.files(run.path("train"), "/stage.json"):
        variant = uri.rsplit("/", 2)[1]
        if variant in (*listed, "train"):  # the latter is the record of the stage itself
            continue
        inputs = run.record(f"train/{variant}").inputs
        if all(inputs[folder] == digest for folder, digest in now.items()):
            found.append(variant)
    return sorted(found, key=lambda variant: (parse_variant(variant).num_frames, variant))


def needs(settings: Settings, _: Run) -> Needs | None:
    """What the stage needs of Ray's nodes; None where it needs none."""
    return needs_of("train", settings.train, settings)


def check(settings: Settings) -> None:
    """Raise SettingsError, naming the field, for a variant that cannot be built or fed."""
    for variant in settings.train.variants:
        try:
            parsed = parse_variant(variant)
        except ValueError as error:
            raise SettingsError(f"train.variants: {error}") from error
        if variant == "bicubic":
            raise SettingsError("train.variants: bicubic is not trained; it is always evaluated")
        if parsed.linear:
            raise SettingsError(
                f"train.variants: {variant} is fitted, not trained; the linear restoration of the "
                "longest window is always evaluated"
            )
        for step in _steps(settings):
            stored = settings.clip.num_frames
            check_window(stored, "train.variants", variant, parsed.num_frames, step)
    options = settings.train
    if options.crop is not None and (options.use_search or any(options.perceptual.values())):
        raise SettingsError(
            "train.crop: the recogniser of eq. (6) knows whole faces; give train.use_search false "
            "and no λ in train.perceptual, or no crop"
        )
    _check_start(settings.train.init_from, settings.train.variants)
    initial_weights.check("train.init", settings.train.init)


def _steps(settings: Settings) -> list[int]:
    """The distances between a window's frames that may be trained: a search may choose another."""
    searched = settings.tune.frame_step if settings.train.use_search else []
    return searched or [settings.clip.frame_step]


def check_window(stored: int, field: str, what: object, frames: int, step: int) -> None:
    """Raise SettingsError where a window of frames `step` apart is longer than a clip as stored."""
    needed = (frames - 1) * step + 1
    if needed > stored:
        apart = f", {step} apart" if step > 1 else ""
        raise SettingsError(
            f"{field}: {what} needs {needed} frames a clip{apart}, clip.num_frames is {stored}"
        )


def _check_start(init_from: str | None, variants: list[str]) -> None:
    if init_from in variants and init_from != variants[0]:
        raise SettingsError(
            f"train.init_from: the others grow from {init_from}; put it first in train.variants"
        )


def _shorter(init_from: str | None, variant: str) -> str | None:
    """The variant whose weights this one grows from."""
    return init_from if variant != init_from else None


def _chosen(settings: Settings, run: Run) -> tuple[Settings, dict[str, float]]:
    """The settings with the learning rate and the frame step that a search chose, where it
    searched them, and λ of each layer."""
    options = settings.train
    if not options.use_search:
        return settings, {str(layer): weight for layer, weight in options.perceptual.items()}
    best = artifacts.found_best(run)
    rate = best.get("learning_rate") or options.learning_rate
    step = best.get("frame_step") or settings.clip.frame_step
    chosen = {
        "train": options.model_copy(update={"learning_rate": rate}),
        "clip": settings.clip.model_copy(update={"frame_step": step}),
    }
    return settings.model_copy(update=chosen), dict(best["perceptual"])


def _train_one(
    settings: Settings, run: Run, stage: Stage, variant: str, perceptual: dict[str, float]
) -> None:
    options = settings.train
    shards = artifacts.shards(run, "train")
    plan = plan_of(options, artifacts.rows(shards), stage.fingerprint, options.evaluate_every)
    plan = replace(plan, best=True)
    job = job_of(
        settings, run, stage.uri, f"train-{variant}", variant, perceptual, plan,
        shorter=_shorter(settings.train.init_from, variant),
    )  # fmt: skip
    last = fit(settings, job)
    named = ("best_step", "validation_psnr", "validation_verification")
    stage.counts |= ended(job, last, named)


def job_of(
    settings: Settings,
    run: Run,
    folder: str,
    name: str,
    variant: str,
    perceptual: dict[str, float],
    plan: Plan,
    options: OptimiserSettings | None = None,
    shorter: str | None = None,
    linear_folder: str | None = None,
    **more: Any,
) -> TrainingJob:
    """The training of one variant; the search uses it too, with its own length and weights.

    The linear restoration that it starts from is fitted here if `linear_folder`, else `folder`,
    does not hold it yet.
    """
    linear = ""
    if linear_folder is None or settings.network.start == "linear":  # a trial is no row of a table
        linear = initial_weights.fitted_linear(settings, run, variant, linear_folder or folder)
    return TrainingJob(
        name=name,
        folder=folder,
        shards=artifacts.shards(run, "train"),
        options=options or settings.train,
        plan=plan,
        seed=settings.seed,
        build=partial(_build, settings, run, variant, perceptual, shorter, linear),
        **more,
    )  # fmt: skip


def _build(
    settings: Settings,
    run: Run,
    variant: str,
    perceptual: dict[str, float],
    shorter: str | None,
    linear: str,
) -> Trainee:
    network = initial_weights.new_network(settings, run, variant)
    if settings.network.start == "linear":
        start_linear(network, networks.linear_restoration(linear))
    if network.predictor is not None:
        network.predictor.requires_grad_(settings.train.warp_rate > 0)
    notes = []
    if shorter is not None:
        weights = run.path("train", shorter, artifacts.WEIGHTS)
        notes = [initial_weights.start(network, weights, "train.init_from", grow_from)]
    judge = networks.load_recogniser(run)
    validation = Validation(
        artifacts.shards(run, "validation"), settings.train.validation_clips, settings.seed, judge
    )
    return Trainee(
        objective=_objective(network, judge, perceptual, settings.train, settings.clip.blur_sigma),
        metadata=network.description() | of_weights.seen(settings.clip, settings.preprocess),
        evaluate=partial(validation.score, network),
        panels=validation.panels(network),
        notes=notes,
    )


def _objective(
    network: Network,
    judge: FaceRecogniser,
    perceptual: dict[str, float],
    options: TrainSettings,
    blur_sigma: float | None,
) -> Restoration:
    fresh = None
    if options.fresh and network.num_frames > 1:
        fresh = FreshBursts(options.fresh, network.num_frames, blur_sigma, network.frame_step)
    curriculum = Curriculum(
        options.warp_rate, options.true_motion, options.warp_after, options.alignment
    )
    return Restoration(
        network, network.num_frames, judge, perceptual, augment=options.augment,
        crop=None if any(perceptual.values()) else options.crop, curriculum=curriculum,
        fresh=fresh, rate_by_frames=options.rate_by_frames,
        look_up=options.zero_stage != 3,  # P runs on all workers then, or on none
    )  # fmt: skip
