import math
import subprocess
import sys
from typing import Any

import pytest

from transfer import (
    AdvancedSettings,
    Backbone,
    ColorMap,
    Effort,
    InvalidSetting,
    Pooling,
    Rendition,
    Settings,
    Start,
)
from transfer.backbones.vgg import CONVOLUTIONS
from transfer.settings import LAYERS


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
        ({"renditions": [Rendition.STYLED]}, "colors"),
        ({"style_weights": (0, 0.0)}, "style weights"),
        ({"style_weights": (1, -1)}, "style weights"),
        ({"style_weights": (1, math.nan)}, "style weights"),
        ({"style_weights": (1, math.inf)}, "style weights"),
        ({"style_weights": (1, "2")}, "style weights"),
        ({"style_weights": 1.0}, "style weights"),
        ({"brush_size": 0.49}, "brush size"),
        ({"brush_size": 2.01}, "brush size"),
        ({"brush_size": math.nan}, "brush size"),
        ({"brush_size": None}, "brush size"),
        ({"smoothness": -0.1}, "smoothness"),
        ({"smoothness": 1.1}, "smoothness"),
        ({"smoothness": True}, "smoothness"),
        ({"start": "noise"}, "start"),
        ({"color_map": "pca"}, "color map"),
        ({"animation": 1}, "animation"),
        ({"advanced": None}, "advanced"),
    ],
)
def test_settings_outside_their_range_are_refused_by_name(
    change: dict[str, Any], setting: str
) -> None:
    with pytest.raises(InvalidSetting, match=rf"^{setting} must be .+, not .+\.$") as caught:
        Settings(**change)

    assert caught.value.setting == setting


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        ({"content_weight": -0.1}, "content weight"),
        ({"content_weight": math.nan}, "content weight"),
        ({"content_weight": math.inf}, "content weight"),
        ({"content_weight": "1"}, "content weight"),
        ({"smoothness_weight": -1}, "smoothness weight"),
        ({"smoothness_weight": 1e7}, "smoothness weight"),
        ({"style_layers": ()}, "style layers"),
        ({"style_layers": None}, "style layers"),
        ({"style_layers": ("relu1_1",)}, "style layers"),
        ({"style_layers": (("relu1_1", 1.0), ("relu1_1", 2.0))}, "style layers"),
        ({"style_layers": (("conv1_1", 1.0),)}, "style layers"),
        ({"style_layers": (("relu1_1", 0.0), ("relu2_1", 0.0))}, "style layers"),
        ({"style_layers": (("relu1_1", 1.0), ("relu2_1", -1.0))}, "style layers"),
        ({"style_layers": (("relu1_1", math.nan),)}, "style layers"),
        ({"content_layer": "relu5_2"}, "content layer"),
        ({"content_layer": 22}, "content layer"),
        ({"pooling": "average"}, "pooling"),
        ({"evaluations": 9}, "evaluations"),
        ({"evaluations": 10_001}, "evaluations"),
        ({"evaluations": 100.0}, "evaluations"),
    ],
)
def test_advanced_settings_outside_their_range_are_refused_by_name(
    change: dict[str, Any], setting: str
) -> None:
    with pytest.raises(InvalidSetting, match=rf"^{setting} must be .+, not .+\.$") as caught:
        AdvancedSettings(**change)

    assert caught.value.setting == setting


def test_every_setting_can_be_at_its_limits() -> None:
    advanced = AdvancedSettings(
        content_weight=0,
        smoothness_weight=1e6,
        style_layers=(("relu5_1", 1), ("relu1_2", 0.0)),
        content_layer="relu1_1",
        pooling=Pooling.AVERAGE,
        evaluations=10_000,
    )
    settings = Settings(
        style_weights=(0, 1e6),
        brush_size=2,
        smoothness=1,
        start=Start.NOISE,
        color_map=ColorMap.CHOLESKY,
        animation=True,
        advanced=advanced,
    )

    assert hash(settings) == hash(settings)


def test_layers_are_those_of_the_backbones() -> None:
    convolutions = [name for stage in CONVOLUTIONS for name in stage]

    assert [name.replace("conv", "relu") for name in convolutions] == list(LAYERS)


def test_defaults_are_what_the_command_line_promises() -> None:
    settings = Settings()

    assert settings.long_edge_px == 512
    assert settings.effort is Effort.STANDARD
    assert settings.backbone is Backbone.AUTO
    assert settings.renditions == (Rendition.STYLED,)


def test_settings_and_errors_do_not_import_torch() -> None:
    code = (
        "import sys, transfer, transfer.settings, transfer.errors, transfer.planning.pyramid;"
        "sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
