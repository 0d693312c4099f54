"""What the stages that read sources share: rows of Ray Data that name sources, and what to make of
an error in one."""

from datasets.sources.footage import DecodeError
from datasets.sources.layouts import Source
from infra.attempts import AttemptsError
from infra.errors import FacestackError, InputError


def why(source: Source, error: Exception) -> tuple[str, str]:
    """The reason for which a source gives nothing, and its kind; raises `error` again where the
    run folder is to blame and not the input."""
    if isinstance(error, FacestackError) and not isinstance(error, InputError):
        raise error
    if isinstance(error, DecodeError):
        return str(error), error.kind
    if isinstance(error, AttemptsError):
        return f"{source.name}: {error}", error.kind
    return f"{source.name}: {type(error).__name__}: {error}", type(error).__name__
