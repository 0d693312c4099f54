"""Pictures as files: one way to a PNG and to a JPEG, and back; and one to enlarge pixels."""

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # H×W×3 RGB
JPEG_QUALITY = 92
PNG = b"\x89PNG\r\n\x1a\n"
SIGNATURES = (PNG, b"\xff\xd8\xff", b"RIFF")
FONT, TEXT_SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.42


def png(image: Picture) -> bytes:
    """An RGB picture as the bytes of a PNG file."""
    return _encoded(image, ".png")


def jpeg(image: Picture, quality: int = JPEG_QUALITY) -> bytes:
    """An RGB picture as the bytes of a JPEG file, for pages: a sheet is megabytes as PNG."""
    return _encoded(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def data_url(content: bytes, kind: str) -> str:
    """A file of a picture, `kind` "png" or "jpeg", as a URL that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def read_picture(content: bytes) -> Picture | None:
    """An RGB picture from the bytes of a PNG, JPEG or WebP file; None where they are none."""
    if not content.startswith(SIGNATURES):  # of some 20 formats that OpenCV would try
        return None
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return None if found is None else np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB))


def bare_pixels(picture: Picture, size: int) -> Picture:
    """A square picture at size×size×3, its pixels as squares."""
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_NEAREST))


def text_width(text: str) -> int:
    """Pixels that a line of text takes from left to right."""
    return int(cv2.getTextSize(text, FONT, TEXT_SIZE, 1)[0][0])


def write_text(picture: Picture, text: str, left: int, foot: int) -> None:
    """Write a line of black text into a picture, its foot at that row."""
    cv2.putText(picture, text, (left, foot), FONT, TEXT_SIZE, (0, 0, 0), 1, cv2.LINE_AA)


def _encoded(image: Picture, ending: str, options: list[int] | None = None) -> bytes:
    done, content = cv2.imencode(ending, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options or [])
    if not done:
        raise ValueError(f"a picture of shape {image.shape} cannot be written as {ending}")
    return content.tobytes()
