"""Program that measures one row: its argument is JSON, and it prints one line of JSON.

    python -m benchmarks.speedlib.measure '{"kind": "products", "device": "cpu", "threads": 0, ...}'

Each row has a process of its own, so that its memory is its own, and a row that is too large takes
no other with it.
"""

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before torch is loaded: see docs/engine.md.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

import torch
from torch import Tensor

from benchmarks.common.machine import free_bytes, own_peak_bytes
from benchmarks.speedlib.rows import WholePainting
from transfer.engine import Painter
from transfer.errors import TransferError
from transfer.imaging.images import read_image, to_tensor
from transfer.imaging.masks import build_regions
from transfer.memory.budget import Budget, default_budget
from transfer.memory.malloc import configure_malloc
from transfer.memory.plan import LevelShape
from transfer.objective.builder import build_objective
from transfer.optim.iterate import DifferentiableLoss
from transfer.pipeline.cuda_graph import CudaGraphObjective
from transfer.pipeline.renditions import rendition_task
from transfer.planning.pyramid import schedules
from transfer.settings import Precision, Rendition, Settings

_LONG_ENOUGH_S = 4.0
"""Time for which evaluations are repeated, at least `_FEWEST` and at most `_MOST` times."""
_FEWEST, _MOST = 3, 50
_LONG_S = 15.0
"""Time from which on an evaluation is measured once, as a cold start costs it little."""
_PRODUCTS = 7
_EDGE = {"cpu": 2048, "cuda": 8192}
"""Edge of the square matrices whose product is timed."""


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Measure, and return the figures, or the reason why there are none."""
    configure_malloc(is_limited=False)
    precision = Precision(order["precision"])
    graphs = order["graphs"]
    painter = Painter(order["device"], order["threads"], precision=precision, graphs=graphs)
    if order["kind"] == "products":
        return _products(painter.device)
    if painter.device.type == "cpu":
        _limit_memory()
    try:
        found = (_evaluation if order["kind"] == "evaluation" else _painting)(painter, order)
    except TransferError as error:
        return {"reason": _clause(str(error))}
    except (MemoryError, RuntimeError) as error:
        # torch says that memory ran out in many ways, and has one class for all of them.
        return {"reason": _clause(str(error).partition("\n")[0] or "there was not enough memory")}
    return found | {"peak_bytes": _peak_bytes(painter.device, order["graphs"])}


def _evaluation(painter: Painter, order: dict[str, Any]) -> dict[str, Any]:
    """Measure loss and gradient, on the image that paintings begin with; seconds are a median."""
    settings = Settings(long_edge_px=order["size_px"])
    backbone = painter.backbone(order["backbone"])
    content = read_image(Path(order["content"]))
    style = read_image(Path(order["style"]))
    photo = to_tensor(content, settings.long_edge_px).to(painter.device)
    height, width = photo.shape[2:]
    seen = to_tensor(style, min(settings.long_edge_px, max(style.size))).to(painter.device)
    places = build_regions([seen], [1.0], (), content.size, height, width)
    task = rendition_task(Rendition.STYLED, photo, places, None, settings)
    # By the memory plan that a painting would use.
    budget = Budget(default_budget(height, width, painter.device), painter.device, is_strict=False)
    shape = LevelShape(backbone.name, height, width, is_fp16=backbone.is_fp16)
    plan = budget.plans(shape)[budget.first_plan(shape)]
    tiles = plan.tile_px, plan.saved_from
    loss: DifferentiableLoss = build_objective(
        backbone, task.content, task.regions, height, width, settings, None, *tiles
    )
    if order["graphs"] and plan.tile_px is None:
        loss = CudaGraphObjective(loss)
    times = _repeat(lambda: _evaluate(loss, task.start), painter.device)
    return {"seconds": statistics.median(times), "evaluations": len(times)}


def _painting(painter: Painter, order: dict[str, Any]) -> dict[str, Any]:
    settings = WholePainting(order["effort"], order["painter"], order["size_px"]).settings
    content, style = (read_image(Path(order[role])) for role in ("content", "style"))
    # As in a worker, which has its weights in memory.
    for steps in schedules(settings, 64, 64).values():
        for step in steps:
            painter.backbone(step.backbone)
    painted = painter.paint(content, [style], settings)
    return {"seconds": painted.seconds, "evaluations": painted.evaluations}


def _peak_bytes(device: torch.device, graphs: bool) -> int:
    if device.type != "cuda":
        return own_peak_bytes()
    # What a recording holds for its next playback is reserved, but not allocated.
    return torch.cuda.max_memory_reserved() if graphs else torch.cuda.max_memory_allocated()


def _products(device: torch.device) -> dict[str, Any]:
    """Measure FLOP/s of the fastest of some square matrix products, by kind of number."""
    edge = _EDGE[device.type]
    one, other = (torch.randn(edge, edge, device=device) for _ in range(2))
    rates = {}
    for kind in ("fp32", "TF32") if device.type == "cuda" else ("fp32",):
        torch.backends.cuda.matmul.allow_tf32 = kind == "TF32"
        times = [_time(lambda: one @ other, device) for _ in range(_PRODUCTS)]
        rates[kind] = 2.0 * edge**3 / min(times)
    return rates


def _evaluate(loss: DifferentiableLoss, image: Tensor) -> float:
    value, _ = loss(image)
    # As the optimizer does, which waits for the number.
    return value.item()


def _repeat(run: Callable[[], object], device: torch.device) -> list[float]:
    first = _time(run, device)
    if first >= _LONG_S:
        return [first]
    times: list[float] = []
    while len(times) < _FEWEST or (sum(times) < _LONG_ENOUGH_S and len(times) < _MOST):
        times.append(_time(run, device))
    return times


def _time(run: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _limit_memory() -> None:
    """Limit this process to the memory that is free, before the system starts to kill."""
    free = free_bytes()
    if free is not None:
        # A limit that the caller set stays where it is lower.
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limits = [free, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
        resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))


def _clause(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(". ")


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
