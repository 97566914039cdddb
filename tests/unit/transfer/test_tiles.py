from itertools import pairwise

import pytest
import torch

from transfer.settings import LAYERS
from transfer.tiles import cut, halvings, margin_px


@pytest.mark.parametrize(("height", "width"), [(16, 16), (50, 333), (256, 97), (1023, 31)])
@pytest.mark.parametrize("tile_px", [16, 48, 128, 4096])
def test_every_position_of_every_layer_is_answered_for_once(
    height: int, width: int, tile_px: int
) -> None:
    tiles = cut(height, width, tile_px, 80)
    for layer in LAYERS:
        shift = halvings(layer)
        counted = torch.zeros(height >> shift, width >> shift)
        for tile in tiles:
            counted[tile.positions(layer)] += 1
        assert counted.eq(1).all()


@pytest.mark.parametrize("edge", [50, 333, 1023])
def test_windows_are_aligned_and_show_each_position_where_it_is(edge: int) -> None:
    """Counting px along an edge, each position's first px is the same seen from its window."""
    spans = [tile.columns for tile in cut(16, edge, 64, 80)]
    assert spans[0].begin == 0
    assert spans[-1].end == edge
    assert all(one.end == other.begin for one, other in pairwise(spans))
    for span in spans:
        assert span.end - span.begin <= 64 + 15
        assert span.seen_begin % 16 == 0
        assert span.seen_begin == max(0, span.begin - 80)
        assert span.seen_end == min(edge, span.end + 80)
        for shift in range(5):
            whole = torch.arange(edge >> shift) << shift
            window = torch.arange(edge)[span.seen][:: 1 << shift]
            assert torch.equal(whole[span.positions(shift)], window[span.in_window(shift)])


@pytest.mark.parametrize(
    ("layers", "margin"),
    [({"relu1_1"}, 16), ({"relu3_1"}, 16), ({"relu4_2", "relu1_1"}, 48), ({"relu5_1"}, 80)],
)
def test_the_margin_is_the_receptive_field(layers: set[str], margin: int) -> None:
    assert margin_px(layers) == margin
