"""Documents that were made to hurt end in a picture or a refusal, at bounded memory."""

import json
from collections.abc import Iterator
from dataclasses import asdict

from app.renderer.catalogue import Catalogue
from benchmarks.hostile import GROWTH_BYTES, READY_BYTES, SETTINGS, Outcome, draw_all
from tests.hostile_documents import KINDS, Hostile, hostile


def test_a_few_hundred_hostile_documents_end_in_pictures_or_refusals() -> None:
    outcome = draw_all(hostile(13 * 20, seed=1), Catalogue(SETTINGS))

    assert outcome.wrong == []
    assert outcome.ends.keys() == KINDS.keys()
    assert all("picture" in ends for ends in outcome.ends.values())
    assert outcome.there_bytes < SETTINGS.html_memory_bytes + READY_BYTES
    assert outcome.here_bytes < outcome.before_bytes + GROWTH_BYTES


def test_slices_of_hostile_documents_make_the_whole() -> None:
    whole = list(hostile(30, seed=1))

    assert [*hostile(13, 1), *hostile(17, 1, first=13)] == whole


def test_results_of_slices_add_up() -> None:
    slices = [
        Outcome(2, 0, ends={"SVG": {"picture": 2}}, slow=[(0.1, "SVG 1")], processes=1),
        Outcome(3, 2, ends={"SVG": {"picture": 1, "wrong": 2}}, wrong=["SVG 3: died"]),
        Outcome(1, 5, ends={"tags": {"picture": 1}}, slow=[(2.0, "tags 5")]),
    ]

    total = Outcome()
    for each in slices:
        total.add(Outcome(**json.loads(json.dumps(asdict(each)))))

    assert total.documents == 6 == sum(total.totals().values())
    assert total.ends == {"SVG": {"picture": 3, "wrong": 2}, "tags": {"picture": 1}}
    assert total.wrong == ["SVG 3: died"]
    assert total.slow == [(2.0, "tags 5"), (0.1, "SVG 1")]
    assert "| all | 4 | 2 |" in total.table()


def test_what_was_done_before_ctrl_c_counts() -> None:
    def stopped() -> Iterator[Hostile]:
        yield from hostile(2, seed=1)
        raise KeyboardInterrupt

    outcome = draw_all(stopped(), Catalogue(SETTINGS))

    assert (outcome.documents, outcome.first, outcome.wrong) == (2, 0, [])
