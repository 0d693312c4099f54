"""The errors that end a command with one line of text, and the exit status of each."""

from typing import Self


class FacestackError(Exception):
    """Base of the errors whose text is meant for the user: what, why, and the remedy."""

    status = 2


class SettingsError(FacestackError):
    """A setting is unknown, of the wrong type, or at odds with another one."""


class InputError(FacestackError):
    """Input that cannot be used: a film, its labels, a shard, the file of a model.

    The text names the file; `kind` says what is wrong in words that are the same for every file,
    so that errors can be counted.
    """

    def __init__(self, text: str, kind: str = "") -> None:
        super().__init__(text)
        self.kind = kind or type(self).__name__

    @classmethod
    def at(cls, where: str, kind: str, detail: str = "") -> Self:
        """The error whose text is `where: kind`, and the `detail` behind it."""
        return cls(f"{where}: {kind}{detail}", kind)


class RunError(FacestackError):
    """A run folder does not fit the settings, or lacks what a stage needs."""

    @classmethod
    def of_another_version(cls, stage: str) -> Self:
        """The error where what is left of a stage was written by another version of this code."""
        return cls(
            f"{stage}: was begun by another version of facestack; begin anew with --force {stage}"
        )


class TrainingError(FacestackError):
    """Training cannot start or go on: no data, a loss that is not finite, a refused checkpoint."""


class FaultError(FacestackError):
    """What a run stands on gave way: a disk, the storage, a worker. The same command goes on."""

    status = 3
