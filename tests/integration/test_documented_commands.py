"""Every shell block of README.md and docs/, typed into a fresh shell as they stand, page by page.

The shell is a stranger's: no variable but PATH and HOME, in a copy of the checkout, where `python`
and `ray` are there once `.venv` is activated and not before. What takes minutes, a GPU, a cluster
or somebody's videos is not done but taken down, and then read by the command's own parser, settings
file and all; `make` says what it would do. A block above which `<!-- shell: … -->` stands is for
another machine, on which `python` is there.
"""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel

from infra.settings import command_line
from infra.settings.settings import Settings
from tests.integration.conftest import Ended
from tests.support.root import ROOT
from tests.support.waiting import PATIENCE
from workflows.bare_gpu import driver
from workflows.benchmarks import command as benchmark
from workflows.exporting import command as export
from workflows.preprocessing import inspect_run
from workflows.user_study.answers import Answers, Question, order

PAGES = sorted(path.relative_to(ROOT) for path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")))
# Done for real, on a run of the tiny settings.
DONE = (
    "workflows/full.py --list",
    "workflows/preprocess.py inspect runs/mine",
    "workflows/alignment.py --run runs/mine",
    "workflows/study.py --run runs/demo --summary",
)
# What stands in the pages for something of the reader's.
STANDS_FOR = {"CONFIG": "workflows/configs/demo.yaml"}
BLOCK = re.compile(r"^(<!-- shell: [^\n]+ -->\n)?```(\w*)\n(.*?)^```$", re.M | re.S)
APART = "\x1f"  # between two words of a command that is taken down


@dataclass(frozen=True)
class Block:
    """A block of a page; `elsewhere`: it is for another machine."""

    elsewhere: bool
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    found = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    return [Block(bool(mark), language, text) for mark, language, text in found]


def shell_text(page: Path, elsewhere: bool) -> str:
    texts = [b.text for b in blocks(page) if b.language == "sh" and b.elsewhere == elsewhere]
    text = "".join(texts)
    for word, value in STANDS_FOR.items():
        text = re.sub(rf"\b{word}\b", value, text)
    return text


@pytest.fixture(scope="module")
def checkout(tiny: tuple[Path, Ended], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with two runs, and a `.venv` whose programs take down their words."""
    folder = tmp_path_factory.mktemp("stranger") / "facestack"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for run in ("mine", "demo"):
        shutil.copytree(tiny[0], folder / "runs" / run)
    answers = Answers(folder / "runs/demo/study/answers.sqlite")
    for shown in order([Question("f5warp", "f1", "a clip")], "someone"):
        answers.add("someone", shown, "tie")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    for program in (folder / ".venv/bin").glob("python*"):
        program.unlink()
    write_program(folder / ".venv/bin/python", done_or_taken_down())
    write_program(folder / ".venv/bin/ray", TAKE_DOWN + RAY)
    (folder / "shims").mkdir()
    make = shutil.which("make")
    write_program(folder / "shims/make", f'{TAKE_DOWN}exec {make} -n "$@"\n')
    return folder


TAKE_DOWN = f'{{ printf "%s{APART}" "${{0##*/}}" "$@"; echo; }} >> "$TAKEN_DOWN"\n'


# As Ray has it, nobody comes in without a token; and what a job runs is a command as well.
RAY = """
if [ "$1" = get-auth-token ]; then touch "$HOME/token"; fi
if [ "${RAY_AUTH_MODE:-}" = token ] && ! [ -e "$HOME/token" ]; then echo "no token"; exit 1; fi
while [ "$1" ]; do shift; if [ "$1" = -- ]; then shift; exec "$@"; fi; done
"""


def done_or_taken_down() -> str:
    cases = "|".join(f'"{words}"' for words in DONE)
    return f'{TAKE_DOWN}case "$*" in {cases}) exec {sys.executable} "$@";; esac\n'


def write_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}")
    path.chmod(0o755)


def typed(checkout: Path, text: str) -> list[list[str]]:
    """Type the text into a fresh shell; the commands that were given, word by word."""
    file = checkout.parent / "taken down"
    file.write_text("")
    environment = {"PATH": f"{checkout}/shims:/usr/bin:/bin", "HOME": str(checkout.parent),
                   "TAKEN_DOWN": str(file)}  # fmt: skip
    done = subprocess.run(
        ["/bin/bash", "-eu"], input=text, cwd=checkout, env=environment, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, f"{text}\n{done.stdout}"
    return [line.split(APART)[:-1] for line in file.read_text().splitlines()]


def accepted(words: list[str]) -> None:
    """The command's own parser takes the words of a call of Python; else it raises or exits."""
    script, *rest = words
    name = Path(script).name
    assert script == f"workflows/{name}" and (ROOT / script).is_file(), script
    if name == "gpu.py":
        driver._read(rest, "")
    elif name == "benchmark.py":
        benchmark._read(rest)
    elif name == "export.py":
        export._parser().parse_args(rest)
    elif rest[:1] == ["inspect"]:
        inspect_run._parser().parse_args(rest[1:])
    elif rest != ["--list"]:
        command_line.load([word for word in rest if word != "--summary"], name, "")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_block_can_be_typed_as_it_stands(
    page: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = typed(checkout, shell_text(page, elsewhere=False))
    calls += typed(checkout, ". .venv/bin/activate\n" + shell_text(page, True))
    monkeypatch.chdir(checkout)
    for program, *words in calls:
        if program == "python":
            accepted(words)
        elif program == "ray":
            _options_of_ray(words)
    if page == Path("README.md"):
        assert {" ".join(words) for program, *words in calls} >= set(DONE[:3])


def _options_of_ray(words: list[str]) -> None:
    """Ray's own parser takes the words."""
    from ray.scripts.scripts import cli

    command, context = cli, None
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    context = command.make_context(name, words)
    context.close()


def test_no_command_stands_in_a_block_that_is_not_typed() -> None:
    for page in PAGES:
        for block in blocks(page):
            assert block.language in ("", "sh"), page
            if not block.language:
                assert not re.search(r"^(python|make|ray|pip) ", block.text, re.M), page


def test_without_the_environment_the_same_commands_are_not_found(checkout: Path) -> None:
    """What the test above would not see if `python` were there without it."""
    text = shell_text(Path("README.md"), False).replace(". .venv/bin/activate", "")
    with pytest.raises(AssertionError, match="not found"):
        typed(checkout, text)


def test_what_the_pages_name_is_there() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"`make ([\w-]+)", text):
            assert target in targets, (page, target)
        for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
            assert (ROOT / page).parent.joinpath(link).exists(), (page, link)
        for script in re.findall(r"python (workflows/[\w/]+\.py)", text):
            assert (ROOT / script).is_file(), (page, script)
        for option in re.findall(r"--((?:no-)?[a-z]+\.[a-z][\w-]*)", text):
            assert _is_a_setting(option), (page, option)


def _is_a_setting(option: str) -> bool:
    group, _, name = option.removeprefix("no-").partition(".")
    field = Settings.model_fields.get(group)
    kind = field.annotation if field is not None else None
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return False
    return name.replace("-", "_") in kind.model_fields
