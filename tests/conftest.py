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

# The files that take longest, of which none is to be begun last: see bin/test.
LONGEST = (
    "tests/cluster/test_cluster.py",
    "tests/openapi/test_conformance.py",
    "tests/test_benchmarks.py",
    "tests/test_collections_contract.py",
    "tests/production/test_bucket_leases.py",
    "tests/serving/test_worker.py",
    "tests/test_bin.py",
    "tests/test_soak.py",
    "tests/test_procfile_memory.py",
    "tests/jobs/test_workers.py",
    "tests/production/test_reloads.py",
    "tests/production/test_overload.py",
    "tests/production/test_damaged_store.py",
    "tests/production/test_bulk_processes.py",
    "tests/production/test_killed_workers.py",
    "tests/production/test_killed_jobs.py",
    "tests/test_equal_bytes.py",
    "tests/openapi/test_generated_client.py",
    "tests/access/test_quotas.py",
)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Begin with the files that take longest; all others stay as they are."""
    places = {config.rootpath / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


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
