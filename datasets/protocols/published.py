"""Reads the published verification protocols: LFW view 2 and YouTube Faces (paper §5.2)."""

from collections import defaultdict
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

File = str | PathLike[str]


@dataclass(frozen=True)
class LfwPair:
    """Two LFW images; numbers count from 1, splits from 1."""

    split: int
    first_person: str
    first_image: int
    second_person: str
    second_image: int
    same: bool


@dataclass(frozen=True)
class LfwPerson:
    """A person of LFW, the split that holds all of their images, and how many there are."""

    split: int
    person: str
    images: int


@dataclass(frozen=True)
class YtfPair:
    """Two YouTube Faces videos as `person/number`; splits and pairs count from 1."""

    split: int
    pair: int
    first_video: str
    second_video: str
    same: bool


@dataclass(frozen=True)
class Protocol:
    """What a protocol names, by split from 1: images `Name/Name_0001.jpg`, or videos `Name/3`."""

    items: dict[int, frozenset[str]]

    def people(self, split: int) -> frozenset[str]:
        """The people of a split; raises ValueError where the protocol has none of this number."""
        if split not in self.items:
            raise ValueError(f"split {split}: expected one of {min(self.items)}-{max(self.items)}")
        return frozenset(item.rpartition("/")[0] for item in self.items[split])


def read_protocol(path: File) -> Protocol:
    """Reads LFW's `pairs.txt`, or YouTube Faces' split file, which has commas in its first line.

    Raises ValueError, naming file and line, as the readers of the two do.
    """
    items: dict[int, set[str]] = defaultdict(set)
    if "," in Path(path).read_text(encoding="utf-8").partition("\n")[0]:
        for video_pair in read_ytf_splits(path):
            items[video_pair.split] |= {video_pair.first_video, video_pair.second_video}
    else:
        for pair in read_lfw_pairs(path):
            items[pair.split] |= {
                lfw_image_path(pair.first_person, pair.first_image),
                lfw_image_path(pair.second_person, pair.second_image),
            }
    return Protocol({split: frozenset(named) for split, named in sorted(items.items())})


def lfw_image_path(person: str, image: int) -> str:
    """Returns where the original LFW folder layout keeps an image: `Name/Name_0001.jpg`."""
    return f"{person}/{person}_{image:04d}.jpg"


def read_lfw_pairs(path: File) -> list[LfwPair]:
    """Returns the pairs of LFW's `pairs.txt` in file order: a split's same pairs come first.

    Raises ValueError, naming file and line, for a header other than `splits<TAB>pairs`, a row of
    the wrong form, and a file that ends early or goes on after its last split.
    """
    lines = _Lines(path)
    splits, per_kind = lines.integers("the number of splits and of pairs of each kind", 2)
    pairs = []
    for split in range(1, splits + 1):
        for same in (True, False):
            for _ in range(per_kind):
                pairs.append(_lfw_pair(lines, split, same))
    lines.end()
    return pairs


def _lfw_pair(lines: "_Lines", split: int, same: bool) -> LfwPair:
    expected = (
        "a pair of one person, `name<TAB>image<TAB>image`"
        if same
        else "a pair of two people, `name<TAB>image<TAB>name<TAB>image`"
    )
    fields = lines.fields(expected, 3 if same else 4)
    first, second = fields[0], fields[0] if same else fields[2]
    one, two = lines.number(fields[1], expected), lines.number(fields[-1], expected)
    if (first == second) != same or (same and one == two):
        raise lines.error(expected)
    return LfwPair(split, first, one, second, two, same)


def read_lfw_people(path: File) -> list[LfwPerson]:
    """Returns the people of LFW's `people.txt` in file order.

    Raises ValueError, naming file and line, for a number of splits or of people that is missing,
    a row other than `name<TAB>images`, and a file that ends early or goes on.
    """
    lines = _Lines(path)
    (splits,) = lines.integers("the number of splits", 1)
    people = []
    for split in range(1, splits + 1):
        (size,) = lines.integers(f"the number of people in split {split}", 1)
        for _ in range(size):
            expected = "a person, `name<TAB>images`"
            person, images = lines.fields(expected, 2)
            people.append(LfwPerson(split, person, lines.number(images, expected)))
    lines.end()
    return people


def read_ytf_splits(path: File) -> list[YtfPair]:
    """Returns the video pairs of YouTube Faces' split file in file order.

    A first line that does not begin with a number is taken for the column names. Raises
    ValueError, naming file and line, for a row other than `split, pair, person/video,
    person/video, same`, a label that contradicts the names, and a file without rows.
    """
    lines = _Lines(path, separator=",")
    if lines.more() and not lines.peek()[0].isdigit():
        lines.skip()
    pairs = []
    while lines.more():
        pairs.append(_ytf_pair(lines))
    if not pairs:
        raise ValueError(f"{path}: expected rows `split, pair, person/video, ...`, found none")
    return pairs


def _ytf_pair(lines: "_Lines") -> YtfPair:
    expected = "`split, pair, person/video, person/video, same` with same 0 or 1"
    split, pair, first, second, label = lines.fields(expected, 5)
    if label not in ("0", "1") or "/" not in first or "/" not in second or first == second:
        raise lines.error(expected)
    same = label == "1"
    if (first.rpartition("/")[0] == second.rpartition("/")[0]) != same:
        raise lines.error(f"same = {int(not same)}, by the names of the two people")
    return YtfPair(lines.number(split, expected), lines.number(pair, expected), first, second, same)


class _Lines:
    """The rows of a text file, split into fields, and where the reader stands for its errors."""

    def __init__(self, path: File, separator: str = "\t") -> None:
        self.path = Path(path)
        self.separator = separator
        self.rows = [
            (number, line.strip())
            for number, line in enumerate(
                self.path.read_text(encoding="utf-8").splitlines(), start=1
            )
            if line.strip()
        ]
        self.position = 0

    def more(self) -> bool:
        return self.position < len(self.rows)

    def peek(self) -> list[str]:
        return [field.strip() for field in self.rows[self.position][1].split(self.separator)]

    def skip(self) -> None:
        self.position += 1

    def fields(self, expected: str, count: int) -> list[str]:
        if not self.more():
            raise ValueError(f"{self.path}:{self._line() + 1}: expected {expected}, found the end")
        fields = self.peek()
        self.position += 1
        if len(fields) != count or not all(fields):
            raise self.error(expected)
        return fields

    def integers(self, expected: str, count: int) -> list[int]:
        return [self.number(field, expected) for field in self.fields(expected, count)]

    def number(self, field: str, expected: str) -> int:
        if not (field.isascii() and field.isdigit() and int(field) > 0):
            raise self.error(expected)
        return int(field)

    def end(self) -> None:
        if self.more():
            self.position += 1
            raise self.error("the end of the file after its last split")

    def error(self, expected: str) -> ValueError:
        """Returns the error that shows the row read last."""
        text = self.rows[self.position - 1][1] if self.position else ""
        return ValueError(f"{self.path}:{self._line()}: expected {expected}, found {text!r}")

    def _line(self) -> int:
        return self.rows[self.position - 1][0] if self.position else 0
