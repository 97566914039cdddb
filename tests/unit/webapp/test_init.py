from pathlib import Path

import pytest
from flask import Flask
from flask.cli import NoAppException

from tests.unit.webapp.client import Browser
from tests.unit.webapp.conftest import MakeApp
from webapp import create_app, security
from webapp.views.forms import MAX_STYLES


def test_application_without_settings_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    # A site may run in this checkout: its folder has the address.
    monkeypatch.setenv("PIC2PAINT_INSTANCE", str(tmp_path))

    with pytest.raises(NoAppException, match=r"REDIS_URL is not set.*\.$"):
        create_app()


def test_settings_are_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, make_app: MakeApp
) -> None:
    expected = make_app().config["PIC2PAINT"]
    monkeypatch.setenv("REDIS_URL", expected.redis_url)
    monkeypatch.setenv("SECRET_KEY", expected.secret_key)
    monkeypatch.setenv("PIC2PAINT_INSTANCE", str(expected.instance_dir))

    config = create_app().config["PIC2PAINT"]

    assert config.instance_dir == expected.instance_dir
    assert config.secret_key == expected.secret_key


@pytest.mark.parametrize(
    ("path", "pictures"), [("/studio", 1 + MAX_STYLES), ("/pictures", 1), ("/theme", 0)]
)
def test_only_forms_with_pictures_may_be_large(
    app: Flask, ada: Browser, path: str, pictures: int
) -> None:
    limit = security.FORM_BYTES + pictures * app.config["PIC2PAINT"].max_upload_bytes
    for size_bytes, is_refused in ((limit, False), (limit + 1, True)):
        response = ada.client.post(
            path,
            data=b"",
            content_type="multipart/form-data; boundary=x",
            environ_overrides={"CONTENT_LENGTH": str(size_bytes)},
        )
        assert (response.status_code == 413) == is_refused


def test_templates_refuse_undefined_names(app: Flask) -> None:
    with app.app_context(), pytest.raises(Exception, match="'nothing' is undefined"):
        app.jinja_env.from_string("{{ nothing }}").render()
