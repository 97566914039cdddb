import math
import subprocess
import sys
from typing import Any

import pytest

from transfer import Backbone, Effort, InvalidSetting, Rendition, Settings


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        ({"long_edge_px": 63}, "size"),
        ({"long_edge_px": 8193}, "size"),
        ({"long_edge_px": 512.0}, "size"),
        ({"long_edge_px": True}, "size"),
        ({"strength": -0.01}, "strength"),
        ({"strength": 1.01}, "strength"),
        ({"strength": math.nan}, "strength"),
        ({"strength": "strong"}, "strength"),
        ({"effort": "standard"}, "effort"),
        ({"backbone": "resnet"}, "backbone"),
        ({"renditions": ()}, "colors"),
        ({"renditions": ("styled",)}, "colors"),
        ({"renditions": (Rendition.STYLED, Rendition.STYLED)}, "colors"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"seed": 0.5}, "seed"),
    ],
)
def test_settings_outside_their_range_are_refused_by_name(
    change: dict[str, Any], setting: str
) -> None:
    with pytest.raises(InvalidSetting, match=rf"^{setting} must be .+, not .+\.$") as caught:
        Settings(**change)

    assert caught.value.setting == setting


def test_defaults_are_what_the_command_line_promises() -> None:
    settings = Settings()

    assert settings.long_edge_px == 512
    assert settings.effort is Effort.STANDARD
    assert settings.backbone is Backbone.AUTO
    assert settings.renditions == (Rendition.STYLED,)


def test_settings_and_errors_do_not_import_torch() -> None:
    code = (
        "import sys, transfer, transfer.settings, transfer.errors, transfer.pyramid;"
        "sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
