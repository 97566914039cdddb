from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.seeds import seeded
from transfer.engine import Painter
from transfer.imaging.images import to_tensor
from transfer.imaging.masks import Region
from transfer.objective.builder import (
    build_matching_objective,
    build_objective,
    smoothness_weight,
)
from transfer.objective.content_penalty import ContentPenalty
from transfer.objective.matching import Sampler
from transfer.objective.objective import Objective
from transfer.pipeline.renditions import RenditionTask
from transfer.settings import LAYERS, AdvancedSettings, Pooling, Precision, Settings
from transfer.stages import Stage

HEIGHT, WIDTH = 48, 64


@pytest.fixture
def photo(content: Image.Image) -> Tensor:
    return to_tensor(content, WIDTH)


def task(photo: Tensor, *regions: Region) -> RenditionTask:
    return RenditionTask(content=photo, regions=regions, start=photo, to_rgb=lambda image: image)


def everywhere(style: Image.Image | Tensor) -> Region:
    return Region((style if isinstance(style, Tensor) else to_tensor(style),), None, None)


def loss(
    painter: Painter, canvas: RenditionTask, image: Tensor, advanced: AdvancedSettings
) -> float:
    settings = Settings(advanced=advanced)
    value, _ = build_objective(
        painter.backbone("compact"), canvas.content, canvas.regions, HEIGHT, WIDTH, settings
    )(image)
    return value.item()


ONLY_STYLE = AdvancedSettings(content_weight=0.0, smoothness_weight=0.0)
ONLY_CONTENT = AdvancedSettings(content_weight=2.0, smoothness_weight=0.0)


def test_each_term_is_proportional_to_its_weight(
    painter: Painter, photo: Tensor, style: Image.Image
) -> None:
    canvas = task(photo, everywhere(style))
    image = torch.rand(1, 3, HEIGHT, WIDTH, generator=seeded(0))

    def at(content: float, smoothness: float) -> float:
        advanced = AdvancedSettings(content_weight=content, smoothness_weight=smoothness)
        return loss(painter, canvas, image, advanced)

    bare = at(0, 0)
    assert at(2, 0) - bare == pytest.approx(2 * (at(1, 0) - bare), rel=1e-3)
    assert at(0, 2) - bare == pytest.approx(2 * (at(0, 1) - bare), rel=1e-3)
    assert loss(painter, canvas, image, AdvancedSettings(content_weight=1)) == at(
        1, smoothness_weight(0.5)
    )


def test_the_loss_of_the_style_and_of_the_photo_themselves_is_zero(
    painter: Painter, photo: Tensor
) -> None:
    canvas = task(photo, everywhere(photo))

    assert loss(painter, canvas, photo, ONLY_STYLE) < 1e-9
    assert loss(painter, canvas, photo, ONLY_CONTENT) < 1e-7


@pytest.mark.parametrize("layer", LAYERS)
def test_each_layer_can_be_chosen(
    painter: Painter, photo: Tensor, style: Image.Image, layer: str
) -> None:
    canvas = task(photo, everywhere(style))
    image = photo.flip(3)
    as_style = replace(ONLY_STYLE, style_layers=((layer, 3.0),))
    as_content = replace(ONLY_CONTENT, style_layers=((layer, 1.0),), content_layer=layer)

    assert loss(painter, canvas, image, as_style) > 0
    assert loss(painter, canvas, image, as_content) > loss(painter, canvas, image, as_style)


def test_only_the_ratios_of_layer_weights_count(
    painter: Painter, photo: Tensor, style: Image.Image
) -> None:
    canvas = task(photo, everywhere(style))

    def at(*layers: tuple[str, float]) -> float:
        return loss(painter, canvas, photo, replace(ONLY_STYLE, style_layers=layers))

    shallow, deep = at(("relu1_1", 1)), at(("relu4_1", 1))
    assert at(("relu1_1", 3), ("relu4_1", 1)) == pytest.approx((3 * shallow + deep) / 4, rel=1e-4)
    assert at(("relu1_1", 30), ("relu4_1", 10)) == pytest.approx((3 * shallow + deep) / 4, rel=1e-4)
    assert at(("relu1_1", 1), ("relu4_1", 0)) == shallow


