"""Invoices: a table over pages, alone, in collections and on the command line."""

import csv
import io
import json
import random
from contextlib import closing
from decimal import Decimal
from typing import Any

import pypdfium2
import pytest
from flask.testing import FlaskClient
from PIL import Image

from app.config import Settings
from app.image_request import from_strings
from app.renderer.catalogue import Catalogue
from app.renderer.produce import produce
from app.renderer.template.template import Template
from app.renderer.template.template_files import read_files
from tests.renderer.test_templates_gallery import (
    ENGINE,
    FOLDER,
    LIMITS,
    TEXTS,
    check,
)

TWO = [
    {"description": "Badges", "quantity": 3, "price": 1.005},
    {"description": "Rebate", "price": -0.5},
]
INVOICE = Template(read_files(FOLDER / "invoice"), ENGINE, LIMITS)


def many(count: int, seed: int = 1) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    return [
        {
            "description": f"Item {number:03} " + "and so on " * chance.randrange(12),
            "quantity": chance.choice([1, 2, 2.5, 250]),
            "price": chance.choice([0.84, 1200, 33.333, -5]),
        }
        for number in range(count)
    ]


def pdf(client: FlaskClient, **body: Any) -> bytes:
    answer = client.post("/images/invoice.pdf", json={"number": "7", **body})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.data


def words(data: bytes) -> list[str]:
    """Return what is written on each page, as PDFium reads it."""
    # pypdf reads the same, in sixty times the time.
    with closing(pypdfium2.PdfDocument(data)) as pages:
        texts = [page.get_textpage().get_text_bounded() for page in pages]
    return [" ".join(text.split()) for text in texts]


def test_amounts_are_rounded_line_by_line_and_add_up(client: FlaskClient) -> None:
    [text] = words(pdf(client, items=TWO, tax=19, currency="EUR"))

    for shown in ("€3.02", "-€0.50", "€2.52", "19 %", "€0.48", "€3.00"):
        assert shown in text.replace("\N{MINUS SIGN}", "-")


def test_every_item_is_on_one_page_of_the_pdf(client: FlaskClient) -> None:
    items = many(120)

    pages = words(pdf(client, items=items))

    assert len(pages) > 4
    found = [word for page in pages for word in page.split() if len(word) == 3]
    numbers = [word for word in found if word.isdigit() and word != "250"]
    assert numbers == [f"{number:03}" for number in range(120) if number != 250]
    assert [page.count("Total") for page in pages] == [0] * (len(pages) - 1) + [1]
    for number, page in enumerate(pages, 1):
        assert f"{number} / {len(pages)}" in page


def test_the_sum_is_that_of_all_pages(client: FlaskClient) -> None:
    items = many(60)
    cent = Decimal("0.01")
    total = sum(
        (Decimal(str(each["price"])) * Decimal(str(each["quantity"]))).quantize(cent)
        for each in items
    )

    pages = words(pdf(client, items=items, currency="USD"))

    assert f"${total:,}" in pages[-1]


def test_an_image_is_of_the_first_page_and_says_so(client: FlaskClient) -> None:
    body = {"number": "7", "items": many(60)}
    first = client.post("/images/invoice.png", json=body)
    same, last = (
        client.post("/images/invoice.png", json={**body, "page": page})
        for page in (1, 3)
    )

    assert "page: this is the first of 4" in first.headers["X-Media-Warnings"]
    assert "X-Media-Warnings" not in same.headers
    assert first.data == same.data != last.data
    assert Image.open(io.BytesIO(last.data)).size == (794, 1123)


def test_one_page_of_the_pdf_can_be_had(client: FlaskClient) -> None:
    body = {"items": many(60)}

    third = words(pdf(client, **body, page=3))

    assert third == [words(pdf(client, **body))[2]]


def test_a_page_that_is_not_there_is_named(client: FlaskClient) -> None:
    answer = client.post(
        "/images/invoice.png", json={"number": "7", "items": TWO, "page": 2}
    )

    assert answer.status_code == 422
    assert answer.json["errors"] == [
        {"field": "page", "reason": "is 2, and the last one is 1"}
    ]


