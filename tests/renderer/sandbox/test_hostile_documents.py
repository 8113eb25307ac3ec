"""Documents that were made to hurt end in a picture or a refusal, at bounded memory."""

from app.renderer.catalogue import Catalogue
from benchmarks.hostile import SETTINGS, draw_all
from tests.hostile_documents import KINDS, hostile

# What the process that draws maps when it is ready.
READY_BYTES = 300 << 20


def test_a_few_hundred_hostile_documents_end_in_pictures_or_refusals() -> None:
    outcome = draw_all(hostile(13 * 20, seed=1), Catalogue(SETTINGS))

    assert outcome.wrong == []
    assert outcome.ends.keys() == KINDS.keys()
    assert all("picture" in ends for ends in outcome.ends.values())
    assert outcome.there_bytes < SETTINGS.html_memory_bytes + READY_BYTES
