"""What a job makes in any form has the bytes of the request without a job."""

import io
from typing import Any

import pytest
from flask.testing import FlaskClient
from pypdf import PdfReader

from tests.jobs.apps import ASYNC, Open, close, ended, hold, rows

COUNT = 60
LABELS: dict[str, Any] = {
    "renderer": "address-label",
    "items": [{"name": f"Guest {n}", "lines": "1 Road\nTown"} for n in range(COUNT)],
}
CARDS: dict[str, Any] = {
    "renderer": "place-card",
    "items": [{"name": f"Guest {n}"} for n in range(COUNT)],
}
SHEETS = (
    (CARDS, "sheet[page]=A4&sheet[grid]=2x4&sheet[duplex]=long"),
    (CARDS, "sheet[bleed]=2mm&sheet[marks]=crop&sheet[gap]=6mm"),
    (CARDS, "sheet[page]=Letter landscape&sheet[fold]=top&sheet[marks]=cut"),
    (CARDS, "sheet[preset]=avery-l7163"),
)


def made(client: FlaskClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(path, json=body, headers=ASYNC)
    assert answer.status_code == 202, answer.text
    job = ended(client, answer.headers["Location"])
    assert job["state"] == "succeeded"
    return job


@pytest.mark.parametrize(("body", "options"), SHEETS, ids=lambda each: str(each)[:40])
def test_a_print_sheet_of_a_job_is_that_of_the_request(
    open_app: Open, body: dict[str, Any], options: str
) -> None:
    client = open_app().test_client()
    path = f"/collections.pdf?{options}"
    here = client.post(path, json=body)
    assert here.status_code == 200, here.text

    job = made(client, path, body)

    there = client.get(job["links"]["archive"])
    assert there.data == here.data
    assert 3 < len(PdfReader(io.BytesIO(there.data)).pages) < COUNT


@pytest.mark.parametrize("drawn", ["zip", "json", "ndjson"])
def test_a_job_is_to_be_had_in_each_form_of_its_images(
    open_app: Open, drawn: str
) -> None:
    client = open_app().test_client()
    # With facts, and of two formats of text: what they tell is part of the bytes.
    body = rows(40) | {"items": [*rows(40)["items"], {"seed": "\u00e9\U0001f600"}]}
    here = {
        form: client.post(f"/collections.{form}", json=body).data
        for form in ("zip", "json", "ndjson")
    }

    job = made(client, f"/collections.{drawn}", body)

    place = job["links"]["self"]
    for form, data in here.items():
        assert client.get(f"{place}/archive.{form}").data == data


def test_a_pdf_is_to_be_had_on_other_sheets_of_its_images(open_app: Open) -> None:
    client = open_app().test_client()
    options = "sheet[page]=A4&sheet[grid]=2x4"
    here = client.post(f"/collections.pdf?{options}", json=CARDS).data

    place = made(client, "/collections.pdf", CARDS)["links"]["self"]

    assert client.get(f"{place}/archive.pdf?{options}").data == here
    # What it would be too late to say when the answer has begun.
    for asked in (f"{place}/archive.pdf?sheet[page]=20mm x 20mm",):
        bad = client.get(asked)
        assert bad.status_code == 422
        assert bad.get_json()["type"] == "/problems/bad-parameter"
        assert client.head(asked).status_code == 422


def test_images_without_bleed_are_not_shown_with_it(open_app: Open) -> None:
    client = open_app().test_client()
    bleed = "sheet[bleed]=2mm&sheet[gap]=6mm"
    without = made(client, "/collections.pdf", CARDS)["links"]["self"]
    with_it = made(client, f"/collections.pdf?{bleed}", CARDS)["links"]["self"]

    refused = client.get(f"{without}/archive.pdf?{bleed}")
    other = client.get(f"{with_it}/archive.pdf?sheet[page]=A4")

    assert (refused.status_code, other.status_code) == (404, 404)
    assert "without bleed" in refused.get_json()["detail"]
    assert "with bleed" in other.get_json()["detail"]


def test_a_row_that_failed_breaks_a_pdf_visibly(open_app: Open) -> None:
    """A form that has no place for a failure is never short of a page in silence."""
    items = [{"width": side, "height": 40} for side in (40, 60, 40)]
    first = open_app()
    hold(first)
    answer = first.test_client().post(
        "/collections.pdf", json={"renderer": "solid", "items": items}, headers=ASYNC
    )
    lower = open_app(max_side=50)
    lower.extensions["mimeo.jobs"].start()
    job = ended(lower.test_client(), answer.headers["Location"])
    client = lower.test_client()

    with pytest.raises(Exception, match="Image 2"):
        client.get(job["links"]["archive"])

    close(lower)
    again = open_app().test_client()
    retry = again.post(f"{job['links']['self']}/retry").headers["Location"]
    whole = ended(again, retry)
    pdf = again.get(whole["links"]["archive"]).data
    assert len(PdfReader(io.BytesIO(pdf)).pages) == 3
