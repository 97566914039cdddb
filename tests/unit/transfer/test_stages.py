import pytest

from transfer.settings import LAYERS
from transfer.stages import MATCHED_LAYERS, Stage


@pytest.mark.parametrize("stage", Stage)
def test_a_stage_matches_if_it_has_layers_to_match(stage: Stage) -> None:
    assert stage.is_matching == (stage in MATCHED_LAYERS)
    assert set(MATCHED_LAYERS.get(stage, ())) <= set(LAYERS)


def test_strokes_are_shallower_than_shapes() -> None:
    deepest = [max(map(LAYERS.index, MATCHED_LAYERS[stage])) for stage in MATCHED_LAYERS]

    assert deepest == sorted(deepest, reverse=True)
