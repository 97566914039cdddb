import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.seeds import seeded
from transfer.engine import Painter
from transfer.errors import NotFinite
from transfer.features.extractor import TiledExtractor
from transfer.objective.matching import (
    MatchTerm,
    Sampler,
    StylePool,
    matched_positions,
    sample_positions,
    style_pools,
)
from transfer.settings import Pooling

HEIGHT, WIDTH, CHANNELS = 6, 10, 4
WHOLE = slice(0, HEIGHT), slice(0, WIDTH)


def draw(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=seeded(seed), dtype=torch.float64)


def match_term(
    pool: Tensor, weights: Tensor | None = None, matched: int = HEIGHT * WIDTH
) -> MatchTerm:
    return MatchTerm(
        "relu1_1", 0.7, StylePool(pool), HEIGHT, WIDTH, matched, weights, Sampler(3), 0
    )


class TestSamplePositions:
    @pytest.mark.parametrize(("positions", "count"), [(10, 10), (7, 20), (100, 9), (4097, 2048)])
    def test_they_are_different_and_in_range(self, positions: int, count: int) -> None:
        drawn = sample_positions(positions, count, seeded(0))

        assert len(drawn) == min(positions, count)
        assert len(set(drawn.tolist())) == len(drawn)
        assert 0 <= int(drawn.min()) <= int(drawn.max()) < positions

    def test_each_is_as_likely_as_any_other(self) -> None:
        generator = seeded(1)
        draws = torch.cat([sample_positions(30, 7, generator) for _ in range(3000)])

        counts = draws.bincount(minlength=30)
        # Each is drawn 700 times on average, with a deviation of at most 26.5; six of these.
        assert (counts - 700).abs().max() < 160


class TestSampler:
    def test_a_repeated_evaluation_draws_the_same(self) -> None:
        sampler = Sampler(5)
        draws = []
        for evaluation in (1, 2, 1):
            sampler.begin(evaluation)
            draws.append(torch.rand(4, generator=sampler.generator(0)))

        assert torch.equal(draws[0], draws[2])
        assert not torch.equal(draws[0], draws[1])

    def test_seeds_and_streams_draw_differently(self) -> None:
        drawn = {
            torch.rand(1, generator=Sampler(seed).generator(stream)).item()
            for seed in (0, 1, 2**63 - 1)
            for stream in (0, 1)
        }

        assert len(drawn) == 6


@pytest.mark.parametrize(
    ("height", "width", "count"), [(64, 64, 2048), (512, 512, 2048), (1024, 1024, 8192)]
)
def test_large_pictures_match_more_positions(height: int, width: int, count: int) -> None:
    assert matched_positions(height, width) == count


def test_their_number_is_limited() -> None:
    assert matched_positions(4096, 4096) == matched_positions(8192, 8192) == 16_384


