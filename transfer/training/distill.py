"""Makes the network `compact`: fits it to VGG-19 by least squares, then trains it.

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
"""Number of pictures of which one is held out of training, to measure errors on."""
_REPORTED = 250
"""Training steps between two reports, and between two checkpoints."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the weights and store them where `compact` reads them."""
    options = _options(arguments)
    generator = torch.Generator().manual_seed(options.seed)
    paths = sorted(path for path in options.images.glob("*") if path.is_file())
    paths = [paths[index] for index in torch.randperm(len(paths), generator=generator).tolist()]
    split = len(paths) - max(1, len(paths) // HELD_OUT)
    stored: dict[str, Any] = {}
    if options.checkpoint is not None and options.checkpoint.exists():
        stored = torch.load(options.checkpoint, weights_only=True)
        start = Student(stored["weights"], stored["channels"])
    else:
        with torch.no_grad():
            start = fit_student(
                paths[:split], replace(FitConfig(), seed=options.seed), generator, _report
            )
    config = replace(TrainConfig(), seed=options.seed)
    # Trainer puts the parts of a batch on threads of its own.
    torch.set_num_threads(1)
    teacher = vgg19.read_weights()
    pictures = read_pictures(paths[:split], config.crop_px)
    held_out = read_pictures(paths[split:], config.crop_px)
    trainer = Trainer(start, teacher, pictures, config)
    if stored:
        trainer.restore(stored["training"])
    while True:
        student = trainer.student()
        _report_errors(trainer.done, errors(student, teacher, held_out))
        if options.checkpoint is not None:
            _store(options.checkpoint, start, trainer)
        if trainer.done >= config.steps:
            break
        for _ in range(min(_REPORTED, config.steps - trainer.done)):
            trainer.step()
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
        "--checkpoint", type=Path, help="a file to store the training in, and to resume it from"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(compact.__file__).with_name(compact.DATA_FILE)
    )
    return parser.parse_args(arguments)


def _report(layer: str, error: float) -> None:
    print(f"{layer}  {error:.3f}", flush=True)


def _report_errors(step: int, by_layer: Mapping[str, float]) -> None:
    line = "  ".join(
        f"{layer.removeprefix('conv')} {error:.3f}" for layer, error in by_layer.items()
    )
    print(f"{step:5}  {line}  ({time.process_time():.0f} s)", flush=True)


def _store(path: Path, start: Student, trainer: Trainer) -> None:
    state = {
        "weights": dict(start.weights),
        "channels": dict(start.channels),
        "training": trainer.state(),
    }
    # To another name first, so that a killed command leaves the previous checkpoint whole.
    partial = path.with_name(path.name + ".part")
    torch.save(state, partial)
    partial.replace(path)


def _save(student: Student, path: Path) -> None:
    tensors = {}
    for layer, (kernel, bias) in student.weights.items():
        tensors[f"{layer}.weight"], tensors[f"{layer}.bias"] = kernel.half(), bias.half()
    safetensors.torch.save_file(tensors, path)


if __name__ == "__main__":
    sys.exit(main())