def test_all_spellings_of_items_are_one_image(client: FlaskClient) -> None:
    table = "description;quantity;price\nBadges;3;1.005\nRebate;;-0.5"
    spelt = (json.dumps(TWO), table)
    answers = [
        client.post("/images/invoice.png", json={"number": "7", "items": TWO}),
        *(
            client.get("/images/invoice.png", query_string={"number": 7, "items": each})
            for each in spelt
        ),
    ]

    assert len({answer.headers["ETag"] for answer in answers}) == 1
    described = client.post(
        "/images/invoice",
        json={"number": "7", "items": TWO},
        headers={"Accept": "application/json"},
    )
    pinned = client.get(described.json["url"])
    assert pinned.headers["ETag"] == answers[0].headers["ETag"]
    assert "immutable" in pinned.headers["Cache-Control"]


def test_a_fault_in_a_row_is_named(client: FlaskClient) -> None:
    items = [*TWO, {"description": "Tea", "price": "dear"}]

    answer = client.post("/images/invoice.png", json={"number": "7", "items": items})

    [error] = answer.json["errors"]
    assert error["field"] == "items"
    assert error["reason"].startswith("row 3, price: ")


def test_a_collection_has_all_pages_of_all_invoices(client: FlaskClient) -> None:
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["number", "buyer", "items"])
    for number, count in enumerate((2, 60, 1)):
        rows.writerow([f"N{number}", f"Buyer {number}", json.dumps(many(count))])
    with client.post(
        "/collections.pdf?renderer=invoice",
        data=table.getvalue().encode(),
        content_type="text/csv",
    ) as answer:
        pages = words(answer.data)

    assert len(pages) == 6
    owners = [page.split("/")[0].split()[-2] for page in pages]
    assert owners == sorted(owners)
    assert [page.count("Buyer") for page in pages] == [1, 1, 0, 0, 0, 1]


def test_pages_of_a_collection_lie_on_sheets(client: FlaskClient) -> None:
    rows = [{"number": "A", "items": many(60)}, {"number": "B", "items": TWO}]
    with client.post(
        "/collections.pdf",
        json={"renderer": "invoice", "items": rows, "sheet": {"grid": "2x2"}},
    ) as answer:
        assert answer.status_code == 200, answer.get_data(as_text=True)
        pages = words(answer.data)

    assert len(pages) == 2
    assert pages[0].count("Item") == 60


def test_equal_invoices_are_equal_bytes(
    catalogue: Catalogue, settings: Settings
) -> None:
    pairs = [("number", "7"), ("items", json.dumps(many(80)))]
    request = from_strings(catalogue.get("invoice"), pairs, "pdf", settings)

    made = {
        produce(request.renderer, request.parameters, request.output).data
        for _ in range(2)
    }

    assert len(made) == 1


@pytest.mark.parametrize("lang", ["ar", "de", "he", "hi", "ja", "nb", "zh-Hant"])
def test_words_are_those_of_the_language(client: FlaskClient, lang: str) -> None:
    [english], [text] = (
        words(pdf(client, items=TWO, lang=each)) for each in ("en", lang)
    )

    assert "Invoice" in english
    assert "Invoice" not in text
    assert "Description" not in text


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_items_of_any_text_stay_on_their_pages(text: str) -> None:
    rows = [
        {"description": text[: n * 9].strip()[:300], "price": 10**n}
        for n in range(1, 33)
    ]
    items = [{**row, "price": min(row["price"], 10**12)} for row in rows]
    values = {"number": "7", "items": items, "notes": text, "tax": 7.7}
    made = INVOICE.page(INVOICE.model(**values), 1)

    for page in range(1, made.facts["pages"] + 1):
        check(INVOICE, {**values, "page": page})


def test_five_hundred_long_items_are_drawn(client: FlaskClient) -> None:
    items = [{"description": f"{n} " + "word " * 55, "price": n} for n in range(500)]

    pages = pypdfium2.PdfDocument(pdf(client, items=items))

    assert 30 < len(pages) <= 100
