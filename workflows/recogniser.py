"""Stage recogniser: VGG-Face from the user's file, or a VGG-16 trained on the training people."""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tempfile

from datasets.shards import identities
from infra import storage
from infra.errors import SettingsError
from infra.runs import Run, Stage
from infra.settings import Settings
from model.objectives import Recognition
from model.perceptual import FaceRecogniser, load_vgg_face, save_recogniser
from workflows import clips, initial
from workflows.command import main
from workflows.fitting import ended, fit
from workflows.jobs import Job, Work, plan_of
from workflows.panels import augmented_panel
from workflows.scoring import describe, pairs_of, pictures, validation_clips, verification


def recogniser(settings: Settings, run: Run) -> None:
    """Write `recogniser/weights.safetensors`; its verification on held-out people is recorded."""
    options = settings.recogniser
    used = {
        "recogniser": options.made_from(),
        "clip": settings.clip.model_dump(),
        "seed": settings.seed,
    }
    with run.stage("recogniser", "recogniser", used, ["clips"]) as stage:
        if stage is None:
            return
        if options.weights is not None:
            _take_over(stage, options.weights)
        else:
            _train(settings, run, stage)
        _judge(settings, run, stage)


def check(settings: Settings) -> None:
    """Raise SettingsError where a file of weights is not there."""
    weights = settings.recogniser.weights
    if weights is not None and not storage.exists(weights):
        raise SettingsError(f"recogniser.weights: {weights}: no such file")
    initial.check("recogniser.init", settings.recogniser.init)


def load(run: Run) -> FaceRecogniser:
    """The run's recogniser, frozen."""
    with storage.local_file(run.path("recogniser", "weights.safetensors")) as path:
        network = load_vgg_face(path)
    return network.eval().requires_grad_(False)


def _take_over(stage: Stage, weights: str) -> None:
    try:
        with storage.local_file(weights) as path:
            network = load_vgg_face(path)
    except ValueError as error:
        raise SettingsError(f"recogniser.weights: {error}") from error
    with tempfile.TemporaryDirectory() as folder:
        save_recogniser(network, Path(folder) / "weights.safetensors")
        storage.upload(Path(folder), stage.uri)
    stage.counts["weights"] = weights


def _train(settings: Settings, run: Run, stage: Stage) -> None:
    shards = clips.shards(run, "train")
    people = identities(shards)
    stage.counts["training_identities"] = len(people)
    plan = plan_of(settings.recogniser, clips.rows(shards), run.record("clips").digest)
    work = Work(
        name="recogniser",
        folder=stage.uri,
        shards=shards,
        options=settings.recogniser,
        plan=plan,
        seed=settings.seed,
        build=partial(_build, settings, shards, people),
    )
    stage.counts |= ended(work, fit(settings, work), ("accuracy",))


def _build(settings: Settings, shards: list[str], people: list[str]) -> Job:
    options = settings.recogniser
    network = FaceRecogniser(
        identities=len(people), width=options.width, input_size=options.input_size
    )
    objective = Recognition(network)
    some = validation_clips(shards, limit=8)
    assert some is not None, "there are training people, so there are clips"
    return Job(
        objective=objective,
        columns=["high", "identity"],
        metadata=network.description(),
        labels={name: index for index, name in enumerate(people)},
        panels={"faces": partial(augmented_panel, some["high"], objective.degrade)},
    )


def _judge(settings: Settings, run: Run, stage: Stage) -> None:
    """Every verification figure rests on the recogniser: say what it reaches on real pictures."""
    held_out = validation_clips(clips.shards(run, "validation"), limit=600)
    pairs = pairs_of(held_out, settings.seed, 300) if held_out is not None else None
    if held_out is None or pairs is None:
        stage.counts["held_out_verification"] = "not measured: no pairs of validation people"
        return
    with storage.local_file(stage.path("weights.safetensors")) as path:
        network = load_vgg_face(path).eval()
    percent = verification(describe(network, pictures(held_out["high"])), pairs)
    stage.counts["held_out_verification"] = f"{percent:.1f} %"


if __name__ == "__main__":
    sys.exit(main(["recogniser"], __doc__ or ""))
