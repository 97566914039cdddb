"""Floating-point operations of an evaluation: its convolutions, there and back.

A multiplication and an addition are two. Weights are frozen, so the way back goes to each
convolution's input alone, which takes as many as the way there. Left out are the covariances, the
optimizer, and everything that is done once per number: together a few hundredths. Free of torch.
"""

STAGES = (2, 2, 4, 4, 1)
"""Number of convolutions of VGG-19 by stage up to relu5_1; each stage halves the edges."""
_VGG19 = (64, 128, 256, 512, 512)
WIDTHS = {
    "compact": (16, 32, 64, 128, 128),
    "vgg19": _VGG19,
    "vgg19-torchvision": _VGG19,
}
"""Number of channels by stage."""
_KERNEL = 3 * 3
_RGB = 3


def evaluation_flops(backbone: str, height: int, width: int) -> int:
    """Return the operations of loss and gradient of an image of this size."""
    multiplications = 0
    channels = _RGB
    for stage, (count, out) in enumerate(zip(STAGES, WIDTHS[backbone], strict=True)):
        positions = (height >> stage) * (width >> stage)
        for _ in range(count):
            multiplications += _KERNEL * channels * out * positions
            channels = out
    there = 2 * multiplications
    return 2 * there
