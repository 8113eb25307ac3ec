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


@pytest.mark.parametrize("number", ["0", "21", "x", "", "-1", "1" * 4400])
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


def test_columns_are_told_whatever_they_are_called(client: FlaskClient) -> None:
    table = b"Guest list\n\nWho;Job\nAda;Speaker\n;Guest\nBo\n"
    url = f"{URL}&bind[name]={{Who}}&ignore=Job".replace("=3", "=1")

    found = client.post(url, data=table, content_type="text/csv").get_json()
    blind = client.post(URL, data=b"Who,Job\nAda,Speaker\n", content_type="text/csv")

    assert found["columns"] == ["Who", "Job"]
    assert found["records"] == [
        {"row": 1, "line": 4, "cells": ["Ada", "Speaker"]},
        {"row": 2, "line": 5, "cells": ["", "Guest"]},
    ]
    assert [fault["row"] for fault in found["faults"]] == [2]
    assert blind.get_json()["columns"] == ["Who", "Job"]


def test_members_of_json_are_columns(client: FlaskClient) -> None:
    lines = b'{"name": "Ada", "seat": 7}\n{"name": "", "late": true}\n'

    found = client.post(
        f"{URL}&bind[role]={{seat|default:0}}",
        data=lines,
        content_type="application/x-ndjson",
    ).get_json()

    assert found["columns"] == ["name", "seat", "late"]
    assert [each["cells"] for each in found["records"]] == [
        ["Ada", "7", ""],
        ["", "", "true"],
    ]


def test_what_is_repeated_of_a_table_is_bounded(client: FlaskClient) -> None:
    names = ",".join(f"c{number}" for number in range(300))
    rows = "".join(f",{'x' * 1000}\n" for _ in range(300))

    answer = client.post(
        f"{URL}&bind[name]={{c0}}", data=f"{names}\n{rows}", content_type="text/csv"
    )

    found = answer.get_json()
    assert (len(found["faults"]), len(found["columns"])) == (100, 200)
    assert [each["row"] for each in found["records"]] == [*range(1, 101)]
    assert {len(each["cells"][1]) for each in found["records"]} == {200}
