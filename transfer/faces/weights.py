"""Weights of MTCNN's three networks, read from the data files of the wheel `mtcnn` (MIT).

The package itself is never imported: it would import TensorFlow.
"""

import hashlib
import io
from importlib import metadata
from pathlib import Path

import joblib
import numpy as np
import torch
from torch import Tensor

from transfer.errors import TransferError

SHA256 = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}
"""SHA-256 of each network's file in version 1.0.0 of the wheel."""


class FaceWeightsUnavailable(TransferError):
    """The weights of the face detector are missing, or not the ones that were expected."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Faces cannot be detected: {reason}")


def read_weights(network: str) -> list[Tensor]:
    """Return a network's arrays in the order of its layers, float32, as Keras lays them out.

    A convolution has a kernel (height, width, in, out), a bias (out,) and the slopes of its PReLU
    (1, 1, out); a dense layer has a matrix (in, out), a bias (out,) and, unless it is an output,
    slopes (out,).

    Args:
        network: one of the names in `SHA256`.

    Raises:
        FaceWeightsUnavailable: if the wheel is not installed, or its file is not the known one.
    """
    try:
        content = _path(network).read_bytes()
    except (metadata.PackageNotFoundError, OSError):
        raise FaceWeightsUnavailable(
            "the package mtcnn 1.0.0, which carries the weights, is not installed or lacks its "
            f"file {network}.lz4; install mtcnn 1.0.0 again."
        ) from None
    # Unpickling runs code of the file's choice, so only the known file may get there.
    if hashlib.sha256(content).hexdigest() != SHA256[network]:
        raise FaceWeightsUnavailable(
            f"the file {network}.lz4 in the package mtcnn is not the known one; install mtcnn "
            "1.0.0."
        )
    arrays = joblib.load(io.BytesIO(content))
    return [torch.from_numpy(np.asarray(array, dtype=np.float32)) for array in arrays]


def _path(network: str) -> Path:
    # By the distribution's list of files: importing mtcnn would import TensorFlow.
    distribution = metadata.distribution("mtcnn")
    return Path(str(distribution.locate_file(f"mtcnn/assets/weights/{network}.lz4")))
