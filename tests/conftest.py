"""Parts that many tests share: settings, one catalogue, one client."""

import base64
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings as hypothesis_settings
from PIL import Image

from app import create_app
from app.access.caller import CALLER, Caller
from app.config import Settings
from app.renderer.catalogue import Catalogue

# How long an example takes says more of the machine's other work than of ours.
hypothesis_settings.register_profile("mimeo", deadline=None)
hypothesis_settings.load_profile("mimeo")


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's cache folder for as long as the tests run, servers' too."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def operator() -> None:
    """A client in this process leaves its caller behind, for the next test."""
    CALLER.set(Caller("local"))


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Defaults, with a store of the session's own and packaged fonts only."""
    folder = tmp_path_factory.mktemp("store")
    own = Settings(store=str(folder), system_fonts=False, access_log=False)
    # As under `mimeo serve`: tests of access say otherwise.
    return replace(own, local_callers=True)


@pytest.fixture(scope="session")
def catalogue(settings: Settings) -> Catalogue:
    """All renderers; building them takes a moment."""
    return Catalogue(settings)


@pytest.fixture(scope="session")
def app(settings: Settings) -> Iterator[Flask]:
    """The app in this process."""
    made = create_app(settings)
    yield made
    made.extensions["mimeo"].close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client without a server; `tests.gunicorn_server` has one with."""
    return app.test_client()


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return Path(__file__).parent.parent


@pytest.fixture(scope="session")
def png() -> Callable[[int, int], str]:
    """Makes a PNG of a size, as the data URI that a parameter takes."""

    def make(width: int, height: int) -> str:
        buffer = io.BytesIO()
        Image.new("RGB", (width, height), "teal").save(buffer, "PNG")
        encoded = base64.b64encode(buffer.getvalue()).decode()
        return f"data:image/png;base64,{encoded}"

    return make
