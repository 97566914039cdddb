from pathlib import Path

import pytest

from transfer.faces import weights
from transfer.faces.weights import SHA256, FaceWeightsUnavailable, read_weights


def test_arrays_have_the_shapes_of_the_layers() -> None:
    shapes = {name: [tuple(array.shape) for array in read_weights(name)] for name in SHA256}

    assert shapes["pnet"][:3] == [(3, 3, 3, 10), (10,), (1, 1, 10)]
    assert shapes["pnet"][-4:] == [(1, 1, 32, 4), (4,), (1, 1, 32, 2), (2,)]
    assert shapes["rnet"][9:] == [(576, 128), (128,), (128,), (128, 4), (4,), (128, 2), (2,)]
    assert shapes["onet"][12:15] == [(1152, 256), (256,), (256,)]
    assert shapes["onet"][15::2] == [(256, 4), (256, 10), (256, 2)]


@pytest.mark.parametrize("is_there", [False, True])
def test_missing_or_other_file_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    monkeypatch.setattr(weights, "_path", lambda network: tmp_path / f"{network}.lz4")
    if is_there:
        # A pickle that would leave a file behind if it were loaded.
        trap = f"cposix\nsystem\n(S'touch {tmp_path / 'sprung'}'\ntR."
        (tmp_path / "pnet.lz4").write_text(trap)

    with pytest.raises(FaceWeightsUnavailable) as error:
        read_weights("pnet")

    assert "pnet.lz4" in str(error.value)
    assert ("not the known one" if is_there else "not installed") in str(error.value)
    assert str(error.value).startswith("Faces cannot be detected: ")
    assert not (tmp_path / "sprung").exists()
