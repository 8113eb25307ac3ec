"""One function makes the images of a prompt, here or by a service."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from pydantic import Field

from app.config import Settings
from app.image_request import from_parts
from app.pipeline.generation import Generation, Generations
from app.pipeline.idempotency import IdempotencyKeys, KeyReused
from app.pipeline.pipeline import Pipeline
from app.pipeline.purchases import Purchases
from app.renderer.base import Absent, Picture, Renderer
from app.renderer.catalogue import Catalogue
from app.renderer.errors import BadParameter, UnknownRenderer
from app.renderer.params import Canvas
from app.store import NoStore, StoreError, open_store
from tests.far import Far, picture


class Painting(Canvas):
    """A prompt that is painted here."""

    prompt: str
    seed: int = Field(7, ge=0, le=9)


def paint(parameters: Painting, scale: float) -> Picture:
    colour = (parameters.seed, len(parameters.prompt), 0)
    image = Image.new("RGB", parameters.size, colour)
    return Picture(image, facts={"seed": parameters.seed})


LOCAL = Renderer("paint", "Paint", Painting, lambda given: given.size, paint)


@pytest.fixture
def far() -> Far:
    return Far()


@pytest.fixture
def make(far: Far, tmp_path: Path):
    def build(*names: str, store=None, **changes) -> Generations:
        settings = Settings(system_fonts=False, **changes)
        services = [far.renderer(name) for name in names or ("far",)]
        kept = store or open_store(str(tmp_path), 1 << 30, "paid")
        pipeline = Pipeline(
            settings,
            open_store(str(tmp_path), 1 << 30),
            purchases=Purchases(kept, settings.threads),
        )
        catalogue = Catalogue(settings, (*services, LOCAL))
        occasions = IdempotencyKeys(kept, settings.reuse_s)
        return Generations(catalogue, pipeline, occasions, settings)

    return build


SHIP = {"prompt": "a ship"}


def test_a_services_image_stays_as_it_comes(far, make):
    far.format = "WEBP"

    album = make().make(Generation(SHIP))

    assert album.renderer == "far"
    assert [image.data for image in album.images] == [picture(1, "WEBP")]
    assert far.wanted[0].format is None


def test_a_format_is_made_where_the_service_sends_another(far, make):
    album = make().make(Generation(SHIP, count=2, output={"format": "webp"}))

    assert [image.media_type for image in album.images] == ["image/webp"] * 2
    assert len({image.sha256 for image in album.images}) == 2
    assert [image.facts["seed"] for image in album.images] == [1, 2]
    assert far.wanted[0].format == "webp"


def test_a_hundred_retries_reach_the_service_once(far, make):
    generations = make()

    shas = {generations.make(Generation(SHIP)).images[0].sha256 for _ in range(100)}

    assert len(shas) == len(far.wanted) == 1


def test_after_the_window_the_same_prompt_is_another_image(far, make):
    generations = make(reuse_s=0)

    shas = {generations.make(Generation(SHIP)).images[0].sha256 for _ in range(3)}

    assert len(shas) == 3


def test_another_key_is_another_purchase_within_the_window(far, make):
    generations = make()

    one = generations.make(Generation(SHIP, key="1")).images[0]
    again = generations.make(Generation(SHIP, key="1")).images[0]
    two = generations.make(Generation(SHIP, key="2")).images[0]

    assert one == again != two
    assert len(far.wanted) == 2


@pytest.mark.parametrize(
    "other",
    [
        Generation({"prompt": "a boat"}, key="1"),
        Generation(SHIP, count=2, key="1"),
    ],
)
def test_a_key_is_of_one_request(far, make, other):
    generations = make()
    generations.make(Generation(SHIP, key="1"))

    with pytest.raises(KeyReused):
        generations.make(other)


def test_what_is_missing_is_told(far, make):
    far.missing = 2

    album = make().make(Generation(SHIP, count=3))

    assert len(album.images) == 1
    assert album.absent == (Absent("a filter kept it", filtered=True),) * 2


def test_several_images_drawn_here_have_seeds_that_follow(far, make):
    album = make().make(Generation(SHIP, renderer="paint", count=3))

    assert [image.facts["seed"] for image in album.images] == [7, 8, 9]
    assert {image.media_type for image in album.images} == {"image/png"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"count": 0}, "n"),
        ({"count": 5}, "n"),
        ({"renderer": "paint", "count": 11}, "n"),
        ({"renderer": "paint", "count": 4}, "seed"),
        ({"renderer": "solid"}, "renderer"),
        ({"key": ""}, "Idempotency-Key"),
        ({"key": "x" * 256}, "Idempotency-Key"),
        ({"key": "a\nb"}, "Idempotency-Key"),
        ({"parameters": {}}, "prompt"),
        ({"parameters": {**SHIP, "seed": "one"}}, "seed"),
        ({"parameters": {**SHIP, "steps": 1}}, "steps"),
        ({"output": {"format": "docx"}}, "format"),
        ({"output": {"quality": 5}}, "quality"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_asked_for(far, make, changes, field):
    asked = replace(Generation(SHIP), **changes)

    with pytest.raises(BadParameter) as caught:
        make().make(asked)

    assert caught.value.faults[0].field == field
    assert not far.wanted


def test_no_such_renderer(make):
    with pytest.raises(UnknownRenderer):
        make().make(Generation(SHIP, renderer="nope"))


@pytest.mark.parametrize(
    ("names", "changes", "chosen"),
    [
        (("far",), {}, "far"),
        (("far", "ai-service"), {}, "ai-service"),
        (("far", "near"), {"default_renderer": "near"}, "near"),
        (("far", "near"), {"default_renderer": "paint"}, "paint"),
    ],
)
def test_the_default_renderer(make, names, changes, chosen):
    assert make(*names, **changes).make(Generation(SHIP)).renderer == chosen


def test_of_several_services_one_has_to_be_named(far, make):
    with pytest.raises(BadParameter, match="far, near"):
        make("far", "near").make(Generation(SHIP))


def test_renderers_that_take_a_prompt_are_listed(make):
    names = make("far", "near").renderers()

    assert {"far", "near", "paint"} <= set(names)
    assert "solid" not in names


class Broken(NoStore):
    """Cannot be read."""

    def get(self, key):
        raise StoreError("no disk")


def test_a_store_at_fault_costs_the_reuse_not_the_image(far, make):
    album = make(store=Broken()).make(Generation(SHIP, key="1"))

    assert len(album.images) == 1


@pytest.mark.parametrize(
    ("asked", "seed", "times"),
    [
        (Generation(SHIP, "dream"), 1_291_748_746, 1),
        (Generation({**SHIP, "seed": 5}, "dream"), 5, 1),
        (Generation(SHIP, "dream", wishes={"width": 256, "quality": "hd"}), None, 1),
        # Few seeds: it keeps its usual one.
        (Generation(SHIP, "paint"), 7, 2),
        (Generation(SHIP, "far"), None, 1),
    ],
)
def test_a_request_that_is_not_made_is_built_once(
    make, monkeypatch: pytest.MonkeyPatch, asked: Generation, seed, times: int
) -> None:
    generations, built = make(), []

    def build(*given):
        built.append(given)
        return from_parts(*given)

    monkeypatch.setattr("app.pipeline.generation.from_parts", build)
    request, unfulfilled = generations.request(asked, "occasion")

    assert len(built) == times
    assert seed is None or request.parameters.seed == seed
    assert [fault.field for fault in unfulfilled] == [
        name for name in asked.wishes if name == "quality"
    ]
