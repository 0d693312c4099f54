"""The paper's user study (§5.6): which of two restorations shows the person better?

    python workflows/study.py --run RUN             serve the study on loopback
    python workflows/study.py --run RUN --summary   print and plot the answers as Figure 4

A participant sees, for each of three pairs of methods, five test clips: one method left, the other
right, and between them a sharp frame of the same track other than the restored one. Order and sides
are drawn anew for each participant. The methods are not named. Options: see the `study` settings
of --help.
"""

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.shards.reader import ShardReader
from infra import outages, storage
from infra.errors import RunError, SettingsError, ending
from infra.progress import say
from infra.runs import Run
from infra.settings import command_line
from infra.settings.settings import Settings
from workflows.shared import artifacts
from workflows.shared.networks import load_methods
from workflows.shared.pictures import png
from workflows.shared.restoring import restore_clips, to_bytes
from workflows.user_study.answers import Answers, Question
from workflows.user_study.server import Pictures, create_app, serve
from workflows.user_study.summary import write_summary

METHOD_PAIRS = 3
COLUMNS = ("clip_id", "identity", "low", "high", "neighbour")


def main() -> int:
    """Serve the study, or sum it up; returns the exit status of DESIGN §6."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--summary"]
    with ending("study.py") as end, outages.reporting():
        settings = command_line.load(arguments, "study.py", __doc__ or "")
        run = Run(settings.run)
        artifacts.refuse_other_clips(run, settings)
        answers = Answers(answers_file(settings, run))
        if len(arguments) < len(sys.argv) - 1:
            print(write_summary(answers, run))
        else:
            pairs = method_pairs(settings, run)
            questions, pictures = prepare(settings, run, pairs)
            serve(create_app(questions, pictures, answers), settings.study.port)
    return end.status


def answers_file(settings: Settings, run: Run) -> Path:
    """Where the answers are kept; raises SettingsError for a run in object storage without one."""
    if settings.study.answers is not None:
        return Path(settings.study.answers)
    if not storage.is_local(run.uri):
        raise SettingsError(
            f"study.answers: the run {run.uri} is in object storage, and SQLite needs a local "
            "file; give one, such as --study.answers answers.sqlite"
        )
    return Path(run.path("study", "answers.sqlite"))


def method_pairs(settings: Settings, run: Run) -> list[tuple[str, str]]:
    """The pairs that are compared: those of the settings, or the first three of what is trained.

    Raises SettingsError for a method that the run has not trained.
    """
    trained = artifacts.trained_variants(run)
    methods = ["bicubic", *trained]
    if not settings.study.pairs:
        # The method with the most frames against all others first, as in the paper.
        return list(combinations(reversed(methods), 2))[:METHOD_PAIRS]
    pairs = []
    for pair in settings.study.pairs:
        first, colon, second = pair.partition(":")
        if not colon or first == second or first not in methods or second not in methods:
            raise SettingsError(
                f"study.pairs: {pair!r} must be two different methods of this run with a colon "
                f"between them; there are {', '.join(methods)}"
            )
        pairs.append((first, second))
    return pairs


def prepare(
    settings: Settings, run: Run, pairs: list[tuple[str, str]]
) -> tuple[list[Question], Pictures]:
    """Draw the clips and restore them; returns the questions and the PNG of each of their images.

    Raises RunError where there is no test clip.
    """
    found = _test_clips(run, settings.study.questions * len(pairs), settings.seed)
    count = len(found["clip_id"])
    questions, pictures = [], {}
    restored: dict[str, NDArray[np.uint8]] = {}
    methods = sorted({method for pair in pairs for method in pair})
    for method, network in load_methods(run, methods, settings.clip).items():
        say("study", f"{count} test clips by {method}")
        restored[method] = to_bytes(restore_clips(network, found["low"]))
    for number, (first, second) in enumerate(pairs):
        for place in range(settings.study.questions):
            index = (number * settings.study.questions + place) % count
            question = Question(first, second, str(found["clip_id"][index]))
            questions.append(question)
            pictures[question.key, "reference"] = png(found["neighbour"][index])
            for method in (first, second):
                pictures[question.key, method] = png(restored[method][index])
    return list(dict.fromkeys(questions)), pictures


def _test_clips(run: Run, wanted: int, seed: int) -> dict[str, NDArray]:
    """Up to `wanted` test clips in a drawn order, all people before anyone comes twice."""
    shards = artifacts.shards(run, "test")
    if not shards:
        raise RunError(
            f"{run.path('clips', 'test')}: no clip in the test split; add videos of more people, "
            "or change preprocess.*_share or seed"
        )
    names = ShardReader(shards, 256, seed=None, columns=("identity",), prefetch=0)
    identities = np.concatenate([batch["identity"] for batch in names.once()]).astype(str)
    order = np.random.default_rng(seed).permutation(len(identities))
    turn = np.zeros(len(order), int)  # how often the person came before
    seen: dict[str, int] = {}
    for place, row in enumerate(order):
        turn[place] = seen.setdefault(identities[row], 0)
        seen[identities[row]] += 1
    chosen = order[np.argsort(turn, kind="stable")][:wanted]
    rank = {int(row): place for place, row in enumerate(chosen)}
    kept: dict[int, dict[str, NDArray]] = {}
    row = 0
    for batch in ShardReader(shards, 64, seed=None, columns=COLUMNS, prefetch=0).once():
        for place in range(len(batch["clip_id"])):
            if row in rank:
                kept[rank[row]] = {name: np.array(batch[name][place]) for name in COLUMNS}
            row += 1
    return {name: np.stack([kept[place][name] for place in range(len(chosen))]) for name in COLUMNS}
