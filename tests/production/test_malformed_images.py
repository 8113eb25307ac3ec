"""No malformed image is a fault of the server's, whichever way it comes in."""

from collections import Counter
from collections.abc import Iterator

import pytest

from benchmarks.malformed import SETTINGS, WAYS, send_all
from tests.gunicorn_server import Server, serve
from tests.malformed_images import SAMPLES, malformed


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(settings=SETTINGS) as running:
        yield running


@pytest.mark.parametrize("way", WAYS)
def test_a_malformed_image_is_never_a_500(server: Server, way: str) -> None:
    found = send_all(server, WAYS[way], malformed(8 * len(SAMPLES)))

    assert found.wrong == []
    seen = sum(found.statuses.values(), Counter())
    # Some are drawn in spite of it, and of a page nothing but the image is missing.
    assert seen[200] > 10
    assert seen[422] > 80 if WAYS[way].field else seen[422] == 0
    assert found.statuses.keys() == SAMPLES.keys()
    assert "Traceback" not in server.log.read_text()
