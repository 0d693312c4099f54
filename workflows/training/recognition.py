"""Stage recogniser: VGG-Face from the user's file, or a VGG-16 trained on the training people."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from sklearn.metrics import roc_auc_score

from datasets.shards.files import identities
from datasets.verification import pair_similarities, verification_percent
from infra import storage
from infra.errors import SettingsError
from infra.nodes.preflight import Needs
from infra.runs import Run, Stage
from infra.settings.settings import Settings
from infra.settings.training import RecogniserSettings
from model.objectives.recognition import Recognition
from model.perceptual import FaceRecogniser, load_vgg_face, save_recogniser
from workflows.shared import artifacts
from workflows.shared.restoring import describe, pictures, validation_clips
from workflows.training import initial_weights
from workflows.training.dispatch import ended, fit, needs_of
from workflows.training.job import Trainee, TrainingJob, plan_of
from workflows.training.pictures import augmented_panel
from workflows.training.validation import pairs_of

HELD_OUT = 600  # validation clips, and half as many pairs of each kind


def recogniser(settings: Settings, run: Run) -> None:
    """Write `recogniser/weights.safetensors`; its verification on held-out people is recorded."""
    options = settings.recogniser
    used = {
        "recogniser": options.made_from(),
        "clip": settings.clip.stored(),
        "seed": settings.seed,
    }
    with run.stage("recogniser", "recogniser", used, ["clips"]) as stage:
        if stage is None:
            return
        if options.weights is not None:
            _take_over(stage, options.weights)
        else:
            _train(settings, run, stage)
        _judge(run, settings.seed, stage)


def needs(settings: Settings, _: Run) -> Needs | None:
    """What the stage needs of Ray's nodes; None where it needs none."""
    if settings.recogniser.weights is not None:
        return None
    return needs_of("recogniser", settings.recogniser, settings)


def check(settings: Settings) -> None:
    """Raise SettingsError where a file of weights is not there."""
    weights = settings.recogniser.weights
    if weights is not None and not storage.exists(weights):
        raise SettingsError(f"recogniser.weights: {weights}: no such file")
    initial_weights.check("recogniser.init", settings.recogniser.init)


def _take_over(stage: Stage, weights: str) -> None:
    try:
        with storage.local_file(weights) as path:
            network = load_vgg_face(path)
    except ValueError as error:
        raise SettingsError(f"recogniser.weights: {error}") from error
    with tempfile.TemporaryDirectory() as folder:
        save_recogniser(network, Path(folder) / artifacts.WEIGHTS)
        storage.upload(Path(folder), stage.uri)
    stage.counts["weights"] = weights


def _train(settings: Settings, run: Run, stage: Stage) -> None:
    shards = artifacts.shards(run, "train")
    people = identities(shards)
    stage.counts["training_identities"] = len(people)
    options = settings.recogniser
    plan = plan_of(options, artifacts.rows(shards), stage.fingerprint, options.evaluate_every)
    # The area under the ROC curve goes by all pairs; the equal error rate of a few hundred jumps.
    patience = options.patience
    plan = replace(plan, score="auc", patience=patience, best=patience is not None)
    job = TrainingJob(
        name="recogniser",
        folder=stage.uri,
        shards=shards,
        options=options,
        plan=plan,
        seed=settings.seed,
        build=partial(_build, run, options, people, settings.seed),
    )
    stage.counts |= ended(job, fit(settings, job), ("accuracy",))


def _build(run: Run, options: RecogniserSettings, people: list[str], seed: int) -> Trainee:
    network = FaceRecogniser(
        identities=len(people), width=options.width, input_size=options.input_size
    )
    objective = Recognition(network)
    some = validation_clips(artifacts.shards(run, "train"), limit=8)
    assert some is not None, "there are training people, so there are clips"
    return Trainee(
        objective=objective,
        metadata=network.description(),
        labels={name: index for index, name in enumerate(people)},
        balanced=options.balanced,
        evaluate=_held_out(run, seed, network),
        panels={"faces": partial(augmented_panel, some["high"], objective.degrade)},
    )


def _held_out(
    run: Run, seed: int, network: FaceRecogniser
) -> Callable[[], dict[str, float]] | None:
    """What verifies validation people, in percent and as area under ROC; None without pairs."""
    some = validation_clips(artifacts.shards(run, "validation"), limit=HELD_OUT)
    pairs = pairs_of(some, seed, HELD_OUT // 2) if some is not None else None
    if some is None or pairs is None:
        return None

    def evaluate() -> dict[str, float]:
        training = network.training
        descriptors = describe(network, pictures(some["high"]))
        network.train(training)
        scores = pair_similarities(descriptors, pairs.pairs)
        return {
            "verification": verification_percent(scores, pairs.same),
            "auc": float(roc_auc_score(pairs.same, scores)),
        }

    return evaluate


def _judge(run: Run, seed: int, stage: Stage) -> None:
    """Every verification figure rests on the recogniser: say what it reaches on real pictures."""
    with storage.local_file(stage.path(artifacts.WEIGHTS)) as path:
        held_out = _held_out(run, seed, load_vgg_face(path).eval())
    stage.counts["held_out_verification"] = (
        f"{held_out()['verification']:.1f} %"
        if held_out is not None
        else "not measured: no pairs of validation people"
    )
