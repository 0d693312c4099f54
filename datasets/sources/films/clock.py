"""When frames are shown: the times of a film, its pauses, and clocks that jump."""

from collections import deque
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from statistics import median

from datasets.sources.footage import CLOCK, PAUSE

REMEMBERED = 25  # steps from one frame to the next, of which the median is the usual one
PAUSE_STEPS, PAUSE_SECONDS = 5, 0.5  # longer than both is a pause
# Containers for broadcast begin anew at any time, and may not leave their picture without a time
# for as long; elsewhere nobody films for so many days without a frame.
JUMP_SECONDS, JUMP_SECONDS_ELSEWHERE = 10.0, 30 * 3600.0
# A header's rate is an average over pauses, or that of the finest clock: it holds unless it is
# further from the usual step. It may be half of what is measured where packets are fields.
HEADER_FACTOR = 2.1


class Clock:
    """Fills `times` [s since the first frame] and the `breaks` of a film of about `rate` frames/s.

    A step of more than 0.5 s and 5 times the median of the 25 before it is a pause; before the
    first frame all steps are taken for those of `rate`, so that early pauses do not pass for the
    usual step, yet one that slows down for good has its new one after 13 frames. A step back,
    or one of more than 10 s in a container whose clock may begin anew (`restarts`), is the clock's:
    times then go on by the usual step. `offsets` [s] lead from the film's own times to `times`, one
    for each run of its clock.
    """

    def __init__(
        self,
        rate: Fraction,
        restarts: bool,
        times: list[float],
        breaks: dict[int, str],
        offsets: list[float],
    ) -> None:
        self.times, self.breaks, self.offsets = times, breaks, offsets
        self.farthest = JUMP_SECONDS if restarts else JUMP_SECONDS_ELSEWHERE
        self.steps = deque([float(1 / rate)] * REMEMBERED, maxlen=REMEMBERED)
        self.last: float | None = None  # the film's own time of the last frame

    def show(self, at: float | None) -> None:
        """Takes up the next frame, which the film says is shown `at` [s], None where it says
        nothing."""
        usual = median(self.steps)
        if self.last is None:
            self.last = at or 0.0
            self.offsets.append(-self.last)
            self.times.append(0.0)
            return
        step = usual if at is None else at - self.last
        if step < -usual or step > self.farthest:
            self.breaks.setdefault(len(self.times), CLOCK)
            self.offsets.append(self.offsets[-1] + usual - step)
            step = usual
        elif step > max(PAUSE_SECONDS, PAUSE_STEPS * usual):
            self.breaks.setdefault(len(self.times), PAUSE)
        self.last = self.last + step if at is None else at
        shown = self.last + self.offsets[-1]
        # A frame that comes with the one before it, or a little before that, is shown after it.
        self.times.append(shown if shown > self.times[-1] else self.times[-1] + usual)
        self.steps.append(max(step, 0.0) or usual)


def usual_rate(told: Fraction, times: Iterable[Fraction]) -> Fraction:
    """The rate of a film whose header says `told`, frames/s, and whose first frames are shown at
    `times` [s], in any order: the header's, or, where it is more than twice off, that of the median
    step."""
    steps = [after - before for before, after in pairwise(sorted(times)) if after > before]
    if not steps:
        return told
    step = median(steps)
    if told / HEADER_FACTOR < 1 / step < told * HEADER_FACTOR:
        return told
    # Of a step of over 1 s it is the step that is rounded: its rate may be nearer to 0 than 1/1001.
    return 1 / step.limit_denominator(1001) if step > 1 else (1 / step).limit_denominator(1001)
