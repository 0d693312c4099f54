"""What weights say of the settings by which they are used: those that enhance is given, as a file
or as the run that they were trained in. They lie above what the run that is written to was made
with, and below `--config` and the command line."""

import json
from typing import Any

from infra import storage
from infra.errors import FacestackError, SettingsError
from infra.settings import of_run
from infra.settings.data import ClipSettings, PreprocessSettings
from infra.text import one_line

WEIGHTS, ENDING = "weights.safetensors", ".safetensors"
SIGMA = 0.3  # high pixels of blur for each low one's width, as the paper's 2.4 at 8
LONGEST = 1 << 20  # bytes of a header
# What a network has learned to see; the films that it was trained on do not matter.
OF_A_RUN = {
    "clip": ("size", "scale", "frame_step", "blur_sigma", "degradation"),
    "preprocess": ("context", "grid", "detector"),
}


def uri_of(weights: str, variant: str) -> str:
    """The URI of weights that are given as a file, or as the run that has trained `variant`."""
    if weights.endswith(ENDING):
        return storage.absolute(weights)
    return storage.join(storage.absolute(weights), "train", variant, WEIGHTS)


def settings_of(weights: str, variant: str | None) -> dict[str, Any]:
    """The settings that go with weights, as layers of `of_run.merged` are: of a run, `variant` or
    that which it enhances with.

    {} where there are none any more: what is complete needs none, and else the stage refuses it.
    Raises SettingsError for what are no weights of a trained variant.
    """
    base = {} if weights.endswith(ENDING) else of_run.base_of(weights)
    variant = variant or base.get("enhance", {}).get("variant") or of_run.DEFAULTS.enhance.variant
    try:
        header = header_of(uri_of(weights, variant))
        told = _told(header)
    except FileNotFoundError:
        return {}
    except (ValueError, OSError, FacestackError) as error:
        raise SettingsError(
            f"enhance.weights {weights}: expected the weights.safetensors of a trained variant, or "
            f"a run that has trained {variant} ({one_line(error, 120)})"
        ) from error
    found: dict[str, Any] = {
        section: {name: base[section][name] for name in names if name in base.get(section, {})}
        for section, names in OF_A_RUN.items()
    }
    default = {"blur_sigma": round(SIGMA * told["clip"]["scale"], 6)}
    found["clip"] = default | found["clip"] | told["clip"]
    found["preprocess"] |= told["preprocess"]
    # Films, and no crops, whatever it was trained on.
    found["enhance"] = {"variant": header["variant"], "faces": "detect"}
    return found


def _told(header: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What a header says of the settings of OF_A_RUN; raises ValueError where it is not as `seen`
    and `save_weights` write it."""
    kept = json.loads(header.get("seen", "{}"))
    if not isinstance(kept, dict) or not all(
        isinstance(kept.get(section, {}), dict) for section in OF_A_RUN
    ):
        raise ValueError("its header tells no settings where it should")
    geometry = {
        "size": int(header["size"]), "scale": int(header["scale"]),
        "frame_step": int(header.get("frame_step", "1")),
    }  # fmt: skip
    return {
        "clip": geometry | kept.get("clip", {}), "preprocess": kept.get("preprocess", {}),
    }  # fmt: skip


def seen(clip: ClipSettings, preprocess: PreprocessSettings) -> dict[str, str]:
    """What the header of weights has of the settings that a network was trained with: `seen`, as
    JSON."""
    kept = {
        section: options.model_dump(include=set(OF_A_RUN[section]) - {"detector"})
        for section, options in (("clip", clip), ("preprocess", preprocess))
    }
    if preprocess.faces != "detect":  # nothing is said of a detector's boxes
        del kept["preprocess"]["context"]
    return {"seen": json.dumps(kept, sort_keys=True)}


def header_of(uri: str) -> dict[str, str]:
    """The texts in the header of a safetensors file; raises ValueError for another one."""
    fs, path = storage.file_system(uri)

    def read(start: int, end: int) -> bytes:
        return bytes(storage.patiently(uri, lambda: fs.cat_file(path, start=start, end=end)))

    length = int.from_bytes(read(0, 8), "little")
    if not 0 < length <= LONGEST:
        raise ValueError("not a safetensors file")
    content = json.loads(read(8, 8 + length))
    texts = content.get("__metadata__") if isinstance(content, dict) else None
    if not isinstance(texts, dict):
        raise ValueError("no texts in its header")
    if missing := {"variant", "scale", "size"} - texts.keys():
        raise ValueError(f"no {', '.join(sorted(missing))} in its header")
    return dict(texts)
