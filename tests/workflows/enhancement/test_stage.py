"""What the stage needs of a cluster."""

from infra.runs import Run
from infra.settings.settings import Settings
from workflows.enhancement.stage import needs


def test_every_node_is_to_see_the_films_and_all_weights() -> None:
    """Workers of any node load them; files of the driver's disk alone would end it on pages."""
    settings, run = Settings(source="/films"), Run("/run")
    assert needs(settings, run).reads == ["/films", "/run/train/f5warp/weights.safetensors"]
    settings.enhance.weights, settings.enhance.models = "/w.safetensors", ["s3://b/m.safetensors"]
    assert needs(settings, run).reads == ["/films", "/w.safetensors", "s3://b/m.safetensors"]
