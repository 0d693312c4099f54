"""Parcels of packages: what a machine with PyTorch, but without a network, lacks to run facestack.

A parcel is a folder of installed packages, packed: to use it is to unpack it and to name it in
PYTHONPATH. Wheels would be twice as large: Ray's three programs hold much of the same code, which
one archive with a long memory stores once, and a parcel leaves out what no step uses.
"""

import lzma
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Set
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.errors import InputError, SettingsError
from infra.whole_file import whole_file
from workflows.bare_gpu.parcels.unpacking import site_name

# What such a machine has: an image made for PyTorch, and nothing of ours. Of what these bring only
# the programs in other languages are counted on; the versions there may need other small ones.
THERE = {
    "torch", "numpy", "scipy", "scikit-learn", "scikit-image", "matplotlib",
    "opencv-python-headless", "pyarrow", "fsspec", "pandas", "onnxruntime", "safetensors",
    "tensorboard", "jinja2", "pytest", "hypothesis", "ninja",
    "grpcio", "markupsafe", "pillow", "protobuf", "setuptools", "typing-extensions",
}  # fmt: skip
# What each parcel is for; of requirements.txt that leaves out the search, the study, and S3.
PARCELS = {
    "code": (
        "aiohttp", "botocore", "psutil", "pydantic", "pydantic-settings", "PyYAML",
        "simplejpeg", "threadpoolctl", "tqdm",
    ),
    "ray": ("ray[default,train,tune,data]", "deepspeed", "av"),
}  # fmt: skip
# Asked for by Ray's dashboard or its clients of a cloud, and not imported by a Ray of one machine.
UNUSED = {"cryptography", "cffi", "pycparser", "distlib", "platformdirs", "py-spy",
          "python-discovery", "virtualenv"}  # fmt: skip
# What of packages nothing here uses: other languages, source maps, services of a cloud.
LEFT_OUT = (
    "ray/jars", "ray/rllib", "ray/serve", "ray/llm", "*.map", "*.pyi",
    "deepspeed/ops/csrc", "botocore/data/*/*", "botocore/docs", "*/tests", "__pycache__",
    "include", "bin",
)  # fmt: skip
KEPT = ("botocore/data/s3/",)
PLATFORMS = ("2_28", "2_27", "2_17", "2_12", "2_5")  # of glibc, and manylinux2014 and 1
# The x86 filter makes addresses in programs alike; the dictionary spans all three of Ray's.
FILTERS = [
    {"id": lzma.FILTER_X86},
    {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 128 << 20},
]


def pack(name: str, folder: Path, python: str) -> Path:
    """Write the parcel of this name for a Python such as 3.12, x86-64; returns the archive.

    Raises InputError where pip cannot get a package for it.
    """
    wanted = missing(name, python)
    with TemporaryDirectory(prefix="facestack-parcel-") as place:
        site = Path(place) / "site"
        _install(wanted, site, python, Path(place) / "wheels")
        archive = folder / name / site_name(python)
        with (
            whole_file(archive) as scratch,
            lzma.open(scratch, "wb", check=lzma.CHECK_CRC64, filters=FILTERS) as stream,
            tarfile.open(fileobj=stream, mode="w") as tar,
        ):
            for path in _kept(site):
                tar.add(path, path.relative_to(site), recursive=False)
    return archive


def missing(name: str, python: str) -> list[str]:
    """What the parcel holds, as name==version: what its packages need and nobody else brings, in
    the versions that are installed here."""
    brought = THERE | UNUSED
    for earlier, packages in PARCELS.items():
        found = needed_by(packages, python, brought)
        if earlier == name:
            return [f"{package}=={metadata.version(package)}" for package in sorted(found)]
        brought |= found
    raise SettingsError(f"no parcel {name!r}; there are {', '.join(PARCELS)}")


def needed_by(packages: Iterable[str], python: str, brought: Set[str]) -> set[str]:
    """The packages and all that they need on Linux and x86-64, as their installed metadata say,
    without what is brought along and what only that needs; what is not installed here is not needed
    here, and left out."""
    target = {
        "python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux",
        "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix",
        "implementation_name": "cpython", "platform_python_implementation": "CPython",
    }  # fmt: skip
    found: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    todo = [Requirement(package) for package in packages]
    while todo:
        asked = todo.pop()
        name = canonicalize_name(asked.name)
        if name in brought or (name, frozenset(asked.extras)) in seen:
            continue
        seen.add((name, frozenset(asked.extras)))
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        for need in map(Requirement, lines):
            extras = ("", *asked.extras)
            if need.marker is None or any(
                need.marker.evaluate({**target, "extra": extra}) for extra in extras
            ):
                todo.append(need)
    return found


def _install(wanted: list[str], site: Path, python: str, wheels: Path) -> None:
    """Install for another Python; a package that is published as source alone is built first."""
    short = python.replace(".", "")
    other = ["--python-version", python, "--implementation", "cp", "--abi", f"cp{short}"]
    other += ["--abi", "abi3", "--abi", "none", "--only-binary=:all:"]
    for glibc in PLATFORMS:
        other += ["--platform", f"manylinux_{glibc}_x86_64"]
    other += ["--platform", "manylinux2014_x86_64", "--platform", "manylinux1_x86_64"]
    other += ["--platform", "any"]
    wheels.mkdir()
    for package in wanted:
        into = ["--no-deps", "--dest", str(wheels), package]
        if _pip("download", *other, *into) is None:
            continue
        if error := _pip("wheel", "--no-deps", "--wheel-dir", str(wheels), package):
            raise InputError(f"{package}: no wheel for Python {python} on Linux x86-64: {error}")
    files = [str(file) for file in sorted(wheels.iterdir())]
    error = _pip("install", *other, "--no-deps", "--no-compile", "--target", str(site), *files)
    if error:
        raise InputError(f"pip cannot install for Python {python}: {error}")


def _pip(*words: str) -> str | None:
    """Run pip; the end of what it said where it failed."""
    call = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *words]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else " ".join(done.stderr.split())[-300:]


def _kept(site: Path) -> list[Path]:
    """What of the installed files goes into the parcel, large programs next to one another."""
    files = [path for path in site.rglob("*") if not path.is_dir()]
    kept = [path for path in files if not _left_out(path.relative_to(site))]
    return sorted(kept, key=lambda path: (path.stat().st_size < 1 << 20, str(path)))


def _left_out(path: Path) -> bool:
    text = path.as_posix()
    if any(text.startswith(start) for start in KEPT):
        return False
    places = [path, *path.parents]
    return any(place.match(pattern) for place in places for pattern in LEFT_OUT)
