"""Parcels on the machine that they were carried to; the standard library alone."""

import lzma
import shutil
import sys
import tarfile
import uuid
from pathlib import Path

from infra.errors import InputError

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def site_name(python: str) -> str:
    """The archive of packages for a Python such as 3.12."""
    return f"site-{python}.tar.xz"


def sites(parcels: Path) -> list[Path]:
    """Unpack the packages of all parcels that are there for this Python, once each; returns their
    folders."""
    return [_site(archive) for archive in sorted(parcels.glob(f"*/{site_name(HERE)}"))]


def _site(archive: Path) -> Path:
    """The folder, made whole or not at all, and anew for another archive; raises InputError for a
    damaged one."""
    stamp = archive.stat()
    folder = archive.parent / f"unpacked-{HERE}-{stamp.st_size}-{stamp.st_mtime_ns}"
    if not folder.exists():
        for older in archive.parent.glob(f"unpacked-{HERE}-*"):
            shutil.rmtree(older)
        scratch = archive.parent / f".{uuid.uuid4().hex}.tmp"
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(scratch, filter="data")
        except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
            shutil.rmtree(scratch, ignore_errors=True)
            said = " ".join(str(error).split())
            raise InputError(f"{archive}: damaged ({said}); carry it again") from error
        scratch.rename(folder)
    return folder
