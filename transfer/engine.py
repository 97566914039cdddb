"""Neural style transfer by optimization, after Gatys, Ecker & Bethge (CVPR 2016)."""

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
]

_LOADERS = {compact.NAME: compact.load, vgg19.NAME: vgg19.load}


class Painter:
    """Paints pictures; loads each backbone once, at its first use.

    Args:
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for CUDA where there is one.
        threads: CPU threads of the whole process; 0 leaves the choice to torch.
        weights_dir: folder of downloaded weights; None for `registry.default_weights_dir`.
        max_memory: memory that painting may take, in bytes: of the whole process, libraries
            included, on a CPU; of the device's memory on CUDA. None for `budget.default_budget`.
        precision: precision of gradients, and of what tiles keep for them.
        graphs: True to replay evaluations of whole pictures from CUDA graphs; see
            `cuda_graph.CudaGraphObjective`.

    Raises:
        InvalidSetting: if the device is unknown or absent, the memory too little to begin, the
            precision unknown, or graphs are asked for without CUDA.
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
        """Return the backbone of a name, loaded at its first use.

        Raises:
            WeightsUnavailable: if its weights cannot be read.
        """
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
        """Paint one picture in the style of others.

        Args:
            content: the photo; any size and mode.
            styles: one or more pictures of any size and mode. Their statistics are averaged by
                their weights; one of weight 0 is left out, and its mask with it.
            settings: everything else that decides about the result.
            masks: one for each style, in the shape of the content at any size: the style goes
                where its mask is white, not where it is black, in part where it is gray; None is
                everywhere. Where no style goes, the photo stays. Empty for no masks at all.
            on_progress: called after each evaluation; its exceptions pass through.
            on_rendition: called with each rendition as soon as it is finished.
            on_state: called with `BasePainting.state` of the first rendition after that rendition,
                unless it is too large to be worth keeping.
            checkpoint: bytes of `Progress.checkpoint`, to resume from there. The result has the
                renditions that were finished before, but ``on_rendition`` is not called for them.
            base: an earlier painting of the same photo to continue, at its size or a larger one.

        Raises:
            StyleMissing: if ``styles`` is empty.
            InvalidSetting: if there are not as many style weights as styles, or the painting is to
                be smaller than ``base``.
            MaskCount: if there are not as many masks as styles.
            MaskUnusable: if a mask has another shape than the content, or is black everywhere.
            ImageTooSmall: if a picture, or the painting at this size, is too small or too
                elongated.
            WeightsUnavailable: if a backbone's weights cannot be read.
            CheckpointUnusable: if the checkpoint, or the state of ``base``, is damaged, or of
                other pictures or settings.
            BasePaintingUnusable: if ``base`` has another shape than the photo.
            MemoryExceeded: if the device has too little memory.
        """
        request = PaintRequest(content, styles, masks, settings, base, checkpoint)
        callbacks = Callbacks(on_progress, on_rendition, on_state)
        try:
            run = PaintRun(request, callbacks, self.device, graphs=self._graphs)
            max_memory = self._max_memory
            if max_memory is None:
                max_memory = default_budget(run.height, run.width, self.device)
            budget = Budget(max_memory, self.device, is_strict=self._max_memory is not None)
            return run.run(self.backbone, budget)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise MemoryExceeded(settings.long_edge_px) from error
