"""The drawn films of a run are drawn anew where they were drawn with other settings."""

from pathlib import Path

import pytest

from infra.runs import Run
from infra.settings.settings import Settings
from workflows.preprocessing import stage


@pytest.mark.parametrize(("shake", "kept"), [(0.03, True), (0.5, False)])
def test_films_of_other_settings_are_drawn_anew(
    shake: float, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was killed between."""
    settings = Settings()
    settings.synthetic.identities = 1

    class Drawn:
        @staticmethod
        def remote(_: Settings, folder: str, person: int) -> tuple[str, int]:
            return folder, person

    monkeypatch.setattr(stage, "_draw_person", Drawn)
    monkeypatch.setattr(stage.ray, "get", list)
    stage._draw(settings, Run(str(tmp_path)))
    film = tmp_path / "source" / "person_000" / "clip_00.mp4"
    film.parent.mkdir(parents=True)
    film.write_bytes(b"drawn with the first settings")
    settings.synthetic.shake = shake
    stage._draw(settings, Run(str(tmp_path)))
    assert film.exists() == kept
