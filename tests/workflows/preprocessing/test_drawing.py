"""The drawn films of a run are drawn anew where its clips are redone."""

from pathlib import Path

import pytest

from infra.runs import Run, Stage
from infra.settings.settings import Settings
from workflows.preprocessing import stage


@pytest.mark.parametrize(("emptied", "kept"), [(False, True), (True, False)])
def test_films_of_other_settings_do_not_outlive_force(
    emptied: bool, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = tmp_path / "source" / "person_000" / "clip_00.mp4"
    film.parent.mkdir(parents=True)
    film.write_bytes(b"drawn with other settings")
    settings = Settings()
    settings.synthetic.identities = 1

    class Drawn:
        @staticmethod
        def remote(_: Settings, folder: str, person: int) -> tuple[str, int]:
            return folder, person

    monkeypatch.setattr(stage, "_draw_person", Drawn)
    monkeypatch.setattr(stage.ray, "get", list)
    at_work = Stage("preprocess", str(tmp_path / "clips"), "", emptied)
    stage._draw(settings, Run(str(tmp_path)), at_work)
    assert film.exists() == kept
