"""What of a collection is left out, by why, and in words."""

from dataclasses import dataclass, field

STILLS, HIDDEN, NAS, TYPESCRIPT = "stills", "hidden", "nas", "typescript"
BACK, BROKEN, CLOSED, NAMELESS = "back", "broken", "closed", "nameless"
WORDS = {  # of one and of several, in the order in which they are told
    STILLS: ("still beside films", "stills beside films"),
    HIDDEN: ("hidden", "hidden"),
    NAS: ("folder of the NAS or system", "folders of the NAS or system"),
    TYPESCRIPT: (".ts that is no film", ".ts that are no films"),
    BACK: ("link to what is read already", "links to what is read already"),
    BROKEN: ("broken link", "broken links"),
    CLOSED: ("folder that may not be read", "folders that may not be read"),
    NAMELESS: ("image in a folder without a name", "images in folders without a name"),
}
NAMED = 3  # of those that are left out for one reason


@dataclass(frozen=True)
class LeftOut:
    """The paths under a root that are no sources, by why."""

    names: dict[str, set[str]] = field(default_factory=dict)

    def add(self, why: str, *names: str) -> None:
        """Note paths, each of which counts once."""
        self.names.setdefault(why, set()).update(names)

    def told(self) -> str:
        """`2 hidden (.a, b/.c), 1 broken link (d)`; "" where nothing is left out."""
        return ", ".join(
            f"{len(names)} {words[len(names) > 1]} ({_first(names)})"
            for why, words in WORDS.items()
            if (names := self.names.get(why))
        )


def _first(names: set[str]) -> str:
    return ", ".join(sorted(names)[:NAMED]) + ", …" * (len(names) > NAMED)
