import argparse
from dataclasses import replace

import pytest

from transfer import AdvancedSettings, ColorMap, InvalidSetting, Pooling, Rendition, Settings, Start
from transfer.command_line import add_settings, parse_bytes, parse_settings
from transfer.settings import settings_in


def parse(words: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_settings(parser)
    return parse_settings(parser.parse_args(words.split()), animation=True)


def test_options_become_settings() -> None:
    words = "--style-weights 2,0.5 --brush-size 0.7 --smoothness 0.1"
    words += " --start content --color-map pca --content-weight 3"
    words += " --smoothness-weight 0 --style-layers relu1_1=2,relu3_1 --content-layer relu3_2"
    words += " --pooling average --evaluations 99"

    settings = parse(words)

    assert settings == Settings(
        style_weights=(2.0, 0.5),
        brush_size=0.7,
        smoothness=0.1,
        start=Start.CONTENT,
        color_map=ColorMap.PCA,
        animation=True,
        advanced=AdvancedSettings(
            content_weight=3.0,
            smoothness_weight=0.0,
            style_layers=(("relu1_1", 2.0), ("relu3_1", 1.0)),
            content_layer="relu3_2",
            pooling=Pooling.AVERAGE,
            evaluations=99,
        ),
    )
    assert parse("") == replace(Settings(), animation=True)


def test_lists_are_formatted_as_they_are_parsed() -> None:
    layers = (("relu1_1", 1.0), ("relu3_1", 0.25))
    renditions = (Rendition.LUMINANCE, Rendition.STYLED)
    values = {"style_layers": layers, "renditions": renditions, "style_weights": (2.0, 0.5)}
    annotations = {**settings_in(Settings), **settings_in(AdvancedSettings)}

    written = {name: annotations[name].format(value) for name, value in values.items()}

    assert written["style_layers"] == "relu1_1,relu3_1=0.25"
    assert {name: annotations[name].parse(words) for name, words in written.items()} == values


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        ("--style-weights 1;2", "style weights"),
        ("--style-weights 1,,2", "style weights"),
        ("--style-layers relu1_1=x", "style layers"),
        ("--style-layers relu1_1,", "style layers"),
        ("--colors styled,red", "colors"),
    ],
)
def test_malformed_lists_are_refused(words: str, setting: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        parse(words)

    assert caught.value.setting == setting


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2GB", 2_000_000_000),
        ("1.5 gb", 1_500_000_000),
        ("800M", 800_000_000),
        ("2GiB", 2 << 30),
        ("2147483648", 1 << 31),
    ],
)
def test_amounts_of_memory_are_parsed_as_people_write_them(text: str, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "much", "-2GB", "2XB", "GB", "1e9", "2iB", "nan"])
def test_malformed_amounts_of_memory_are_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match="an amount such as 2GB"):
        parse_bytes(text)
