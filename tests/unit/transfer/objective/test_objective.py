from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from tests.seeds import seeded
from tests.unit.transfer import reference
from tests.unit.transfer.conftest import picture
from tests.unit.transfer.waits import Waits
from transfer.backbones.vgg import CONVOLUTIONS, VggBackbone
from transfer.engine import Painter
from transfer.errors import NotFinite
from transfer.features.extractor import TiledExtractor
from transfer.features.tiling import StageGroup
from transfer.imaging.images import resize, to_tensor
from transfer.imaging.masks import Region
from transfer.objective import objective as module
from transfer.objective.builder import build_objective
from transfer.objective.losses import total_variation
from transfer.objective.objective import Objective
from transfer.objective.terms import ValueAndGradients, autograd_value
from transfer.optim.iterate import DifferentiableLoss
from transfer.optim.lbfgs import with_autograd_gradient
from transfer.pipeline.renditions import RenditionTask
from transfer.settings import AdvancedSettings, Pooling, Precision, Settings

SIZES = [(128, 160), (111, 175), (16, 200), (37, 251)]


@pytest.fixture(scope="module")
def backbone() -> VggBackbone:
    """Random weights that keep activations of one size, so that every layer has its say."""
    generator = seeded(3)
    weights = {}
    channels = 3
    for stage, layers in enumerate(CONVOLUTIONS):
        for layer in layers:
            count = 6 + 2 * stage
            kernel = torch.randn(count, channels, 3, 3, generator=generator)
            kernel *= (2.0 / (9.0 * channels)) ** 0.5
            weights[layer] = kernel, 5.0 * torch.randn(count, generator=generator)
            channels = count
    return VggBackbone("random", weights, torch.device("cpu"), Precision.SINGLE)