def test_pooling_changes_the_features_below_the_first_stage(
    painter: Painter, photo: Tensor, style: Image.Image
) -> None:
    canvas = task(photo, everywhere(style))

    def at(layer: str, pooling: Pooling) -> float:
        advanced = replace(ONLY_STYLE, style_layers=((layer, 1.0),), pooling=pooling)
        return loss(painter, canvas, photo, advanced)

    assert at("relu1_2", Pooling.MAX) == at("relu1_2", Pooling.AVERAGE)
    assert at("relu3_1", Pooling.MAX) != pytest.approx(at("relu3_1", Pooling.AVERAGE), rel=0.01)


def test_a_larger_brush_enlarges_the_style(painter: Painter) -> None:
    """The statistics of an image of large strokes are nearer to the style at brush size 2."""
    tiles = torch.rand(1, 3, 24, 32, generator=seeded(1))
    small = torch.nn.functional.interpolate(tiles, scale_factor=2)  # strokes of 2 px
    large = torch.nn.functional.interpolate(tiles[..., :12, :16], scale_factor=4)  # of 4 px
    doubled = torch.nn.functional.interpolate(small, scale_factor=2)
    canvas = task(small, everywhere(doubled))

    def at(brush_size: float, image: Tensor) -> float:
        settings = Settings(brush_size=brush_size, advanced=ONLY_STYLE)
        backbone = painter.backbone("compact")
        value, _ = build_objective(
            backbone, canvas.content, canvas.regions, HEIGHT, WIDTH, settings
        )(image)
        return value.item()

    assert at(1.0, small) < at(1.0, large)
    assert at(2.0, large) < at(2.0, small)


