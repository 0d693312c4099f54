"""What is computed of a clip once and then looked up, by its `order`: a hash that no two clips of a
data set share."""

from collections.abc import Callable

from torch import Tensor

Values = tuple[Tensor, ...]


class Held:
    """Tensors of the clips seen so far, on the device where they were computed.

    Those of more clips than `limit` bytes have room for are computed each time. What is kept stays:
    each epoch sees every clip once, so the one used least recently is the one needed soonest.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.kept: dict[int, Values] = {}
        self.bytes = 0

    def one(self, key: int, compute: Callable[[], Values]) -> Values:
        """What is kept for a clip, or else what `compute` gives, kept now unless `key` is negative.

        It should be computed of that clip alone, so that the last bit does not depend on which
        clips share a batch: a resumed training has nothing in memory, and is to go on with the same
        numbers.
        """
        found = self.kept.get(key)
        if found is None:
            found = compute()
            size = sum(value.nbytes for value in found)
            if key >= 0 and self.bytes + size <= self.limit:
                self.kept[key] = found
                self.bytes += size
        return found

    def clear(self) -> None:
        """Forget them all."""
        self.kept.clear()
        self.bytes = 0
