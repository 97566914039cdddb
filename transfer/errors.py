"""Errors of `transfer`, all of them children of `TransferError`.

A message says to a person what was wanted, what came, and what to do.
"""


class TransferError(Exception):
    """Base of all errors that `transfer` raises on purpose."""


class InvalidSetting(TransferError):
    """A setting is out of range or unknown."""

    def __init__(self, setting: str, wanted: str, got: object) -> None:
        self.setting = setting
        self.wanted = wanted
        self.got = got
        super().__init__(f"{setting} must be {wanted}, not {got!r}.")


class ImageUnreadable(TransferError):
    """A file is not an image, or is damaged."""


class ImageTooSmall(TransferError):
    """An image has too few pixels to carry style statistics."""

    def __init__(self, role: str, short_edge_px: int, limit_px: int) -> None:
        self.role = role
        self.short_edge_px = short_edge_px
        self.limit_px = limit_px
        super().__init__(
            f"The {role} picture's short side is {short_edge_px} px once resized; "
            f"at least {limit_px} px are needed. Use a larger size or a less elongated picture."
        )


class StyleMissing(TransferError):
    """No style picture was given."""

    def __init__(self) -> None:
        super().__init__("At least one style picture is needed, none was given.")


class ShapeError(TransferError):
    """A tensor has another shape than the function works on."""

    def __init__(self, name: str, wanted: str, got: tuple[int, ...]) -> None:
        self.name = name
        self.wanted = wanted
        self.got = got
        super().__init__(f"{name} must have shape {wanted}, not {tuple(got)}.")


class NotFinite(TransferError):
    """A tensor holds values that are no numbers, or infinite ones."""

    def __init__(self, name: str, count: int, of: int) -> None:
        self.name = name
        self.count = count
        self.of = of
        super().__init__(
            f"{name} must hold finite numbers only, but {count} of its {of} values are not."
        )


class MaskCount(TransferError):
    """There are masks, but not one for each style."""

    def __init__(self, masks: int, styles: int) -> None:
        self.masks = masks
        self.styles = styles
        super().__init__(
            f"One mask for each style is needed, {styles} in all, or none at all; "
            f"the number given is {masks}."
        )


class MaskUnusable(TransferError):
    """A mask has another shape than the photo, or is black everywhere."""

    def __init__(self, number: int, reason: str) -> None:
        self.number = number
        """Number of the mask from 1, in the order of the styles."""
        super().__init__(f"Mask {number} cannot be used: {reason}")


class WeightsUnavailable(TransferError):
    """The weights of a backbone are missing, or not the ones that were expected."""

    def __init__(self, backbone: str, reason: str) -> None:
        self.backbone = backbone
        super().__init__(f"The weights of the backbone {backbone} cannot be used: {reason}")


class CheckpointUnusable(TransferError):
    """A checkpoint cannot be resumed."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The checkpoint cannot be used: {reason}. Paint from the beginning.")


class BasePaintingUnusable(TransferError):
    """An earlier painting has another shape than the photo."""

    def __init__(self, wanted: tuple[int, int], got: tuple[int, int]) -> None:
        self.wanted = wanted
        """Height and width that the painting should have, px."""
        self.got = got
        super().__init__(
            f"The earlier painting must have the shape of the photo, {wanted[1]} x {wanted[0]} px "
            f"at its size, not {got[1]} x {got[0]} px. Paint from the beginning."
        )


class MemoryExceeded(TransferError):
    """The device has too little memory for this painting."""

    def __init__(self, long_edge_px: int) -> None:
        self.long_edge_px = long_edge_px
        super().__init__(
            f"There was not enough memory to paint at {long_edge_px} px. Try a smaller size."
        )


class Cancelled(TransferError):
    """A progress callback stopped the painting; `Painter.paint` lets this error through."""
