"""Who is in which split, for the stage preprocess: dealt by identity or as a protocol says, what
the protocol names and the source lacks, and the check that nobody is in two splits."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from datasets.protocols.published import Protocol, read_protocol
from datasets.protocols.split import SPLITS, LeakError, Split, check_leaks, split_of
from datasets.shards.files import identities
from datasets.sources.layouts import Source
from infra import storage
from infra.errors import RunError, SettingsError
from infra.progress import say
from infra.runs import Stage
from infra.settings.settings import Settings


def protocol_of(settings: Settings) -> Protocol | None:
    """The protocol that the settings name; raises SettingsError for one that cannot be used."""
    uri = settings.preprocess.protocol
    if uri is None:
        return None
    try:
        with storage.local_file(uri) as path:
            protocol = read_protocol(path)
        protocol.people(settings.preprocess.protocol_split)
        return protocol
    except FileNotFoundError as error:
        raise SettingsError(
            f"preprocess.protocol {uri}: no such file; give LFW's pairs.txt or the split file of "
            "YouTube Faces"
        ) from error
    except (OSError, ValueError) as error:
        raise SettingsError(f"preprocess.protocol: {error}") from error


def tested_people(settings: Settings, protocol: Protocol | None) -> frozenset[str]:
    """The people of the protocol's split that is tested; nobody without a protocol."""
    return protocol.people(settings.preprocess.protocol_split) if protocol else frozenset()


def dealer(settings: Settings, protocol: Protocol | None) -> Callable[[str], Split]:
    """Identity → split. With a protocol its tested people are the test split, and all others are
    dealt to train and validation in the proportion of their shares."""
    train, validation = settings.preprocess.train_share, settings.preprocess.validation_share
    if protocol is None:
        shares = (train, validation, 1 - train - validation)
        return partial(split_of, seed=settings.seed, shares=shares)
    tested = tested_people(settings, protocol)
    share = train / (train + validation) if train + validation else 1.0
    others = partial(split_of, seed=settings.seed, shares=(share, 1 - share, 0.0))
    return lambda identity: "test" if identity in tested else others(identity)


def check(settings: Settings, sources: list[Source]) -> None:
    """Raise SettingsError for a protocol of which the sources show nobody who is tested."""
    tested = tested_people(settings, protocol_of(settings))
    if tested and tested.isdisjoint(source.identity for source in sources):
        raise SettingsError(
            f"preprocess.protocol: nobody of the {len(tested)} people of split "
            f"{settings.preprocess.protocol_split}, such as {min(tested)}, is in the source, with "
            f"people such as {sources[0].identity}; give the collection that the protocol is of"
        )


def name_missing(
    settings: Settings, stage: Stage, protocol: Protocol, sources: list[Source]
) -> dict[str, Any]:
    """Write what the protocol names and the sources lack to `protocol.json`; returns the counts."""
    there = {_item(source) for source in sources}
    missing = {split: sorted(named - there) for split, named in protocol.items.items()}
    chosen = settings.preprocess.protocol_split
    storage.write_json(stage.path("protocol.json"), {"split": chosen, "missing": missing})
    here = missing[chosen]
    others = [item for split, items in missing.items() if split != chosen for item in items]
    for where, items in ((f"split {chosen}, the tested one", here), ("other splits", others)):
        example = f", such as {items[0]}" if items else ""
        say(stage.name, f"protocol, {where}: {len(items)} missing{example}")
    return {
        "split": chosen,
        "people": len(tested_people(settings, protocol)),
        "named": len(protocol.items[chosen]),
        "missing": len(here),
        "missing_in_other_splits": len(others),
    }


def refuse_leaks(folder: str, settings: Settings, protocol: Protocol | None) -> Counter[str]:
    """Read who is in the shards below `folder`; returns how many people a split has.

    Raises RunError where a person is in two splits, or one whom the protocol tests is not in the
    test split alone.
    """
    people = {
        split: identities(storage.files(storage.join(folder, split), ".parquet"))
        for split in SPLITS
    }
    try:
        check_leaks(people, tested_people(settings, protocol))
    except LeakError as error:
        raise RunError(
            f"{folder}: {error}; these shards are of more than one run: "
            "redo the stage with --force preprocess"
        ) from error
    return Counter({split: len(found) for split, found in people.items()})


def _item(source: Source) -> str:
    """The name by which a protocol would call a source: person/image.jpg or person/number."""
    path = PurePosixPath(source.name)
    if source.kind == "image":
        path = path.with_suffix(".jpg")
    return "/".join(path.parts[-2:])
