"""The backward pass against autograd through the same forward pass."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from tests.seeds import seeded
from transfer.backbones.backward import flip_kernel, gradient_dtype, pad_reflect
from transfer.backbones.vgg import CONVOLUTIONS, VggBackbone
from transfer.settings import Pooling, Precision

LAYERS = ("relu1_1", "relu2_2", "relu3_1")
STAGES = range(3)


@pytest.fixture(scope="module")
def backbone() -> VggBackbone:
    """Random network, narrow enough for pictures of a few pixels."""
    generator = seeded(4)
    weights = {}
    channels = 3
    for stage in CONVOLUTIONS:
        for layer in stage:
            kernel = torch.randn(5, channels, 3, 3, generator=generator)
            weights[layer] = kernel * (2 / (9 * channels)) ** 0.5, torch.zeros(5)
            channels = 5
    return VggBackbone("random", weights, torch.device("cpu"), Precision.SINGLE)


def autograd_gradient(
    backbone: VggBackbone, image: Tensor, factors: Mapping[str, Tensor], pooling: Pooling
) -> Tensor:
    image = image.clone().requires_grad_()
    loss: list[Tensor] = []
    backbone.run(
        image,
        STAGES,
        list(factors),
        lambda layer, features: loss.append((features * factors[layer]).sum()),
        pooling,
        has_map=False,
    )
    (gradient,) = torch.autograd.grad(torch.stack(loss).sum(), image)
    return gradient


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("pooling", list(Pooling))
@pytest.mark.parametrize("layers", [LAYERS, ("relu2_1",), ("relu3_4",)], ids="-".join)
@pytest.mark.parametrize(("height", "width"), [(16, 24), (21, 19), (4, 33)])
def test_the_gradient_is_that_of_autograd(
    backbone: VggBackbone,
    height: int,
    width: int,
    layers: tuple[str, ...],
    pooling: Pooling,
    is_packed: bool,
) -> None:
    image = torch.rand(1, 3, height, width, generator=seeded(0))
    factors: dict[str, Tensor] = {}
    saved = backbone.start_saving(layers, is_packed=is_packed)

    def on_features(layer: str, features: Tensor) -> None:
        factors[layer] = torch.randn(features.shape, generator=seeded(1))

    def add_layer_gradient(layer: str, _: Tensor, gradient: Tensor | None) -> Tensor:
        return factors[layer] if gradient is None else gradient + factors[layer]

    with torch.no_grad():
        backbone.run(image, STAGES, layers, on_features, pooling, has_map=False, saved=saved)
        gradient = saved.backward(add_layer_gradient, None)

    expected = autograd_gradient(backbone, image, factors, pooling)
    assert gradient is not None
    assert torch.allclose(gradient, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_there_is_no_gradient_where_nothing_depends_on_the_input(backbone: VggBackbone) -> None:
    saved = backbone.start_saving(["relu1_1"])
    image = torch.rand(1, 3, 16, 16, generator=seeded(0))
    backbone.run(image, STAGES, ["relu1_1"], lambda *_: None, has_map=False, saved=saved)

    assert saved.backward(lambda _layer, _features, gradient: gradient, None) is None


def test_an_edge_of_one_position_is_repeated() -> None:
    row = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 1, 1, 3)

    assert pad_reflect(row).tolist() == [[[[1.0, 1.0, 2.0, 3.0, 3.0]] * 3]]
    assert pad_reflect(row.expand(1, 1, 2, 3))[0, 0, 0].tolist() == [2.0, 1.0, 2.0, 3.0, 2.0]


def test_a_kernel_is_flipped_and_transposed() -> None:
    kernel = torch.arange(54.0).reshape(2, 3, 3, 3)

    flipped = flip_kernel(kernel)

    assert flipped.shape == (3, 2, 3, 3)
    assert flipped[1, 0, 0, 2] == kernel[0, 1, 2, 0]


def test_the_precision_decides_the_type_of_gradients() -> None:
    cpu = torch.device("cpu")

    assert gradient_dtype(cpu, Precision.SINGLE) == torch.float32
    assert gradient_dtype(cpu, Precision.HALF) == torch.bfloat16
    # Only the matrix units of a CPU are known to gain from half precision.
    assert gradient_dtype(torch.device("cuda"), Precision.AUTO) == torch.float32
