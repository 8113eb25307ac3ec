"""Errors say what is wrong and where, and do not grow with what was sent."""

import pytest

from app.collection.errors import (
    BadRows,
    CollectionError,
    ExpiredCollection,
    NoSuchIndex,
    RowFault,
    UnknownCollection,
)
from app.collection.ingest.table import Faults
from app.renderer.catalogue import Catalogue
from tests.collection.uploads import JSON, json_of, upload


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (RowFault(1234, 5678, "name", "is odd"), "row 1,234, line 5,678: name: is odd"),
        (RowFault(1, None, "", "is odd"), "row 1: is odd"),
        (RowFault(None, 1, "", "is odd"), "line 1: is odd"),
        (RowFault(None, None, "a.png", "is odd"), "a.png: is odd"),
    ],
)
def test_a_fault_says_its_place(fault: RowFault, said: str) -> None:
    assert str(fault) == said


def test_one_fault_alone_is_all_that_is_said() -> None:
    assert str(BadRows([RowFault(1, 2, "a", "b")])) == "row 1, line 2: a: b"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UnknownCollection("x" * 300), "x" * 60 + "…"),
        (NoSuchIndex(5000, 1000), "no image 5,000: they run from 1 to 1,000."),
        (ExpiredCollection("a" * 64, "b" * 64), "`current` is the id"),
    ],
)
def test_an_error_explains_itself(error: CollectionError, said: str) -> None:
    assert said in str(error)


def test_an_expired_collection_names_the_current_one() -> None:
    assert ExpiredCollection("a", "b").current == "b"


def test_what_was_sent_is_repeated_in_short() -> None:
    faults = Faults()
    faults.add(1, 1, "f" * 1000, "r" * 1000)

    with pytest.raises(BadRows) as caught:
        faults.check()

    assert len(str(caught.value)) < 400


def test_no_fault_is_no_error() -> None:
    Faults().check()


def test_faults_of_one_row_beyond_twenty_are_counted(catalogue: Catalogue) -> None:
    body = json_of(renderer="solid", items=[{f"a{n}": 1 for n in range(150)}])

    with pytest.raises(BadRows) as caught:
        upload(catalogue, body, JSON, "")

    assert (len(caught.value.faults), caught.value.more) == (20, 130)
