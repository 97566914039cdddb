from itertools import pairwise

import pytest
import torch

from transfer.features.tiling import StageGroup, pooling_depth, split, stage_groups
from transfer.settings import LAYERS

FRONT = StageGroup(0, 1, is_end=False)
WHOLE = StageGroup(0, 4, is_end=True)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (50, 333), (256, 97), (1023, 31)])
@pytest.mark.parametrize("tile_px", [16, 48, 128, 4096])
def test_every_position_of_every_layer_belongs_to_one_tile(
    height: int, width: int, tile_px: int
) -> None:
    for group in stage_groups(LAYERS, is_whole=False):
        shift = group.first
        tiles = split(group, height >> shift, width >> shift, tile_px, group.margin(LAYERS))
        for layer in filter(group.has, LAYERS):
            depth = pooling_depth(layer)
            counted = torch.zeros(height >> depth, width >> depth)
            for tile in tiles:
                counted[tile.positions(depth - shift)] += 1
            assert counted.eq(1).all()


def test_every_layer_lies_in_one_group_and_groups_follow_on_each_other() -> None:
    for is_whole in (False, True):
        groups = stage_groups(LAYERS, is_whole=is_whole)
        assert all(sum(group.has(layer) for group in groups) == 1 for layer in LAYERS)
        assert all(group.first + group.poolings == after.first for group, after in pairwise(groups))
        assert [group.is_end for group in groups] == [False] * (len(groups) - 1) + [True]


@pytest.mark.parametrize(
    ("layers", "count"), [({"relu1_1"}, 1), ({"relu2_2"}, 1), ({"relu1_1", "relu4_2"}, 3)]
)
def test_there_are_no_more_groups_than_needed(layers: set[str], count: int) -> None:
    assert len(stage_groups(layers, is_whole=False)) == count


@pytest.mark.parametrize("edge", [50, 333, 1023])
def test_windows_are_aligned_and_hold_each_position_in_its_place(edge: int) -> None:
    """The first px of each position, counted along an edge, is the same within its window."""
    spans = [tile.columns for tile in split(FRONT, 16, edge, 64, 8)]
    assert spans[0].begin == 0
    assert spans[-1].end == edge
    assert all(span.end == following.begin for span, following in pairwise(spans))
    for span in spans:
        assert span.end - span.begin <= 64 + 15
        assert span.window_begin % 4 == 0
        assert span.window_begin == max(0, span.begin - 8)
        assert span.window_end == min(edge, span.end + 8)
        for shift in range(3):
            whole = torch.arange(edge >> shift) << shift
            window = torch.arange(edge)[span.window][:: 1 << shift]
            assert torch.equal(whole[span.positions(shift)], window[span.in_window(shift)])


@pytest.mark.parametrize(
    ("group", "layers", "margin"),
    [
        (WHOLE, {"relu1_1"}, 16),
        (WHOLE, {"relu3_1"}, 16),
        (WHOLE, {"relu4_2", "relu1_1"}, 48),
        (WHOLE, {"relu5_1"}, 80),
        (FRONT, {"relu1_1"}, 8),
        (StageGroup(2, 2, is_end=False), {"relu3_1"}, 4),
        (StageGroup(3, 3, is_end=True), {"relu4_1"}, 1),
        (StageGroup(3, 3, is_end=True), {"relu4_2"}, 2),
    ],
)
def test_the_margin_is_the_receptive_field(
    group: StageGroup, layers: set[str], margin: int
) -> None:
    """The margin reaches to the last requested layer, or to the output map."""
    assert group.margin(layers) == margin


def test_deeper_maps_are_cut_into_smaller_tiles() -> None:
    front, third, fourth, fifth = (
        split(group, 1024, 1024, 512, 0)[0].rows.end
        for group in stage_groups(LAYERS, is_whole=False)
    )
    assert (front, third, fourth, fifth) == (512, 256, 128, 64)
