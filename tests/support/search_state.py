"""What a search at work has written down: the one place that knows the files of Ray Tune."""

from contextlib import suppress
from pathlib import Path

ENDED = '\\"status\\": \\"TERMINATED\\"'  # within JSON that is itself a string of JSON


def ended_trials(run: Path) -> int:
    """Trials of the search of a run that are written down as ended; 0 while nothing is.

    The files may be replaced or removed by their writer between their listing and their reading:
    what is gone by then says nothing, and whoever waits asks again.
    """
    found = 0
    for state in (run / "tune/search").glob("experiment_state-*.json"):
        with suppress(OSError):
            found = max(found, state.read_text(errors="replace").count(ENDED))
    return found
