import pytest

from transfer.errors import (
    BasePaintingUnusable,
    CheckpointUnusable,
    ImageTooSmall,
    InvalidSetting,
    MaskCount,
    MemoryExceeded,
    NotFinite,
    ShapeError,
    StyleMissing,
    TransferError,
)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            InvalidSetting("size", "from 64 to 8192 px", 9),
            "size must be from 64 to 8192 px, not 9.",
        ),
        (
            ImageTooSmall("style", 4, 16),
            "The style picture's short side is 4 px once resized; at least 16 px are needed."
            " Use a larger size or a less elongated picture.",
        ),
        (StyleMissing(), "At least one style picture is needed, none was given."),
        (
            ShapeError("image", "(1, 3, H, W)", (3, 4)),
            "image must have shape (1, 3, H, W), not (3, 4).",
        ),
        (
            NotFinite("image", 2, 12),
            "image must hold finite numbers only, but 2 of its 12 values are not.",
        ),
        (
            MaskCount(1, 2),
            "One mask for each style is needed, 2 in all, or none at all; the number given is 1.",
        ),
        (
            CheckpointUnusable("it is damaged"),
            "The checkpoint cannot be used: it is damaged. Paint from the beginning.",
        ),
        (
            # Height and width, as tensors have them; people read width x height.
            BasePaintingUnusable((60, 80), (80, 80)),
            "The earlier painting must have the shape of the photo, 80 x 60 px at its size,"
            " not 80 x 80 px. Paint from the beginning.",
        ),
        (
            MemoryExceeded(768),
            "There was not enough memory to paint at 768 px. Try a smaller size.",
        ),
    ],
)
def test_messages_say_what_was_wanted_what_came_and_what_to_do(
    error: TransferError, message: str
) -> None:
    assert str(error) == message
