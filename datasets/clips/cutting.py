"""Cuts tracks into clips: 2k+1 low frames with the high central frame, one row of a shard each."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from datasets.clips.clip import Clip, ClipId
from datasets.clips.flow import measure_motion
from datasets.clips.people import spanned
from datasets.clips.realistic import degrade_clip
from datasets.clips.stills_to_films import make_burst
from datasets.clips.windows import Account, Window, counted, windows
from datasets.degrade import degrade
from datasets.sources.discovery import Source
from datasets.sources.footage import Frame
from datasets.sources.video import open_source
from datasets.tracking.camera import moves
from datasets.tracking.crops import TrackCrop, face_tracks, track_crops
from datasets.tracking.detectors import Detector
from infra.conventions import CONTROL_POINTS
from infra.extraction import Cutting, Degradation, Detection, Geometry, Limits
from infra.text import hashed


def clips_of(
    source: Source,
    detect: Detector | None,
    geometry: Geometry,
    detection: Detection,
    degradation: Degradation,
    cutting: Cutting,
    *,
    seed: int,
    limits: Limits | None = None,
    account: Account | None = None,
) -> Iterator[Clip]:
    """Yields the clips of `source`, with memory bounded for any length of it.

    `detect` finds faces (None: the frames are crops already). Bursts are made by
    `stills_to_films.make_burst`, motion is measured by `flow.measure_motion`, and the degradation
    `realistic` is `realistic.degrade_clip`. Everything random comes from (`seed`, clip id), a shake
    from (`seed`, source, track). `account` is filled on the way. Raises `footage.DecodeError` for a
    source that cannot be read whole, possibly after some clips: these must then be thrown away.
    """
    account = Account() if account is None else account
    with open_source(source, limits) as footage:
        fps = float(footage.rate)
        footage = counted(footage, account)
        still = None
        if cutting.bursts and source.kind == "image":
            (still,) = footage.frames()
            footage = replace(footage, frames=partial(iter, [still]))
        faces = face_tracks(
            footage, detect, detection, geometry.low_size, seed=seed, rejected=account.rejected
        )
        crops = track_crops(spanned(faces, account.spans), geometry.size)
        if still is not None:
            crops = _moved(crops, still, source.name, seed, geometry)

        realistic = degradation.kind == "realistic"
        record = json.dumps(degradation.record())

        def shrink(high: Frame) -> Frame:
            # A realistic camera sees a whole clip, so it has to wait for the window.
            return high if realistic else degrade(high, geometry.scale, degradation.blur_sigma)

        for window in windows(
            crops, shrink, geometry.num_frames, cutting.clip_stride, account, cutting.min_sharpness
        ):
            account.clips += 1
            account.moves += moves([crop.offset for crop in window.crops])
            clip = _clip(source, fps, window, seed, record, cutting.flow)
            yield _realistic(clip, geometry.scale, seed) if realistic else clip


def _moved(
    crops: Iterable[TrackCrop], still: Frame, name: str, seed: int, geometry: Geometry
) -> Iterator[TrackCrop]:
    """Makes a track of each face of a still, whose central frame is that of the still, index 0."""
    for crop in crops:
        chance = np.random.default_rng(
            hashed(seed, str(ClipId(name, crop.track, crop.index)), "burst")
        )
        frames, motion = make_burst(
            still, crop.box, geometry.size, geometry.scale, geometry.num_frames, chance
        )
        moved = motion.mean(1) * (geometry.low_size / 2)  # of the whole face, in low pixels
        for place, (image, shifts, offset) in enumerate(zip(frames, motion, moved, strict=True)):
            yield replace(
                crop, index=place - geometry.radius, image=image, motion=shifts,
                offset=(float(offset[0]), float(offset[1])), last=place == geometry.num_frames - 1,
            )  # fmt: skip


def _clip(
    source: Source, fps: float, window: Window, seed: int, degradation: str, flow: bool
) -> Clip:
    radius = len(window.crops) // 2
    centre = window.crops[radius]
    clip_id = str(ClipId(source.name, centre.track, centre.index))
    offset = _neighbour_offset(seed, clip_id, radius)
    return Clip(
        clip_id=clip_id,
        identity=source.identity,
        video=source.name,
        track=centre.track,
        frame=centre.index,
        fps=fps,
        low=window.low,
        high=centre.image,
        neighbour=window.crops[radius + offset].image,
        neighbour_offset=offset,
        boxes=np.array([(*c.box, c.box[2]) for c in window.crops], np.float32),
        motion=_motion(window, flow).astype(np.float16),
        order=hashed(seed, clip_id, "order") >> 1,  # 63 bits, so that a signed column holds it
        sharpness=window.sharpness,
        degradation=degradation,
    )


def _motion(window: Window, flow: bool) -> NDArray[np.float32]:
    """What a burst was made with, or with `flow` what is measured; else NaN."""
    made = [crop.motion for crop in window.crops if crop.motion is not None]
    if made:
        return np.stack(made)
    if flow:
        return measure_motion([crop.image for crop in window.crops])
    return np.full((len(window.crops), CONTROL_POINTS, 2), np.nan, np.float32)


def _realistic(clip: Clip, scale: int, seed: int) -> Clip:
    """The clip whose `low` still holds high crops, as a camera and a codec would have left it."""
    low, recipe = degrade_clip(clip.low, scale, hashed(seed, clip.clip_id, "degradation"))
    return replace(clip, low=low, degradation=json.dumps({"kind": "realistic", **asdict(recipe)}))


def _neighbour_offset(seed: int, clip_id: str, radius: int) -> int:
    """Draws from −radius … radius without 0; the clip of a single frame has no other than 0."""
    if radius == 0:
        return 0
    drawn = hashed(seed, clip_id, "neighbour") % (2 * radius) - radius
    return drawn if drawn < 0 else drawn + 1
