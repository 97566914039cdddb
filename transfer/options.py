"""The settings of a painting as arguments of the command line."""

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
                default=setting.write(getattr(kind, field)),
                choices=setting.choices,
                metavar=setting.metavar,
                help=setting.help,
            )


def parse_settings(options: argparse.Namespace, *, animation: bool) -> Settings:
    """Return what the parsed arguments ask for.

    Raises:
        InvalidSetting: if a value is out of range or unknown.
    """
    return Settings(
        **_values(Settings, options),
        animation=animation,
        advanced=AdvancedSettings(**_values(AdvancedSettings, options)),
    )


def parse_bytes(text: str) -> int:
    """An amount of memory such as ``2GB``, ``800 MB`` or ``2147483648``, in bytes.

    Raises:
        InvalidSetting: if it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", text.strip().lower())
    if found is None or (found[3] and not found[2]):
        raise InvalidSetting("max memory", "an amount such as 2GB or 800MB", text)
    base = 1024 if found[3] else 1000
    return int(float(found[1]) * base ** " kmgt".index(found[2] or " "))


def _values(kind: Any, options: argparse.Namespace) -> dict[str, Any]:
    words = {
        field: getattr(options, setting.name.replace(" ", "_"))
        for field, setting in settings_in(kind).items()
    }
    return read(kind, words)
