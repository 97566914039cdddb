"""How `compact` was made: fitted to VGG-19 by least squares, then trained from there.

``python -m transfer.training.distill --images ../shared/training-images``; `docs/compact.md`
explains it.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from transfer.backbones import compact, vgg19
from transfer.training.data import read_pictures
from transfer.training.finetune import TrainConfig, Trainer, errors
from transfer.training.layer_fit import FitConfig, Student, fit_student

HELD_OUT = 24
"""One picture of this many is not learned from, but judged by."""
_REPORTED = 250
"""Steps of training between two reports, and two checkpoints."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the weights and store them where `compact` reads them."""
    options = _options(arguments)
    generator = torch.Generator().manual_seed(options.seed)
    paths = sorted(path for path in options.images.glob("*") if path.is_file())
    paths = [paths[index] for index in torch.randperm(len(paths), generator=generator).tolist()]
    kept = len(paths) - max(1, len(paths) // HELD_OUT)
    stored: dict[str, Any] = {}
    if options.checkpoint is not None and options.checkpoint.exists():
        stored = torch.load(options.checkpoint, weights_only=True)
        start = Student(stored["weights"], stored["channels"])
    else:
        with torch.no_grad():
            start = fit_student(
                paths[:kept], replace(FitConfig(), seed=options.seed), generator, _report
            )
    schedule = replace(TrainConfig(), seed=options.seed)
    # Trainer puts the parts of a batch on threads of its own.
    torch.set_num_threads(1)
    teacher = vgg19.read_weights()
    pictures = read_pictures(paths[:kept], schedule.crop_px)
    judges = read_pictures(paths[kept:], schedule.crop_px)
    training = Trainer(start, teacher, pictures, schedule)
    if stored:
        training.restore(stored["training"])
    while True:
        student = training.student()
        _report_errors(training.done, errors(student, teacher, judges))
        if options.checkpoint is not None:
            _store(options.checkpoint, start, training)
        if training.done >= schedule.steps:
            break
        for _ in range(min(_REPORTED, schedule.steps - training.done)):
            training.step()
    _save(student, options.output)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.2f} MB")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m transfer.training.distill", description=main.__doc__
    )
    parser.add_argument("--images", type=Path, required=True, help="a folder of pictures")
    parser.add_argument("--seed", type=int, default=FitConfig().seed)
    parser.add_argument(
        "--checkpoint", type=Path, help="a file to keep the training in, and to go on from"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(compact.__file__).with_name(compact.DATA_FILE)
    )
    return parser.parse_args(arguments)


def _report(layer: str, error: float) -> None:
    print(f"{layer}  {error:.3f}", flush=True)


def _report_errors(step: int, found: Mapping[str, float]) -> None:
    line = "  ".join(f"{layer.removeprefix('conv')} {error:.3f}" for layer, error in found.items())
    print(f"{step:5}  {line}  ({time.process_time():.0f} s)", flush=True)


def _store(path: Path, start: Student, training: Trainer) -> None:
    state = {
        "weights": dict(start.weights),
        "channels": dict(start.channels),
        "training": training.state(),
    }
    # Beside its name first: a command that is killed meanwhile must not cost the one before.
    beside = path.with_name(path.name + ".part")
    torch.save(state, beside)
    beside.replace(path)


def _save(student: Student, path: Path) -> None:
    tensors = {}
    for layer, (kernel, bias) in student.weights.items():
        tensors[f"{layer}.weight"], tensors[f"{layer}.bias"] = kernel.half(), bias.half()
    safetensors.torch.save_file(tensors, path)


if __name__ == "__main__":
    sys.exit(main())
