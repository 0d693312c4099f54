"""What the kinds of outputs have in common."""

from types import TracebackType
from typing import Any, Protocol, Self

from workflows.enhancement.spans import Span


class Output(Protocol):
    """One kind of output of one film, as a context manager around all its spans.

    `add` takes the spans in order, every one. What is written appears, whole, when the block ends;
    where it ends with an error nothing appears.
    """

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def add(self, span: Span) -> None: ...
    @property
    def written(self) -> dict[str, Any]:
        """What is to be said of it in the manifest, when the block has ended."""
        ...
