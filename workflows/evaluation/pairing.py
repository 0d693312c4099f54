"""The pairs of `evaluate.protocol` among the clips of a run."""

from datasets.protocols.pairing import (
    Key,
    NamedPair,
    Pairing,
    drawn_pairing,
    lfw_items,
    lfw_names,
    named_pairing,
    ytf_items,
    ytf_names,
)
from datasets.protocols.published import read_lfw_pairs, read_ytf_splits
from datasets.shards.files import read_rows
from infra import storage
from infra.errors import RunError, SettingsError
from infra.progress import say
from infra.settings.results import EvaluateSettings


class NoPairError(RunError):
    """Not one pair of the protocol has both sides among the clips."""


def read_protocol(options: EvaluateSettings) -> tuple[list[NamedPair], list[NamedPair]]:
    """The pairs of the held-out split and those of all others; raises SettingsError where the file
    cannot be read or has no such split."""
    if options.protocol_file is None:
        raise SettingsError(
            f"evaluate.protocol {options.protocol} needs its published file: give "
            "evaluate.protocol_file or preprocess.protocol"
        )
    try:
        with storage.local_file(options.protocol_file) as path:
            if options.protocol == "lfw":
                every = lfw_names(read_lfw_pairs(path))
            else:
                every = ytf_names(read_ytf_splits(path))
    except (ValueError, FileNotFoundError) as error:
        raise SettingsError(f"evaluate.protocol_file: {error}") from error
    test = [pair for pair in every if pair.split == options.protocol_split]
    if not test:
        raise SettingsError(
            f"evaluate.protocol_split: {options.protocol_file} has the splits 1 to "
            f"{every[-1].split}, not {options.protocol_split}"
        )
    return test, [pair for pair in every if pair.split != options.protocol_split]


def keys_of(shards: list[str]) -> list[Key]:
    """What tells the clips of shards apart, in their order, without reading a picture."""
    return [Key(**row) for uri in shards for row in read_rows(uri, list(Key._fields)).to_pylist()]


def choose(
    options: EvaluateSettings,
    split: str,
    shards: list[str],
    limit: int | None,
    num_frames: int,
    seed: int,
) -> tuple[list[Key], Pairing]:
    """The clips of a split that are measured, `limit` at most, and the pairs among them.

    With a published protocol these are the clips that it names. Raises NoPairError where none is.
    """
    keys = keys_of(shards)
    if options.protocol == "drawn":
        chosen = keys[:limit]  # shards are shuffled: a fair sample
        return chosen, drawn_pairing(chosen, options.pairs, seed)
    if options.protocol == "lfw":
        items = lfw_items(keys)
    else:
        items = ytf_items(keys, options.track_frames, num_frames // 2)
    named = read_protocol(options)[split == "train"]
    pairing = named_pairing(named, items, options.pairs, seed)
    if not pairing.pairs:
        raise NoPairError(
            f"evaluate: not one pair of {options.protocol_file} has both sides among the "
            f"{len(keys)} {split} clips; missing are {len(pairing.missing)} names, the first "
            f"{pairing.missing[0]}; preprocess the collection with its published splits"
        )
    if pairing.missing:
        say(
            "evaluate",
            f"{split}: {len(pairing.missing)} names of the protocol have no clip, the first "
            f"{pairing.missing[0]}; {pairing.counts['incomplete']} pairs are left out",
        )
    return [key for key in keys if key.clip_id in pairing.members], pairing
