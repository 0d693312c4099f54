"""The trials of a search that have ended, from which a search that was cut off goes on.

They are kept as JSON of ours. Ray Tune's own state is pickled: restored from a run folder, it would
run whatever program somebody who can write there has put into it.
"""

import math

import optuna
from optuna.trial import TrialState
from pydantic import BaseModel, TypeAdapter, ValidationError
from ray.tune.search.optuna import OptunaSearch

from infra import storage
from infra.errors import RunError
from workflows.search.space import STUDY, Config

FILE = "ended.json"


class Ended(BaseModel):
    """A trial that was validated to its end, or to where ASHA stopped it: what was drawn for it,
    and its last report, as Tune gives them."""

    config: dict[str, bool | int | float]
    trial_id: str
    step: float
    validation_psnr: float
    validation_verification: float | None = None


LIST = TypeAdapter(list[Ended])


def read(uri: str) -> list[Ended]:
    """The trials that had ended, in their order; raises RunError for a file that is not one of
    this version's."""
    if not storage.exists(uri):
        return []
    try:
        return LIST.validate_json(storage.read_bytes(uri))
    except ValidationError as error:
        raise RunError.of_another_version("tune") from error


def write(uri: str, ended: list[Ended]) -> None:
    """Write what `read` reads."""
    storage.write_json(uri, LIST.dump_python(ended))


def seen_by_optuna(
    ended: list[Ended], space: Config, metrics: list[str]
) -> optuna.storages.BaseStorage:
    """Optuna's memory of a search: it goes on from there as if it had drawn these trials itself.

    Raises RunError where they are not of this space.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would tell of each study
    memory = optuna.storages.InMemoryStorage()
    study = optuna.create_study(
        storage=memory, study_name=STUDY, directions=["maximize"] * len(metrics)
    )
    distributions = OptunaSearch.convert_search_space(space)
    for trial in ended:
        values = [getattr(trial, name) for name in metrics]
        told = all(value is not None and math.isfinite(value) for value in values)
        try:
            study.add_trial(
                optuna.trial.create_trial(
                    state=TrialState.COMPLETE if told else TrialState.FAIL,
                    params=trial.config,
                    distributions=distributions,
                    values=values if told else None,
                )
            )
        except (ValueError, TypeError) as error:
            raise RunError.of_another_version("tune") from error
    return memory
