"""The studio in a browser with scripts: refusals, drop and paste."""

from pathlib import Path

from playwright.sync_api import Route, expect

from tests.e2e.conftest import OpenPage
from tests.e2e.navigators import StudioPage
from tests.e2e.state import Person, encode, photo, style


def test_refused_upload(owner: Person, open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(owner, expects={422})
    studio = StudioPage(page)
    studio.open()
    studio.choose("Ink and wash")
    studio.strength.fill("35")
    studio.ask_for_draft()

    cut_off = tmp_path / "holiday.jpg"
    cut_off.write_bytes(encode(photo(640, 480), "JPEG")[:2000])
    studio.choose_photo_file(cut_off)
    expect(studio.alert("Photo")).to_have_text(
        "This picture is damaged or incomplete. Export or download it again."
    )
    expect(studio.on_easel("content")).to_have_count(0)

    # Sent all the same: now the server answers with the error.
    studio.order()
    expect(studio.alert("Photo")).to_have_text("Choose a photo, or upload one.")
    for _ in range(2):
        expect(studio.choice("Ink and wash")).to_be_checked()
        expect(studio.strength).to_have_value("35")
        expect(studio.size).to_have_value("256")
        expect(studio.option("Effort", "Draft")).to_be_checked()
        # A refused picture leaves the chosen one in place.
        studio.choose("Rocket at dusk")
        studio.choose_photo_file(cut_off)
        expect(studio.alert("Photo").filter(visible=True)).to_contain_text("damaged")
        expect(studio.on_easel("content")).to_have_attribute("alt", "Rocket at dusk")


def test_choice_before_the_script(owner: Person, open_page: OpenPage, tmp_path: Path) -> None:
    hill = tmp_path / "hill.png"
    hill.write_bytes(encode(photo(200, 150)))
    routes: list[Route] = []
    page = open_page(owner)
    page.route("**/studio.js*", lambda route: routes.append(route))
    with page.expect_request("**/studio.js*"):
        page.goto("/studio", wait_until="commit")
    studio = StudioPage(page)
    studio.choose_photo_file(hill)
    expect(studio.on_easel("content")).to_have_count(0)
    routes[0].continue_()
    expect(studio.on_easel("content")).to_have_attribute("alt", "hill")


def test_refused_style_beside_a_good_one(
    owner: Person, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page(owner, expects={422})
    studio = StudioPage(page)
    studio.open()
    good, empty = tmp_path / "stripes.png", tmp_path / "nothing.png"
    good.write_bytes(encode(style()))
    empty.write_bytes(b"")
    studio.choose_style_files(good, empty)
    expect(studio.alert("Style")).to_have_text(
        "nothing.png: This file is empty. Choose another picture."
    )
    expect(studio.on_easel("styles")).to_have_attribute("alt", "stripes")


def test_too_many_styles(owner: Person, open_page: OpenPage) -> None:
    page = open_page(owner)
    for color in ("red", "green"):
        owner.upload(style(color=color), f"Stripes in {color}", is_style=True)
    studio = StudioPage(page)
    studio.open()
    for title in ("Stripes in red", "Stripes in green", "Swirling night", "Stained glass"):
        studio.choose(title)
    expect(studio.on_easel("styles")).to_have_count(4)
    studio.choose("Ink and wash")
    expect(studio.choice("Ink and wash")).not_to_be_checked()
    expect(studio.alert("Style")).to_have_text("Choose at most 4 style pictures.")
    studio.choose("Swirling night")
    expect(studio.alert("Style")).to_have_count(0)


def test_drop_and_paste(owner: Person, open_page: OpenPage) -> None:
    page = open_page(owner)
    studio = StudioPage(page)
    studio.open()
    studio.drop("content", "harbor.png", encode(photo(200, 150)))
    expect(studio.on_easel("content")).to_have_attribute("alt", "harbor")
    studio.drop("styles", "tiles.png", encode(style(200, 150)))
    expect(studio.on_easel("styles")).to_have_attribute("alt", "tiles")
    # A pasted picture becomes the photo if there is none, else a style.
    studio.open()
    studio.paste("lake.png", encode(photo(220, 150)))
    expect(studio.on_easel("content")).to_have_attribute("alt", "lake")
    studio.paste("wool.png", encode(style(220, 150)))
    expect(studio.on_easel("styles")).to_have_attribute("alt", "wool")


def test_same_settings_again(owner: Person, open_page: OpenPage) -> None:
    painting_id = owner.painting(strength=0.2, effort="fine", seed=3, renditions=["styled"])
    page = open_page(owner)
    page.goto(f"/paintings/{painting_id}")
    page.get_by_role("link", name="Paint again with changes").click()
    studio = StudioPage(page)
    expect(studio.on_easel("content")).to_have_attribute("alt", "Hill")
    expect(studio.on_easel("styles")).to_have_attribute("alt", "Stripes")
    expect(studio.strength).to_have_value("20")
    expect(studio.option("Effort", "Fine")).to_be_checked()
    expect(studio.option("Colors", "From the style")).to_be_checked()
    expect(studio.seed).to_have_value("3")
