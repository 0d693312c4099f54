"""The errors that end a command with exit status 2 and one line of text."""


class FacestackError(Exception):
    """Base of the errors whose text is meant for the user: what, why, and the remedy."""


class SettingsError(FacestackError):
    """A setting is unknown, of the wrong type, or at odds with another one."""


class RunError(FacestackError):
    """A run folder does not fit the settings, or lacks what a stage needs."""


class TrainingError(FacestackError):
    """Training cannot start or go on: no data, a loss that is not finite, a refused checkpoint."""
