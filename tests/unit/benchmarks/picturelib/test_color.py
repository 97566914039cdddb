import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from benchmarks.picturelib.color import to_lab
from tests.seeds import seeded
from transfer.errors import ShapeError


def test_lab_agrees_with_scikit_image() -> None:
    image = torch.rand(1, 3, 20, 30, generator=seeded(0), dtype=torch.float64)
    image[0, :, 0, :3] = torch.eye(3)  # pure red, green and blue
    image[0, :, 1, :5] = torch.tensor([0.0, 0.001, 0.02, 0.04, 0.05])  # both parts of the curves

    lab = to_lab(image)

    wanted = rgb2lab(image[0].permute(1, 2, 0).numpy())
    # Its white point is rounded to five digits, ours is that of its matrix.
    np.testing.assert_allclose(lab[0].permute(1, 2, 0).numpy(), wanted, atol=0.02)


def test_grays_have_no_chroma() -> None:
    gray = torch.linspace(0, 1, 256, dtype=torch.float64).expand(1, 3, 1, 256)

    lab = to_lab(gray)

    assert lab[:, 1:].abs().max() < 1e-9
    assert lab[0, 0, 0, 0] == pytest.approx(0, abs=1e-9)
    assert lab[0, 0, 0, -1] == pytest.approx(100)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="image must have shape"):
        to_lab(torch.zeros(3, 8, 8))
