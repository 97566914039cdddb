"""A painting from beginning to end: optimization after Gatys, Ecker & Bethge (CVPR 2016)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from transfer.backbones import compact, vgg19, vgg19_torchvision
from transfer.backbones.vgg import VggBackbone
from transfer.errors import InvalidSetting, MemoryExceeded
from transfer.memory.budget import MAX_MEMORY_MIN, Budget, default_budget, is_out_of_memory
from transfer.pipeline.base_painting import BasePainting
from transfer.pipeline.progress import OnProgress, Progress
from transfer.pipeline.run import (
    Callbacks,
    OnRendition,
    OnState,
    PaintRequest,
    PaintResult,
    PaintRun,
)
from transfer.settings import Precision, Settings

__all__ = [
    "BasePainting",
    "OnProgress",
    "OnRendition",
    "OnState",
    "PaintResult",
    "Painter",
    "Progress",
    "paint",
]

_LOADERS = {compact.NAME: compact.load, vgg19.NAME: vgg19.load}


class Painter:
    """Keeps backbones ready, so that a worker loads each once.

    Args:
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for CUDA where there is one.
        threads: CPU threads of the whole process; 0 leaves the choice to torch.
        weights_dir: where downloaded weights are kept; None for `registry.default_weights_dir`.
        max_memory: bytes that painting may take: of the whole process, libraries included, on a
            CPU; of the device's memory on CUDA. None for `budget.default_budget`.
        precision: of gradients, and of what tiles keep for them.
        graphs: whether to play evaluations of whole pictures back from CUDA graphs; see
            `cuda_graph.CudaGraphObjective`.

    Raises:
        InvalidSetting: if the device is unknown or absent, the memory too little to begin, the
            precision none, or graphs are asked for without CUDA.
    """

    def __init__(
        self,
        device: str = "auto",
        threads: int = 0,
        weights_dir: Path | None = None,
        max_memory: int | None = None,
        precision: Precision = Precision.AUTO,
        *,
        graphs: bool = False,
    ) -> None:
        has_cuda = torch.cuda.is_available()
        if device not in {"auto", "cpu", "cuda"} or (device == "cuda" and not has_cuda):
            wanted = "auto, cpu or cuda" if has_cuda else "auto or cpu (there is no CUDA here)"
            raise InvalidSetting("device", wanted, device)
        self.device = torch.device("cuda" if has_cuda and device != "cpu" else "cpu")
        if max_memory is not None and max_memory < MAX_MEMORY_MIN:
            wanted = f"at least {MAX_MEMORY_MIN / 1e9:g} GB"
            raise InvalidSetting("max memory", wanted, f"{max_memory / 1e9:g} GB")
        self._max_memory = max_memory
        if precision not in set(Precision):
            raise InvalidSetting("precision", " or ".join(Precision), precision)
        self._precision = Precision(precision)
        if graphs and self.device.type != "cuda":
            raise InvalidSetting("graphs", "off without CUDA", graphs)
        self._graphs = graphs
        if threads > 0:
            torch.set_num_threads(threads)
        self._loaders = _LOADERS | {
            vgg19_torchvision.NAME: partial(vgg19_torchvision.load, weights_dir=weights_dir)
        }
        self._backbones: dict[str, VggBackbone] = {}

    def backbone(self, name: str) -> VggBackbone:
        """The backbone of that name, loaded at its first use."""
        if name not in self._backbones:
            self._backbones[name] = self._loaders[name](self.device, self._precision)
        return self._backbones[name]

    def paint(
        self,
        content: Image.Image,
        styles: Sequence[Image.Image],
        settings: Settings,
        on_progress: OnProgress | None = None,
        *,
        masks: Sequence[Image.Image | None] = (),
        on_rendition: OnRendition | None = None,
        on_state: OnState | None = None,
        checkpoint: bytes | None = None,
        base: BasePainting | None = None,
    ) -> PaintResult:
        """See `paint`."""
        request = PaintRequest(content, styles, masks, settings, base)
        callbacks = Callbacks(on_progress, on_rendition, on_state)
        try:
            about = request, self.device, callbacks, checkpoint
            run = PaintRun(*about, graphs=self._graphs)
            return run.run(self.backbone, self._budget(run))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise MemoryExceeded(settings.long_edge_px) from error

    def _budget(self, run: PaintRun) -> Budget:
        total = self._max_memory
        if total is None:
            total = default_budget(run.height, run.width, self.device)
        return Budget(total, self.device, is_strict=self._max_memory is not None)


def paint(
    content: Image.Image,
    styles: Sequence[Image.Image],
    settings: Settings,
    on_progress: OnProgress | None = None,
    *,
    masks: Sequence[Image.Image | None] = (),
    on_rendition: OnRendition | None = None,
    on_state: OnState | None = None,
    checkpoint: bytes | None = None,
    base: BasePainting | None = None,
    painter: Painter | None = None,
) -> PaintResult:
    """Paint one picture in the style of others.

    Args:
        content: what is painted; any size and mode.
        styles: how; one or more, of any size and mode. The statistics of several are averaged by
            their weights; one of weight 0 is left out, and its mask with it.
        settings: everything else that decides how it looks.
        masks: where each style goes, in the shape of the content at any size: white here, black
            not, gray in part; None: everywhere. Where none goes, the photo stays. Empty for no
            masks at all.
        on_progress: called after each evaluation; what it raises passes through.
        on_rendition: called with each rendition as soon as it is finished.
        on_state: called with `BasePainting.state` of the first rendition after that rendition,
            unless it is too large to be worth keeping.
        checkpoint: from `Progress.checkpoint`: goes on from there. Renditions that were finished
            before are in the result, but ``on_rendition`` does not hear of them again.
        base: an earlier painting of the same photo that this one goes on from: at the same size
            for longer, or at a larger one.
        painter: keeps the backbones between paintings; a new one if there is none.

    Raises:
        StyleMissing: if ``styles`` is empty.
        InvalidSetting: if there are not as many style weights as styles, or the painting is to be
            smaller than the proof.
        MaskCount: if there are not as many masks as styles.
        MaskUnusable: if a mask has another shape than the content, or is black everywhere.
        ImageTooSmall: if a picture, or the painting at this size, is too small or too elongated.
        WeightsUnavailable: if a backbone's weights cannot be read.
        CheckpointUnusable: if the checkpoint, or the proof's state, is damaged, or of other
            pictures or settings.
        BasePaintingUnusable: if the proof has another shape than the photo.
        MemoryExceeded: if the device has too little memory.
    """
    painter = painter or Painter()
    return painter.paint(
        content,
        styles,
        settings,
        on_progress,
        masks=masks,
        on_rendition=on_rendition,
        on_state=on_state,
        checkpoint=checkpoint,
        base=base,
    )