def task(height: int, width: int, *, regions: int = 1, channels: int = 3) -> RenditionTask:
    photo = to_tensor(picture(height, width, 1))[:, :channels]
    styles = [to_tensor(picture(90 + 20 * k, 130, 2 + k))[:, :channels] for k in range(regions)]
    guides: list[Tensor | None] = [None]
    if regions > 1:
        ramp = torch.linspace(0, 1, width).expand(1, 1, height, width)
        spot = torch.zeros(1, 1, height, width)
        spot[..., height // 2 : height // 2 + 3, 5:9] = 1.0
        guides = [ramp, (1 - ramp) * 0.5, spot]
    several = tuple(
        Region((style,), None, guide) for style, guide in zip(styles, guides[:regions], strict=True)
    )
    return RenditionTask(photo, several, photo, lambda image: image)


def with_gradient(loss: DifferentiableLoss, image: Tensor) -> tuple[float, Tensor]:
    value, gradient = loss(image)
    return value.item(), gradient


def assert_the_same_gradient(
    whole: DifferentiableLoss,
    tiled: Sequence[DifferentiableLoss],
    photo: Tensor,
    limit: float = 5e-5,
) -> None:
    """Fail if pictures near the photo have another loss or gradient in tiles.

    Rounding was seen to set losses apart by up to 1.2e-5 and gradients by 1.8e-5 (eight draws of
    weights and pictures). Where it decides which of four is the largest, or whether a ReLU is open,
    the gradient jumps, but not the loss: in one picture of twenty. So another is tried then; a
    wrong gradient is wrong for all.
    """
    apart: list[float] = []
    for seed in range(5, 10):
        image = photo.lerp(torch.rand(photo.shape, generator=seeded(seed)), 0.3)
        loss, gradient = with_gradient(whole, image)
        apart.append(0.0)
        for one in tiled:
            tiled_loss, tiled_gradient = with_gradient(one, image)
            assert tiled_loss == pytest.approx(loss, rel=5e-5)
            difference = tiled_gradient - gradient
            of_all = difference.norm() / gradient.norm()
            # Nowhere worse than elsewhere: no seams.
            at_worst = difference.abs().max() / gradient.abs().max() / 10
            apart[-1] = max(apart[-1], of_all.item(), at_worst.item())
        if apart[-1] < limit:
            return
    raise AssertionError(f"gradients are apart by {apart}, relative to themselves")


def assert_the_same(
    backbone: VggBackbone,
    canvas: RenditionTask,
    settings: Settings,
    tile_px: int,
    limit: float = 5e-5,
) -> None:
    height, width = canvas.content.shape[2:]
    about = backbone, canvas.content, canvas.regions, height, width, settings
    protection_map = canvas.protection_map
    tiled = [
        build_objective(
            *about, tile_px=tile_px, saved_from=saved_from, protection_map=protection_map
        )
        for saved_from in (None, 2, 0)
    ]
    whole = with_autograd_gradient(reference.objective(*about, protection_map))
    assert_the_same_gradient(whole, tiled, canvas.content, limit)


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("tile_px", [64, 4096])
def test_tiles_give_the_gradient_of_the_whole(
    backbone: VggBackbone, height: int, width: int, tile_px: int
) -> None:
    assert_the_same(backbone, task(height, width), Settings(), tile_px)


@pytest.mark.parametrize(
    "advanced",
    [
        AdvancedSettings(pooling=Pooling.AVERAGE),
        AdvancedSettings(content_layer="relu1_2"),
        AdvancedSettings(
            content_layer="relu5_1", style_layers=(("relu2_2", 1.0), ("relu4_4", 3.0))
        ),
        AdvancedSettings(content_weight=0.0, smoothness_weight=0.0),
        AdvancedSettings(content_weight=100.0, smoothness_weight=5.0),
    ],
    ids=lambda advanced: f"{advanced.pooling}-{advanced.content_layer}-{advanced.content_weight}",
)
def test_tiles_give_the_gradient_of_the_whole_with_every_control(
    backbone: VggBackbone, advanced: AdvancedSettings
) -> None:
    assert_the_same(backbone, task(111, 143), Settings(advanced=advanced), 48)


@pytest.mark.parametrize("brush_size", [0.5, 2.0])
def test_tiles_give_the_gradient_of_the_whole_with_other_brushes(
    backbone: VggBackbone, brush_size: float
) -> None:
    assert_the_same(backbone, task(111, 143), Settings(brush_size=brush_size), 48)


@pytest.mark.parametrize("regions", [2, 3])
def test_tiles_give_the_gradient_of_the_whole_with_regions(
    backbone: VggBackbone, regions: int
) -> None:
    assert_the_same(backbone, task(111, 143, regions=regions), Settings(), 48)


def test_tiles_give_the_gradient_of_the_whole_for_lightness_alone(backbone: VggBackbone) -> None:
    assert_the_same(backbone, task(111, 143, channels=1), Settings(), 48)


def spots(height: int, width: int) -> Tensor:
    """Return a map with a large soft spot, and one of 2 px in a corner."""
    down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = ((down - 0.45 * height).square() + (across - 0.5 * width).square()).sqrt()
    spots = (1.4 - distance / (height / 8)).clamp(0.0, 1.0)
    spots[-2:, -2:] = 1.0
    return spots[None, None]


@pytest.mark.parametrize("keep_faces", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("tile_px", [32, 48, 4096])
def test_tiles_give_the_gradient_of_the_whole_with_protected_faces(
    backbone: VggBackbone, tile_px: int, keep_faces: float
) -> None:
    canvas = replace(task(131, 175), protection_map=spots(262, 350) if keep_faces else None)
    assert_the_same(backbone, canvas, Settings(keep_faces=keep_faces), tile_px)


@pytest.mark.parametrize(
    ("regions", "channels", "advanced"),
    [
        (2, 3, AdvancedSettings()),
        (3, 3, AdvancedSettings(content_layer="relu1_2")),
        (1, 1, AdvancedSettings(content_layer="relu3_1")),
        (1, 3, AdvancedSettings(style_layers=(("relu2_2", 1.0), ("relu4_4", 3.0)))),
    ],
)
def test_tiles_give_the_gradient_of_the_whole_with_faces_and_other_controls(
    backbone: VggBackbone, regions: int, channels: int, advanced: AdvancedSettings
) -> None:
    canvas = task(111, 143, regions=regions, channels=channels)
    canvas = replace(canvas, protection_map=spots(111, 143))
    assert_the_same(backbone, canvas, Settings(advanced=advanced), 48)


def test_tiles_give_the_gradient_of_the_whole_with_masked_styles(backbone: VggBackbone) -> None:
    canvas = task(111, 143, regions=2)
    masks = 1.0 - spots(90, 130), None
    regions = tuple(
        replace(region, style_masks=(mask,))
        for region, mask in zip(canvas.regions, masks, strict=True)
    )
    assert_the_same(backbone, replace(canvas, regions=regions), Settings(), 48)


@pytest.fixture(scope="module")
def exact() -> Painter:
    return Painter("cpu", threads=1, precision=Precision.SINGLE)


@pytest.mark.parametrize("name", ["compact", "vgg19"])
def test_tiles_give_the_gradient_of_the_whole_with_each_backbone(exact: Painter, name: str) -> None:
    assert_the_same(exact.backbone(name), task(70, 131), Settings(), 32)


# Tiles store maps in half precision, too, and compute anew in it the stages that saved nothing.
@pytest.mark.parametrize(
    ("tile_px", "saved_from", "apart", "cosine"),
    [(None, None, 0.0, 0.9995), (64, 0, 1e-3, 0.999), (64, 2, 1e-3, 0.98), (64, None, 1e-3, 0.98)],
)
@pytest.mark.parametrize("pooling", list(Pooling))
def test_half_precision_keeps_the_loss_and_the_gradients_direction(
    exact: Painter,
    tile_px: int | None,
    saved_from: int | None,
    apart: float,
    cosine: float,
    pooling: Pooling,
) -> None:
    half = Painter("cpu", threads=1, precision=Precision.HALF)
    canvas, settings = task(111, 143), Settings(advanced=AdvancedSettings(pooling=pooling))
    image = canvas.content.flip(3)
    about = canvas.content, canvas.regions, 111, 143, settings, None, tile_px, saved_from
    (loss, gradient), (rounded_loss, rounded) = (
        build_objective(one.backbone("compact"), *about)(image) for one in (exact, half)
    )

    assert rounded_loss.item() == pytest.approx(loss.item(), rel=apart, abs=0.0)
    assert torch.cosine_similarity(gradient.flatten(), rounded.flatten(), 0) > cosine
    assert not torch.equal(gradient, rounded)


def test_tiles_give_the_gradient_of_the_whole_with_a_style_of_one_color(exact: Painter) -> None:
    """The covariance is no scale and the mean is far from the image's: digits could cancel."""
    canvas = task(70, 131)
    flat = (Region((torch.full((1, 3, 64, 64), 0.9),), None, None),)
    assert_the_same(exact.backbone("compact"), replace(canvas, regions=flat), Settings(), 32, 1e-4)


def test_a_photo_of_values_that_are_no_numbers_is_refused(backbone: VggBackbone) -> None:
    canvas = task(64, 80)
    canvas.content[..., 3, 5] = torch.nan
    with pytest.raises(NotFinite, match="content features"):
        build_objective(backbone, canvas.content, canvas.regions, 64, 80, Settings(), tile_px=32)


@pytest.mark.parametrize("tile_px", [None, 48])
@pytest.mark.parametrize(("regions", "has_faces"), [(1, False), (2, False), (1, True)])
def test_an_evaluation_does_not_wait_for_the_device(
    backbone: VggBackbone, tile_px: int | None, regions: int, has_faces: bool
) -> None:
    """A CUDA graph can only record an evaluation without waits."""
    canvas = task(111, 143, regions=regions)
    evaluate = build_objective(
        backbone,
        canvas.content,
        canvas.regions,
        111,
        143,
        Settings(),
        tile_px=tile_px,
        protection_map=spots(111, 143) if has_faces else None,
    )
    with Waits() as waits:
        evaluate(canvas.content)

    assert waits.count == 0


@dataclass(frozen=True)
class CorrelationTerm:
    """Term that is no sum over positions: 1 - correlation, channel by channel, to a power."""

    layer: str
    reference: Tensor

    def sums(self, features: Tensor, rows: slice, columns: slice) -> tuple[Tensor, ...]:
        found = features.flatten(2)[0].double()
        other = self.reference[:, :, rows, columns].flatten(2)[0].double()
        return (
            found.sum(1),
            found.square().sum(1),
            (found * other).sum(1),
            other.sum(1),
            other.square().sum(1),
            torch.full_like(found[:, 0], found.shape[1]),
        )

    def backward(
        self, features: Tensor, gradients: Sequence[Tensor], rows: slice, columns: slice
    ) -> Tensor:
        own, square, shared, *_ = (slope.float().reshape(1, -1, 1, 1) for slope in gradients)
        return own + 2 * square * features + shared * self.reference[:, :, rows, columns]

    def value_and_gradients(self, sums: Sequence[Tensor]) -> ValueAndGradients:
        return autograd_value(self.loss, sums)

    def loss(self, sums: Sequence[Tensor]) -> Tensor:
        x, xx, xy, y, yy, n = sums
        covariance = xy / n - x * y / n**2
        spread = (xx / n - (x / n) ** 2) * (yy / n - (y / n) ** 2)
        return (1.01 - covariance / (spread + 1e-6).sqrt()).pow(1.5).mean()


def test_any_function_of_sums_may_be_a_term(backbone: VggBackbone) -> None:
    photo = to_tensor(picture(111, 143, 5))
    with torch.no_grad():
        reference = backbone.features(photo, ["relu4_2"])["relu4_2"]
    term = CorrelationTerm("relu4_2", reference)

    def whole(image: Tensor) -> Tensor:
        features = backbone.features(image, ["relu4_2"])["relu4_2"]
        return term.loss(term.sums(features, slice(None), slice(None))).float()

    extractor = TiledExtractor(backbone, Pooling.MAX, ["relu4_2"], 111, 143, 32)
    tiled = Objective(extractor, [term], 0.0)
    assert_the_same_gradient(
        with_autograd_gradient(whole), [tiled], to_tensor(picture(111, 143, 4))
    )


@pytest.mark.parametrize("stage", range(5))
def test_a_smaller_margin_is_not_enough(
    backbone: VggBackbone, monkeypatch: pytest.MonkeyPatch, stage: int
) -> None:
    """The margins are not wider than they have to be, and the tests above would notice."""
    canvas = task(528, 544)
    image = resize(canvas.content, 528, 544).flip(3)

    def in_tiles() -> Tensor:
        tiled = build_objective(
            backbone, canvas.content, canvas.regions, 528, 544, Settings(), tile_px=32
        )
        return with_gradient(tiled, image)[1]

    gradient = in_tiles()
    margin = StageGroup.margin

    def narrow(group: StageGroup, layers: Collection[str]) -> int:
        less = (1 << group.poolings) if group.first == stage else 0
        return margin(group, layers) - less

    monkeypatch.setattr(StageGroup, "margin", narrow)
    apart = (in_tiles() - gradient).norm() / gradient.norm()
    # No group begins with the second stage: it belongs to the first group.
    assert (apart > 1e-4) == (stage != 1)


@pytest.mark.parametrize("band_rows", [1, 7, 256])
@pytest.mark.parametrize(("height", "width"), [(1, 9), (16, 1), (23, 31)])
def test_the_total_variation_is_the_same_in_bands(
    monkeypatch: pytest.MonkeyPatch, band_rows: int, height: int, width: int
) -> None:
    monkeypatch.setattr(module, "_BAND_ROWS", band_rows)
    image = torch.rand(1, 3, height, width, generator=seeded(0))
    found = torch.zeros_like(image)

    loss = module._add_total_variation(image, found, 2.0)

    expected, gradient = with_autograd_gradient(lambda image: 2.0 * total_variation(image))(image)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.allclose(found, gradient, atol=1e-7)
