"""A preview draws the worst rows, and says whatever is wrong with any."""

import base64
import io

import pytest
from flask.testing import FlaskClient
from PIL import Image

URL = "/collections?renderer=badge&preview=3"
TABLE = b"""name,role,company
Ada,Speaker,Acme
WOLFESCHLEGELSTEINHAUSEN,Guest,Acme
Grace Brewster Hopper of the Navy,Rear Admiral and computer scientist,US Navy
Bo,,
Jo,Guest,Acme
"""


def test_the_worst_rows_are_drawn(client: FlaskClient) -> None:
    answer = client.post(URL, data=TABLE, content_type="text/csv")

    found = answer.get_json()
    assert (answer.status_code, found["count"], found["faults"]) == (200, 5, [])
    assert [(row["row"], row["line"], row["why"]) for row in found["rows"]] == [
        (3, 4, "longest"),
        (4, 5, "emptiest"),
        (2, 3, "widest"),
    ]
    for row in found["rows"]:
        with Image.open(io.BytesIO(base64.b64decode(row["data"]))) as picture:
            assert picture.size == (row["width"], row["height"])


def test_all_that_is_wrong_is_said_beside_the_pictures(client: FlaskClient) -> None:
    table = b"name,shoe\nAda,1\n,2\nBo,3\n" + b"x" * 300 + b",4\n"

    found = client.post(URL, data=table, content_type="text/csv").get_json()

    assert [fault["row"] for fault in found["faults"]] == [2, 4]
    assert [row["row"] for row in found["rows"]] == [1, 3]
    assert found["warnings"] == ["a column that nothing uses passed over: shoe"]


def test_a_preview_keeps_nothing(client: FlaskClient) -> None:
    table = b"name\nNobody else\n"
    client.post(URL, data=table, content_type="text/csv")

    answer = client.post(
        "/collections?renderer=badge", data=table, content_type="text/csv"
    )

    assert answer.status_code == 201


@pytest.mark.parametrize("number", ["0", "21", "x", "", "-1"])
def test_how_many_rows_is_bounded(client: FlaskClient, number: str) -> None:
    url = URL.replace("=3", f"={number}")

    answer = client.post(url, data=TABLE, content_type="text/csv")

    assert (answer.status_code, answer.get_json()["field"]) == (422, "preview")


def test_a_picture_that_comes_along_is_drawn(client: FlaskClient) -> None:
    red = io.BytesIO()
    Image.new("RGB", (300, 300), "#ff0000").save(red, "PNG")
    red.seek(0)
    form = {
        "rows": (io.BytesIO(b"title,image\nA,red.png\n"), "rows.csv"),
        "image": (red, "red.png"),
    }

    answer = client.post("/collections?renderer=card&preview=1", data=form)

    row = answer.get_json()["rows"][0]
    with Image.open(io.BytesIO(base64.b64decode(row["data"]))) as picture:
        colors = dict((c, n) for n, c in picture.convert("RGB").getcolors(1 << 24))
    assert colors.get((255, 0, 0), 0) > 10_000


def test_what_was_assumed_is_said_with_every_delivery(client: FlaskClient) -> None:
    table = b"name,shoe\nAda,43\n"
    said = "a column that nothing uses passed over: shoe"

    kept = client.post(
        "/collections?renderer=badge", data=table, content_type="text/csv"
    )
    made = client.post(
        "/collections.zip?renderer=badge", data=table, content_type="text/csv"
    )

    assert kept.get_json()["warnings"] == [said]
    assert kept.headers["X-Media-Warnings"] == said
    assert made.headers["X-Media-Warnings"] == said
    made.close()
