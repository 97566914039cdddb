import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speedlib.flops import evaluation_flops
from tests.seeds import seeded
from transfer.backbones import compact
from transfer.backbones.vgg import VggBackbone
from transfer.settings import LAYERS


@pytest.fixture(params=["compact", "vgg19"])
def network(request: pytest.FixtureRequest, backbone: VggBackbone) -> VggBackbone:
    return backbone if request.param == "vgg19" else compact.load(torch.device("cpu"))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80), (35, 61)])
def test_counted_as_torch_counts_convolutions(
    network: VggBackbone, height: int, width: int
) -> None:
    image = torch.rand(1, 3, height, width, requires_grad=True, generator=seeded(0))
    counter = FlopCounterMode(display=False)
    with counter:
        # The deepest layer: all others lie on the way to it.
        deepest = network.features(image, LAYERS)[LAYERS[-1]]
        torch.autograd.grad(deepest.sum(), image)

    counted = sum(
        flops
        for operator, flops in counter.get_flop_counts()["Global"].items()
        if "convolution" in str(operator)
    )
    assert evaluation_flops(network.name, height, width) == counted


def test_the_other_weights_of_vgg19_take_as_many() -> None:
    assert evaluation_flops("vgg19-torchvision", 99, 70) == evaluation_flops("vgg19", 99, 70)