class TestMatchTerm:
    def test_the_style_itself_is_at_no_distance(self) -> None:
        features = draw(0, 1, CHANNELS, HEIGHT, WIDTH)
        term = match_term(features.flatten(2)[0].float())

        value, _ = term.value_and_gradients(term.sums(features.float(), *WHOLE))

        # Cosines in single precision.
        assert abs(float(value)) < 1e-6

    def test_each_position_is_compared_to_its_nearest_feature(self) -> None:
        features, pool = draw(1, 1, CHANNELS, HEIGHT, WIDTH), draw(2, CHANNELS, 9)
        term = match_term(pool)

        value, _ = term.value_and_gradients(term.sums(features, *WHOLE))

        flat = features.flatten(2)[0]
        own = F.normalize(flat - flat.mean(dim=1, keepdim=True), dim=0)
        style = F.normalize(pool - pool.mean(dim=1, keepdim=True), dim=0)
        nearest = (own.T @ style).amax(dim=1)
        # The pool is compared in single precision.
        assert float(value) == pytest.approx(0.7 * float((1.0 - nearest).mean()), rel=1e-5)

    @pytest.mark.parametrize("is_weighted", [False, True])
    def test_backward_is_the_numerical_gradient_of_the_value(self, is_weighted: bool) -> None:
        features, direction = draw(3, 1, CHANNELS, HEIGHT, WIDTH), draw(4, 1, CHANNELS, 6, 10) - 0.5
        weights = draw(5, 1, 1, HEIGHT, WIDTH) if is_weighted else None
        # One feature on each side: a small step changes no match.
        pool = torch.tensor([[1.0, -1.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
        term = match_term(pool.double(), weights)
        _, gradients = term.value_and_gradients(term.sums(features, *WHOLE))
        gradient = term.backward(features, gradients, *WHOLE)

        step = 1e-6
        above, below = (
            term.value_and_gradients(term.sums(features + sign * step * direction, *WHOLE))[0]
            for sign in (1, -1)
        )
        expected = float(above - below) / (2 * step)
        assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-5)

    def test_tiles_add_up_to_the_whole(self) -> None:
        features, pool = draw(6, 1, CHANNELS, HEIGHT, WIDTH), draw(7, CHANNELS, 9)
        term = match_term(pool, matched=25)
        halves = [(WHOLE[0], slice(0, 4)), (WHOLE[0], slice(4, WIDTH))]
        tiles = [features[:, :, rows, columns] for rows, columns in halves]

        (whole,) = term.sums(features, *WHOLE)
        parts = [term.sums(tile, *places)[0] for tile, places in zip(tiles, halves, strict=True)]
        _, gradients = term.value_and_gradients([whole])
        whole_gradient = term.backward(features, gradients, *WHOLE)

        assert torch.equal(parts[0] + parts[1], whole)
        for tile, places in zip(tiles, halves, strict=True):
            assert torch.equal(
                term.backward(tile, gradients, *places), whole_gradient[:, :, *places]
            )

    def test_only_the_matched_positions_are_drawn(self) -> None:
        features, pool = draw(8, 1, CHANNELS, HEIGHT, WIDTH), draw(9, CHANNELS, 9)
        term = match_term(pool, matched=11)
        touched = []
        for evaluation in (1, 2):
            term.sampler.begin(evaluation)
            _, gradients = term.value_and_gradients(term.sums(features, *WHOLE))
            touched.append(term.backward(features, gradients, *WHOLE).abs().sum(dim=1) > 0)

        assert touched[0].sum() == touched[1].sum() == 11
        assert not torch.equal(touched[0], touched[1])

    def test_a_position_without_weight_has_no_target(self) -> None:
        features, pool = draw(10, 1, CHANNELS, HEIGHT, WIDTH), draw(11, CHANNELS, 9)
        weights = torch.ones(1, 1, HEIGHT, WIDTH, dtype=torch.float64)
        weights[..., : WIDTH // 2] = 0.0
        term = match_term(pool, weights)
        _, gradients = term.value_and_gradients(term.sums(features, *WHOLE))
        gradient = term.backward(features, gradients, *WHOLE)

        assert not gradient[..., : WIDTH // 2].any()
        assert gradient[..., WIDTH // 2 :].any()


class TestStylePools:
    def pools(
        self,
        painter: Painter,
        styles: list[Tensor],
        masks: list[Tensor | None] | None = None,
        weights: tuple[float, ...] | None = None,
        tile_px: int = 512,
    ) -> dict[str, StylePool]:
        backbone = painter.backbone("compact")
        return style_pools(
            lambda layers, height, width: TiledExtractor(
                backbone, Pooling.MAX, layers, height, width, tile_px
            ),
            styles,
            masks or [],
            weights,
            ["relu1_1", "relu3_1"],
            torch.float32,
        )

    def test_a_small_style_is_in_the_pool_as_a_whole(self, painter: Painter) -> None:
        style = draw(12, 1, 3, 32, 48).float()

        pools = self.pools(painter, [style])

        features = painter.backbone("compact").features(style, ["relu3_1"])["relu3_1"]
        assert torch.allclose(pools["relu3_1"].features, features.flatten(2)[0], atol=1e-2)
        assert pools["relu1_1"].features.shape[1] == 32 * 48

    def test_tiles_gather_the_same(self, painter: Painter) -> None:
        style = draw(13, 1, 3, 96, 80).float()

        whole = self.pools(painter, [style])
        tiled = self.pools(painter, [style], tile_px=32)

        for layer, pool in whole.items():
            # Features are of the order of hundreds.
            assert torch.allclose(pool.features, tiled[layer].features, atol=1e-2)

    @pytest.mark.parametrize("weights", [None, (1.0, 3.0), (4.0, 1.0)])
    def test_styles_have_shares_by_their_weights(
        self, painter: Painter, weights: tuple[float, ...] | None
    ) -> None:
        dark, light = torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 48, 48)

        pool = self.pools(painter, [dark, light], weights=weights)["relu3_1"].features

        first = painter.backbone("compact").features(dark, ["relu3_1"])["relu3_1"][0, :, 4, 4]
        share = (pool - first[:, None]).abs().amax(dim=0).lt(1e-4).float().mean().item()
        expected = 0.5 if weights is None else weights[0] / sum(weights)
        # Counts are rounded: one position in the 144 of the smaller style.
        assert share == pytest.approx(expected, abs=0.02)

    def test_a_mask_leaves_places_out(self, painter: Painter) -> None:
        style = torch.zeros(1, 3, 64, 64)
        style[..., 32:] = 1.0
        mask = torch.ones(1, 1, 64, 64)
        mask[..., 32:] = 0.0

        pool = self.pools(painter, [style], [mask])["relu1_1"].features

        features = painter.backbone("compact").features(style, ["relu1_1"])["relu1_1"]
        assert torch.allclose(pool, features[..., :32].flatten(2)[0], atol=1e-2)

    def test_a_mask_that_leaves_nothing_is_no_mask(self, painter: Painter) -> None:
        style = draw(14, 1, 3, 32, 32).float()

        pool = self.pools(painter, [style], [torch.zeros(1, 1, 32, 32)])["relu3_1"].features

        assert pool.shape[1] == 8 * 8

    def test_features_that_are_no_numbers_are_refused(self, painter: Painter) -> None:
        style = torch.full((1, 3, 32, 32), float("nan"))

        with pytest.raises(NotFinite):
            self.pools(painter, [style])
