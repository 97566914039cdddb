"""Settings of a painting as options of the command line."""

import argparse
import re
from typing import Any

from transfer.errors import InvalidSetting
from transfer.settings import AdvancedSettings, Settings, read, settings_in


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add an option for each setting, with its default."""
    experts = parser.add_argument_group("for experts")
    for group, kind in ((parser, Settings), (experts, AdvancedSettings)):
        for field, setting in settings_in(kind).items():
            group.add_argument(
                f"--{setting.name.replace(' ', '-')}",
                type=setting.type,
                default=setting.format(getattr(kind, field)),
                choices=setting.choices,
                metavar=setting.metavar,
                help=setting.help,
            )


def parse_settings(options: argparse.Namespace, *, animation: bool) -> Settings:
    """Return the settings of parsed options.

    Raises:
        InvalidSetting: if a value is out of range or unknown.
    """
    return Settings(
        **_values(Settings, options),
        animation=animation,
        advanced=AdvancedSettings(**_values(AdvancedSettings, options)),
    )


def parse_bytes(text: str) -> int:
    """Return the bytes of an amount of memory such as ``2GB``, ``800 MB`` or ``2147483648``.

    Raises:
        InvalidSetting: if the text is no such amount.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", text.strip().lower())
    if match is None or (match[3] and not match[2]):
        raise InvalidSetting("max memory", "an amount such as 2GB or 800MB", text)
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** " kmgt".index(match[2] or " "))


def _values(kind: Any, options: argparse.Namespace) -> dict[str, Any]:
    options_by_field = {
        field: getattr(options, setting.name.replace(" ", "_"))
        for field, setting in settings_in(kind).items()
    }
    return read(kind, options_by_field)