def left_half() -> Tensor:
    guide = torch.zeros(1, 1, HEIGHT, WIDTH)
    guide[..., : WIDTH // 2] = 1.0
    return guide


def gradient(
    painter: Painter, canvas: RenditionTask, image: Tensor, advanced: AdvancedSettings
) -> Tensor:
    settings = Settings(advanced=advanced)
    return build_objective(
        painter.backbone("compact"), canvas.content, canvas.regions, HEIGHT, WIDTH, settings
    )(image)[1]


def test_a_region_draws_only_its_own_pixels(
    painter: Painter, photo: Tensor, style: Image.Image
) -> None:
    shallow = replace(ONLY_STYLE, style_layers=(("relu1_1", 1.0), ("relu2_1", 1.0)))
    guided = replace(everywhere(style), guide=left_half())

    found = gradient(painter, task(photo, guided), photo, shallow)

    assert found[..., :24].abs().mean() > 0
    # relu2_1 looks 5 px around itself.
    assert found[..., WIDTH // 2 + 8 :].abs().max() == 0


def test_inside_its_region_a_style_draws_as_strongly_as_everywhere(painter: Painter) -> None:
    """Both halves of the image are alike, so that only the share of the area could differ."""
    generator = seeded(2)
    half = torch.rand(1, 3, HEIGHT, WIDTH // 2, generator=generator)
    image = torch.cat([half, half], dim=3)
    style = torch.rand(1, 3, HEIGHT, WIDTH, generator=generator).square()
    shallow = replace(ONLY_STYLE, style_layers=(("relu1_1", 1.0),))
    guided = replace(everywhere(style), guide=left_half())

    inside = gradient(painter, task(image, guided), image, shallow)[..., 4:28]
    whole = gradient(painter, task(image, everywhere(style)), image, shallow)[..., 4:28]

    assert torch.allclose(inside, whole, rtol=0.2, atol=0.1 * whole.abs().max().item())


@pytest.mark.parametrize("pixels", [1, 3])
def test_a_tiny_region_is_safe(
    painter: Painter, photo: Tensor, style: Image.Image, pixels: int
) -> None:
    guide = torch.zeros(1, 1, HEIGHT, WIDTH)
    guide[..., 20 : 20 + pixels, 30 : 30 + pixels] = 1.0 / 255.0
    tiny = replace(everywhere(style), guide=guide)

    found = gradient(painter, task(photo, tiny), photo, AdvancedSettings())

    assert found.isfinite().all()
    assert found.abs().max() < 1.0


def eye() -> Tensor:
    """Return a protection map of one soft spot in the middle of the left half."""
    found = torch.zeros(1, 1, HEIGHT, WIDTH)
    found[..., 16:32, 8:24] = 1.0
    return found


def protected_gradient(
    painter: Painter, canvas: RenditionTask, image: Tensor, settings: Settings
) -> Tensor:
    return build_objective(
        painter.backbone("compact"),
        canvas.content,
        canvas.regions,
        HEIGHT,
        WIDTH,
        settings,
        protection_map=eye(),
    )(image)[1]


def test_without_keeping_faces_their_places_do_not_matter(
    painter: Painter, photo: Tensor, style: Image.Image
) -> None:
    canvas = task(photo, everywhere(style))

    found = protected_gradient(painter, canvas, photo.flip(3), Settings(keep_faces=0.0))

    assert torch.equal(found, gradient(painter, canvas, photo.flip(3), AdvancedSettings()))


def test_the_photo_draws_more_strongly_at_protected_places(painter: Painter, photo: Tensor) -> None:
    """The photo is its own style, so that only the content draws; no weights but its own."""
    canvas = task(photo, everywhere(photo))
    image = photo.lerp(torch.rand(photo.shape, generator=seeded(3)), 0.3)
    settings = Settings(advanced=ONLY_CONTENT)

    usual = gradient(painter, canvas, image, ONLY_CONTENT)
    kept = protected_gradient(painter, canvas, image, settings)
    added = (kept - usual).abs().mean(dim=1)[0]

    # relu4_1 and relu3_1 see up to 26 px around a position, less and less towards their ends.
    assert added[16:32, 8:24].mean() > 4 * added[:, 48:].mean()


def test_a_protected_place_counts_less_for_deep_style_layers_only(
    painter: Painter, photo: Tensor, style: Image.Image
) -> None:
    canvas = task(photo, everywhere(style))

    def strength_at_the_eye(layer: str, keep_faces: float) -> float:
        advanced = replace(ONLY_STYLE, style_layers=((layer, 1.0),))
        settings = Settings(keep_faces=keep_faces, advanced=advanced)
        found = protected_gradient(painter, canvas, photo, settings)
        return found[..., 22:26, 14:18].abs().mean().item()

    # The content has no weight here; the finer features of the faces have, but they are the photo's
    # in this image.
    free, painterly, faithful = (strength_at_the_eye("relu4_1", k) for k in (0.0, 0.25, 0.5))
    assert free > painterly > faithful > 0
    assert strength_at_the_eye("relu4_1", 1.0) == pytest.approx(faithful, rel=1e-3)
    shallow = [strength_at_the_eye("relu2_1", k) for k in (0.0, 1.0)]
    assert shallow[0] == pytest.approx(shallow[1], rel=1e-3)


def test_masked_places_of_a_style_are_not_learned_from(
    painter: Painter, photo: Tensor, style: Image.Image
) -> None:
    """Whatever stands at the masked place, the target is the same."""
    plain = to_tensor(style)
    changed = plain.clone()
    changed[..., :35, :] = 0.0
    mask = torch.ones(1, 1, 2, 1)
    mask[..., 0, 0] = 0.0
    shallow = replace(ONLY_STYLE, style_layers=(("relu1_1", 1.0),))
    masked = [replace(everywhere(each), style_masks=(mask,)) for each in (plain, changed)]

    losses = [loss(painter, task(photo, region), photo, shallow) for region in masked]
    unmasked = [
        loss(painter, task(photo, everywhere(each)), photo, shallow) for each in (plain, changed)
    ]

    # The border between both is seen from both sides.
    assert abs(losses[1] - losses[0]) < 0.1 * abs(unmasked[1] - unmasked[0])


def test_equal_steps_of_smoothness_are_equal_factors() -> None:
    weights = [smoothness_weight(value) for value in (0.0, 0.25, 0.5, 0.75, 1.0)]

    assert weights[2] == 2.0
    factors = [after / before for before, after in pairwise(weights)]
    assert factors == pytest.approx([factors[0]] * 4)
    assert factors[0] > 1


def matching_objective(
    painter: Painter,
    photo: Tensor,
    style: Tensor,
    stage: Stage,
    *,
    advanced: AdvancedSettings = ONLY_STYLE,
    guide: Tensor | None = None,
    tile_px: int | None = None,
) -> Objective:
    settings = Settings(advanced=advanced)
    sampler = Sampler(0)
    sampler.begin(1)
    return build_matching_objective(
        painter.backbone("compact"),
        photo,
        (Region((style,), None, guide),),
        photo.shape[2],
        photo.shape[3],
        settings,
        stage,
        ContentPenalty.of_stage(stage, settings, "compact", WIDTH, 1.0),
        sampler,
        tile_px,
    )


MATCHING = [stage for stage in Stage if stage.is_matching]


@pytest.fixture(scope="module")
def exact_painter() -> Painter:
    """Return a painter in single precision, in which tiles find the matches that the whole does."""
    return Painter("cpu", threads=1, precision=Precision.SINGLE)


@pytest.mark.parametrize("stage", MATCHING)
def test_the_style_itself_matches_better_than_anything(
    exact_painter: Painter, photo: Tensor, style: Image.Image, stage: Stage
) -> None:
    objective = matching_objective(exact_painter, photo, to_tensor(style), stage)
    as_style = torch.nn.functional.interpolate(to_tensor(style), (HEIGHT, WIDTH), mode="area")
    noise = torch.rand(1, 3, HEIGHT, WIDTH, generator=seeded(5))

    assert objective(as_style)[0] < objective(photo)[0] < objective(noise)[0]


@pytest.mark.parametrize("stage", MATCHING)
def test_matching_in_tiles_is_matching_the_whole(
    exact_painter: Painter, style: Image.Image, stage: Stage
) -> None:
    photo = torch.rand(1, 3, 67, 90, generator=seeded(6))
    image = torch.rand(1, 3, 67, 90, generator=seeded(7))
    advanced = AdvancedSettings()

    (whole, gradient), (tiled, tiled_gradient) = (
        matching_objective(
            exact_painter, photo, to_tensor(style), stage, advanced=advanced, tile_px=tile_px
        )(image)
        for tile_px in (None, 32)
    )

    assert tiled.item() == pytest.approx(whole.item(), rel=1e-4)
    # Rounding may change one match in a thousand, where two features are as near.
    assert (tiled_gradient - gradient).norm() < 0.02 * gradient.norm()


def test_matched_layers_and_their_weights_can_be_chosen(
    exact_painter: Painter, photo: Tensor, style: Image.Image
) -> None:
    def at(*layers: tuple[str, float]) -> float:
        advanced = replace(ONLY_STYLE, style_layers=layers)
        objective = matching_objective(
            exact_painter, photo, to_tensor(style), Stage.SHAPES, advanced=advanced
        )
        return objective(photo)[0].item()

    # The last layer has the samples of the second stream wherever it is one of two.
    both, deep = at(("relu2_2", 1), ("relu4_1", 1)), at(("relu2_2", 0), ("relu4_1", 1))
    assert both != pytest.approx(deep, rel=1e-3)
    assert at(("relu2_2", 2), ("relu4_1", 2)) == pytest.approx(both, rel=1e-6)


def test_a_region_is_matched_only_where_it_is(
    exact_painter: Painter, photo: Tensor, style: Image.Image
) -> None:
    advanced = replace(ONLY_STYLE, style_layers=(("relu1_1", 1.0),))
    objective = matching_objective(
        exact_painter,
        photo,
        to_tensor(style),
        Stage.STROKES,
        advanced=advanced,
        guide=left_half(),
    )

    _, gradient = objective(photo)

    inside, outside = gradient[..., : WIDTH // 2], gradient[..., WIDTH // 2 + 1 :]
    assert inside.norm() > 0
    # relu1_1 sees one pixel across the border, which is left out; the palette at relu1_1 as well.
    assert outside.norm() < 1e-6 * inside.norm()


@pytest.mark.parametrize("stage", MATCHING)
def test_a_style_of_one_color_can_be_matched(
    exact_painter: Painter, photo: Tensor, stage: Stage
) -> None:
    loss, gradient = matching_objective(
        exact_painter, photo, torch.full((1, 3, 64, 64), 0.4), stage
    )(photo)

    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()
