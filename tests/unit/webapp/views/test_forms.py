"""Every setting is in the form, the table, the options and the page of a painting."""

import argparse
from dataclasses import fields, replace
from itertools import count

import hypothesis
import hypothesis.strategies as st
import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.datastructures import MultiDict
from wtforms import SelectField

from tests.unit.webapp import rows
from tests.unit.webapp.client import Browser, words
from tests.unit.webapp.conftest import make_painting
from transfer.command_line import add_settings
from transfer.settings import AdvancedSettings, Settings, settings_in
from webapp.extensions import db
from webapp.models import SETTING_COLUMNS, Painting
from webapp.orders import place
from webapp.views.forms import Control, StudioForm

NOT_OF_THE_SITE = {
    "style_weights": "a slider beside each style, and a column beside each style of a painting",
    "color_map": "for whoever compares them by the command line",
    "animation": "one is made of every painting",
    "advanced": "for whoever knows the engine, by the command line",
}
NOT_AN_OPTION = {
    "animation": "--animation says into which file, too",
    "advanced": "its fields are options",
}
NOT_ON_THE_PAGE = {
    "renditions": "each is a picture there",
    "smoothness": "`Paint again with changes` shows it",
    "start": "`Paint again with changes` shows it",
    "seed": "`Paint again with changes` shows it",
}


def field_names(kind: type, *without: dict[str, str]) -> set[str]:
    """Return the names of a class's fields, without the exceptions."""
    return {field.name for field in fields(kind)}.difference(*without)


def make_form(settings: Settings | None = None) -> StudioForm:
    return StudioForm(formdata=None, obj=settings, meta={"csrf": False})


def send_form(values: dict[str, str]) -> StudioForm:
    form = StudioForm(formdata=MultiDict(values), meta={"csrf": False})
    assert form.validate(), form.errors
    return form


def sendable_values(control: Control) -> st.SearchStrategy[str]:
    """Return a strategy for everything that a browser may send of a control."""
    if isinstance(control, SelectField):
        return st.sampled_from([value for value, *_ in control.iter_choices()])
    return st.integers(control.flags.min, control.flags.max).map(str)


def last_value(control: Control) -> str:
    """Return a value that is far from the default."""
    if isinstance(control, SelectField):
        return [str(value) for value, *_ in control.iter_choices()][-1]
    low, high = control.flags.min, control.flags.max
    return str(low if control.data == high else high)


def test_every_setting_is_on_the_form(site: Flask) -> None:
    assert set(make_form().controls) == field_names(Settings, NOT_OF_THE_SITE)


def test_every_setting_has_a_column() -> None:
    assert set(SETTING_COLUMNS) == field_names(Settings, NOT_OF_THE_SITE)


@pytest.mark.parametrize("kind", [Settings, AdvancedSettings])
def test_every_setting_is_an_option(kind: type) -> None:
    parser = argparse.ArgumentParser()
    add_settings(parser)
    offered = parser.format_help()

    options = {
        field: setting.name.replace(" ", "-") for field, setting in settings_in(kind).items()
    }
    present = {field for field, option in options.items() if f"\n  --{option} " in offered}
    assert present == field_names(kind, NOT_AN_OPTION)


def test_every_control_is_in_the_studio(ada: Browser, app: Flask) -> None:
    page = ada.page("/studio")

    with app.app_context():
        controls = make_form().controls.values()
    for control in controls:
        element = page.by_id(f"{control.id}-0" if control.type == "RadioControl" else control.id)
        assert element.get("name") == control.name
        assert control.label.text in page.text
        assert all(end in page.text for end in control.ends)


def test_every_setting_is_on_the_page_of_a_painting(ada: Browser, app: Flask) -> None:
    with app.app_context():
        controls = make_form().controls
        sent = {control.name: last_value(control) for control in controls.values()}
        settings = send_form(sent).to_settings()
    values = {column: getattr(settings, name) for name, column in SETTING_COLUMNS.items()}

    page = ada.page(f"/paintings/{make_painting(ada, **values)}")

    facts = [words(fact) for fact in page.all("dt")]
    on_page = {name for name, control in controls.items() if control.label.text in facts}
    assert on_page == field_names(Settings, NOT_OF_THE_SITE, NOT_ON_THE_PAGE)


def test_default_settings_are_not_on_the_page_of_a_painting(ada: Browser) -> None:
    page = ada.page(f"/paintings/{make_painting(ada, strength=0.85, effort='fine')}")

    facts = [words(fact) for fact in page.first("dl", class_="facts").iter("div")]
    assert facts[:3] == ["Size96 × 64 px", "Strength85 of 100", "EffortFine"]
    assert facts[3].startswith("Ordered")


def test_settings_are_the_same_in_form_and_row(site: Flask) -> None:
    user_id = rows.make_user("ada")
    picture_id = rows.make_painting(user_id).content_id
    keys = count()

    def find_painting(order: place.PlacedOrder) -> Painting:
        query = select(Painting).where(Painting.public_id == order.public_id)
        return db.session.scalars(query).one()

    controls = make_form().controls.values()
    everything = st.fixed_dictionaries(
        {control.name: sendable_values(control) for control in controls}
    )

    # No shrinking, which would order thousands of paintings.
    phases = [hypothesis.Phase.generate]

    @hypothesis.settings(derandomize=True, deadline=None, max_examples=50, phases=phases)
    @hypothesis.given(everything)
    def check(sent: dict[str, str]) -> None:
        form = send_form(sent)
        settings = replace(form.to_settings(), style_weights=(0.5,))

        order = place.place(
            user_id, f"{next(keys)}", [(picture_id, 0.5)], settings, content_id=picture_id
        )
        first = find_painting(order)
        again = find_painting(place.repeat(first, f"{next(keys)}"))
        assert first.settings == again.settings == settings
        assert first.id != again.id

        shown = make_form(first.settings).controls
        assert {name: control() for name, control in shown.items()} == {
            name: control() for name, control in form.controls.items()
        }

    check()


def test_empty_field_has_its_default(site: Flask) -> None:
    sent = {"strength": "50", "seed": "0", "brush": "", "smoothness": ""}

    settings = send_form(sent).to_settings()

    assert (settings.brush_size, settings.smoothness) == (1.0, 0.5)
    assert send_form({"strength": "50", "seed": "0"}).to_settings() == settings
