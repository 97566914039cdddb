"""Which pictures an order names, be they uploaded with it or here already."""

from dataclasses import dataclass, field

from flask import request
from werkzeug.datastructures import FileStorage

from webapp.models import Picture
from webapp.uploads.library import find_choice, save_picture, validate_file
from webapp.uploads.validate import Upload, UploadRefused

MAX_STYLES = 4
SHARE = 50
"""Where the slider of a style's share begins: all styles count alike."""


@dataclass
class Selection:
    """What the form names as content or styles, and what is wrong with it."""

    is_style: bool
    admitted: list[Upload | Picture] = field(default_factory=list)
    shares: list[int] = field(default_factory=list)
    """How much each of the admitted counts, 0 to 100."""
    errors: list[str] = field(default_factory=list)
    status: int = 422

    def add_file(self, file: FileStorage) -> None:
        """Admit a file, or note why not."""
        try:
            self.admitted.append(validate_file(file))
            self.shares.append(SHARE)
        except UploadRefused as refusal:
            name = f"{file.filename}: " if self.is_style else ""
            self.errors.append(f"{name}{refusal}")
            if refusal.status == 413:
                self.status = 413

    def add_choice(self, value: str, share: int = SHARE) -> None:
        """Admit a picture that is already here, or note that it is not."""
        chosen = find_choice(value)
        if chosen is None:
            self.errors.append("This picture is no longer there. Choose another one.")
        else:
            self.admitted.append(chosen)
            self.shares.append(share)

    def kept(self) -> list[tuple[Picture, int]]:
        """Every admitted picture as a row, each once, and how much it counts."""
        found: dict[int, tuple[Picture, int]] = {}
        for item, share in zip(self.admitted, self.shares, strict=True):
            picture = (
                item if isinstance(item, Picture) else save_picture(item, is_style=self.is_style)
            )
            found[picture.id] = picture, share
        return list(found.values())


def read_content() -> Selection:
    """The photo, or what is wrong with it."""
    selection = Selection(is_style=False)
    file = request.files.get("content_file")
    value = request.form.get("content", "")
    if file is not None and file.filename:
        selection.add_file(file)
    elif value:
        selection.add_choice(value)
    else:
        selection.errors.append("Choose a photo, or upload one.")
    return selection


def read_styles() -> Selection:
    """The styles, or what is wrong with them."""
    selection = Selection(is_style=True)
    files = [file for file in request.files.getlist("style_files") if file.filename]
    values = list(dict.fromkeys(request.form.getlist("styles")))
    if not files and not values:
        selection.errors.append("Choose a style picture, or upload one.")
    elif len(files) + len(values) > MAX_STYLES:
        selection.errors.append(f"Choose at most {MAX_STYLES} style pictures.")
    else:
        for file in files:
            selection.add_file(file)
        for value in values:
            selection.add_choice(value, read_shares().get(value, SHARE))
        if selection.shares and not any(selection.shares):
            selection.errors.append("Give at least one style a share above 0.")
    return selection


def read_shares() -> dict[str, int]:
    """How much each chosen style counts, 0 to 100; what is unreadable as if it were not there."""
    return {
        value: min(max(request.form.get(f"share:{value}", SHARE, int), 0), 100)
        for value in request.form.getlist("styles")
    }
