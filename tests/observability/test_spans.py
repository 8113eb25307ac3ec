"""The phases of a request have the same names in header and figures."""

import re
import time
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from app import create_app
from app.config import Settings
from app.observability import metrics, spans
from tests.observability.test_metrics import read
from tests.test_services import serving
from tests.upstream.pictures import PNG
from tests.upstream.wire_forms import Form


def counts() -> dict[str, float]:
    text = metrics.exposition().decode()
    return {
        phase: read(text, f'mimeo_phase_seconds_count{{phase="{phase}"}}')
        for phase in metrics.PHASES
    }


def timing(header: str) -> tuple[str, dict[str, float]]:
    """Take a Server-Timing apart: its source, and milliseconds by phase."""
    source, *rest = header.split(", ")
    found = dict(each.split(";dur=") for each in rest)
    return source, {name: float(value) for name, value in found.items()}


@pytest.fixture
def own(tmp_path) -> Iterator[FlaskClient]:
    settings = Settings(
        store=str(tmp_path), system_fonts=False, access_log=False, local_callers=True
    )
    with serving(Form(PNG, "image/png", (), "binary")) as service:
        app = create_app(settings, {"AI_SERVICE_URL": service.url})
        yield app.test_client()
        app.extensions["mimeo"].close()


def test_a_picture_that_is_drawn_has_its_phases_in_header_and_figures(own) -> None:
    before = counts()
    answer = own.get("/images/card.png?title=%C5%BDi%C5%BEkov")
    after = counts()

    source, phases = timing(answer.headers["Server-Timing"])
    assert source == "miss"
    assert list(phases) == ["queue", "fonts", "draw", "encode", "store"]
    assert phases["draw"] > 0
    grown = {phase: after[phase] - before[phase] for phase in after}
    # The store is looked into twice, the second time under the lock, and written.
    assert grown == {**dict.fromkeys(phases, 1), "fetch": 0, "store": 3}


def test_a_picture_of_the_store_has_that_phase_alone(own) -> None:
    own.get("/images/card.png?title=Twice")

    answer = own.get("/images/card.png?title=Twice")

    source, phases = timing(answer.headers["Server-Timing"])
    assert (source, list(phases)) == ("hit", ["store"])


def test_a_picture_without_text_chooses_no_fonts(own) -> None:
    answer = own.get("/images/solid.png?width=7")

    assert "fonts" not in timing(answer.headers["Server-Timing"])[1]


def test_what_a_service_makes_is_fetched(own) -> None:
    answer = own.get("/images/ai-service.png?prompt=fox")

    source, phases = timing(answer.headers["Server-Timing"])
    assert source == "miss"
    assert "fetch" in phases and "draw" not in phases


def test_one_request_has_no_phases_of_the_one_before(own) -> None:
    own.get("/images/card.png?title=Before")
    own.get("/renderers")

    assert spans.seen() == {}


def test_images_of_a_collection_are_in_the_figures(own) -> None:
    rows = {"renderer": "badge", "items": [{"name": f"Ann {n}"} for n in range(4)]}
    before = counts()

    answer = own.post("/collections.zip", json=rows)
    assert answer.status_code == 200 and answer.data
    answer.close()

    after = counts()
    assert after["draw"] - before["draw"] == 4
    assert after["encode"] - before["encode"] == 4


def test_the_phases_of_a_drawing_are_parts_of_its_time(own) -> None:
    started = time.perf_counter()
    answer = own.get("/images/card.png?title=Parts&scale=2")
    whole_ms = (time.perf_counter() - started) * 1000

    phases = timing(answer.headers["Server-Timing"])[1]
    # Rounded to a tenth each.
    assert sum(phases.values()) <= whole_ms + 0.1 * len(phases)


def test_a_phase_that_fails_is_noted() -> None:
    spans.begin()
    with pytest.raises(ZeroDivisionError), spans.span("store"):
        raise ZeroDivisionError

    assert list(spans.seen()) == ["store"]


def test_the_header_is_as_its_standard_says(own) -> None:
    header = own.get("/images/solid.png?width=8").headers["Server-Timing"]

    # W3C Server Timing, section 3: a token, and `dur` in milliseconds.
    assert re.fullmatch(r"\w+(, \w+;dur=\d+\.\d)+", header)
