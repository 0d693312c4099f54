"""The errors that end a command with one line of text, and the exit status of each."""


class FacestackError(Exception):
    """Base of the errors whose text is meant for the user: what, why, and the remedy."""

    status = 2


class SettingsError(FacestackError):
    """A setting is unknown, of the wrong type, or at odds with another one."""


class RunError(FacestackError):
    """A run folder does not fit the settings, or lacks what a stage needs."""


class TrainingError(FacestackError):
    """Training cannot start or go on: no data, a loss that is not finite, a refused checkpoint."""


class FaultError(FacestackError):
    """What a run stands on gave way: a disk, the storage, a worker. The same command goes on."""

    status = 3
