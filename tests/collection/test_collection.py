"""What a draft wrote is read back, by ranges, as the very same requests."""

import base64
import struct
from dataclasses import asdict, replace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from zlib_ng import zlib_ng

from app.collection.collection import Collection, Item, decode, length_of
from app.collection.errors import DamagedCollection, NoSuchIndex
from app.collection.ingest.writer import Draft, Writer
from app.collection.outcome import Failed
from app.image_request import ImageRequest, from_parts
from app.renderer.base import Output, Renderer
from app.renderer.catalogue import Catalogue
from app.renderer.errors import (
    BadParameter,
    LimitExceeded,
    RendererError,
    UnknownRenderer,
)
from tests.collection.uploads import JSON, Limits, json_of, upload

LIMITS = Limits()


class Stored:
    """An object in a store; `reads` are the ranges that were asked for."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads: list[tuple[int, int]] = []

    def read(self, start: int, stop: int) -> bytes:
        """Return a range, short at the end."""
        self.reads.append((start, stop))
        return self.data[start:stop]


class Changed:
    """A catalogue in which some renderers are other ones, or gone."""

    def __init__(self, catalogue: Catalogue, **others: Renderer | None) -> None:
        self._catalogue = catalogue
        self._others = others

    def get(self, name: str) -> Renderer:
        """Return a renderer."""
        found = self._others.get(name, self._catalogue)
        if found is None:
            raise UnknownRenderer(name, ())
        return found if isinstance(found, Renderer) else self._catalogue.get(name)


@pytest.fixture(scope="module")
def stored(catalogue: Catalogue) -> bytes:
    """A thousand badges, as they are kept."""
    body = "name,role\n" + "".join(f"Person {row},{row}\n" for row in range(1, 1001))
    draft = upload(catalogue, body, query="renderer=badge&name={name}")
    data = b"".join(draft.chunks())
    draft.close()
    return data


def opened(data: bytes, catalogue: Any, **bounds: int) -> Collection:
    return Collection.open(Stored(data).read, catalogue, replace(LIMITS, **bounds))


def test_images_come_in_order_with_their_numbers(
    stored: bytes, catalogue: Catalogue
) -> None:
    collection = opened(stored, catalogue)

    items = [*collection.items()]

    assert [item.index for item in items] == [*range(1, 1001)]
    assert items[6].name == "Person-7.png"
    assert vars(items[999].request.parameters)["role"] == "1000"
    assert collection.count == 1000


@pytest.mark.parametrize(
    ("first", "last"), [(1, 1), (128, 129), (999, 1000), (1, 1000)]
)
def test_a_range_has_both_of_its_ends(
    first: int, last: int, stored: bytes, catalogue: Catalogue
) -> None:
    found = [item.index for item in opened(stored, catalogue).items(first, last)]

    assert found == [*range(first, last + 1)]


@pytest.mark.parametrize("index", [1, 2, 128, 129, 130, 777, 1000])
def test_one_image_is_found_by_its_number(
    index: int, stored: bytes, catalogue: Catalogue
) -> None:
    collection = opened(stored, catalogue)

    item = collection.item(index)

    assert item == [*collection.items()][index - 1]
    assert collection.name(index) == item.name == f"Person-{index}.png"


def test_one_image_takes_two_reads(stored: bytes, catalogue: Catalogue) -> None:
    source = Stored(stored)

    Collection.open(source.read, catalogue, LIMITS).item(500)

    assert len(source.reads) == 2
    start, stop = source.reads[1]
    assert stop - start < 64 << 10


@pytest.mark.parametrize("index", [0, -1, 1001])
def test_a_number_outside_says_the_range(
    index: int, stored: bytes, catalogue: Catalogue
) -> None:
    collection = opened(stored, catalogue)

    for call in (collection.item, collection.items, collection.name):
        with pytest.raises(NoSuchIndex) as caught:
            call(index)
        assert caught.value.count == 1000


def test_a_draft_is_read_as_what_it_will_be(catalogue: Catalogue) -> None:
    draft = upload(catalogue, "name\nA\nB\n")

    direct = draft.collection(catalogue, LIMITS)
    later = opened(b"".join(draft.chunks()), catalogue)

    assert [*direct.items()] == [*later.items()]
    assert direct.id == later.id == draft.id
    assert len(draft.id) == 64
    draft.close()


def test_any_range_of_a_draft_is_that_of_its_object(catalogue: Catalogue) -> None:
    draft = upload(catalogue, "name\nA\nB\n")
    whole = b"".join(draft.chunks())
    head = length_of(whole)

    for start, stop in ((0, 9), (head - 1, head + 1), (head, head + 5), (0, 10**6)):
        assert draft.read(start, stop) == whole[start:stop]
    draft.close()


def test_an_image_is_stored_once(catalogue: Catalogue) -> None:
    logo = base64.b64encode(b"logo" * 1000).decode()
    items = [{"title": "A", "image": logo}, {"title": "B", "image": logo}]

    draft = upload(catalogue, json_of(renderer="card", items=items), JSON, "")

    whole = b"".join(draft.chunks())
    found = [*draft.collection(catalogue, LIMITS).items()]
    draft.close()
    assert whole.count(b"logo" * 1000) == 1
    assert [vars(item.request.parameters)["image"] for item in found] == [
        b"logo" * 1000
    ] * 2


def test_a_shared_image_is_stored_once(catalogue: Catalogue) -> None:
    logo = base64.b64encode(b"logo" * 1000).decode()
    items = [{"title": f"{number}"} for number in range(300)]
    body = json_of(renderer="card", defaults={"image": logo}, items=items)

    draft = upload(catalogue, body, JSON, "")
    draft.close()

    assert draft.header.size < 4000 + 300 * 150


def test_rows_of_a_megabyte_are_blocks_of_their_own(catalogue: Catalogue) -> None:
    html = "<p>" + "x" * 200_000
    writer = Writer(Output())
    renderer = catalogue.get("html")
    for number in range(5):
        request = from_parts(renderer, {"html": f"{html}{number}"}, {}, LIMITS)
        writer.add(request, f"{number}")

    draft = writer.finish(5)

    assert [block[0] for block in draft.header.blocks] == [1, 2, 3, 4, 5]
    assert vars(draft.collection(catalogue, LIMITS).item(4).request.parameters)[
        "html"
    ].endswith("x3")
    draft.close()


def test_another_version_is_another_edition(
    stored: bytes, catalogue: Catalogue
) -> None:
    badge = replace(catalogue.get("badge"), version="next")
    before = opened(stored, catalogue)
    after = opened(stored, Changed(catalogue, badge=badge))

    new_id, head = after.relabel()

    assert before.edition_is_current and not after.edition_is_current
    assert before.id == after.id != new_id
    again = opened(head + b"".join(after.data()), Changed(catalogue, badge=badge))
    assert again.id == new_id and again.edition_is_current
    assert again.item(1000).name == "Person-1000.png"


def test_relabelling_on_the_same_installation_changes_nothing(
    stored: bytes, catalogue: Catalogue
) -> None:
    collection = opened(stored, catalogue)

    new_id, head = collection.relabel()

    assert new_id == collection.id
    assert head + b"".join(collection.data()) == stored


def test_a_collection_of_another_version_is_held_against_limits_again(
    stored: bytes, catalogue: Catalogue
) -> None:
    large = replace(catalogue.get("badge"), version="next", size=(9000, 10))
    after = opened(stored, Changed(catalogue, badge=large))

    _, head = after.relabel()
    again = opened(head + b"".join(after.data()), Changed(catalogue, badge=large))

    with pytest.raises(LimitExceeded):
        again.item(1)


def test_a_head_that_does_not_know_its_limits_is_read(
    stored: bytes, catalogue: Catalogue
) -> None:
    header = decode(stored[: length_of(stored)])
    text = orjson.dumps(
        {"format": 2, **{n: v for n, v in asdict(header).items() if n != "limits"}}
    )
    sizes = struct.pack(">QI", len(text), zlib_ng.crc32(text))
    data = stored[length_of(stored) :]

    earlier = opened(stored[:8] + sizes + text + data, catalogue)

    assert header.limits and not earlier.header.limits
    assert earlier.id == header.id
    assert earlier.item(1).name == "Person-1.png"


def test_a_version_that_is_not_in_use_changes_nothing(
    stored: bytes, catalogue: Catalogue
) -> None:
    card = replace(catalogue.get("card"), version="next")

    assert opened(stored, Changed(catalogue, card=card)).edition_is_current


def test_a_renderer_that_is_gone_is_named(stored: bytes, catalogue: Catalogue) -> None:
    collection = opened(stored, Changed(catalogue, badge=None))

    assert not collection.edition_is_current
    for call in (collection.relabel, lambda: collection.item(1)):
        with pytest.raises(UnknownRenderer):
            call()


def test_a_row_that_is_not_valid_any_more_is_failed_in_its_place(
    catalogue: Catalogue,
) -> None:
    draft = upload(catalogue, "text,width\nA,\nB,9\nC,\n", query="renderer=placeholder")
    other = replace(catalogue.get("quote"), name="placeholder")
    items = draft.collection(Changed(catalogue, placeholder=other), LIMITS).items()

    first, second, third = items

    draft.close()
    assert isinstance(second, Failed) and isinstance(second.error, BadParameter)
    assert second.error.faults[0].field == "width"
    assert (first.index, second.index, third.index) == (1, 2, 3)


def test_a_limit_that_is_lower_now_fails_a_row_in_its_place(
    catalogue: Catalogue,
) -> None:
    draft = upload(catalogue, "width\n9\n900\n9\n", query="renderer=placeholder")
    lower = Limits(max_side=500)

    first, second, third = draft.collection(catalogue, lower).items()

    draft.close()
    assert isinstance(second, Failed) and isinstance(second.error, LimitExceeded)
    assert (second.error.field, second.error.allowed) == ("width", 500)
    assert isinstance(first, Item) and isinstance(third, Item)


def test_any_damaged_byte_is_noticed(stored: bytes, catalogue: Catalogue) -> None:
    for at in (*range(0, 2000, 37), *range(2000, len(stored), 997)):
        flipped = bytearray(stored)
        flipped[at] ^= 0x20

        with pytest.raises(DamagedCollection):
            list(opened(bytes(flipped), catalogue).items())


def test_a_format_that_an_image_cannot_have_fails_it_in_its_place(
    catalogue: Catalogue,
) -> None:
    body = "width,height\n9,9\n300,9\n9,9\n"
    draft = upload(catalogue, body, query="renderer=solid")
    collection = draft.collection(catalogue, LIMITS)

    found = [*collection.items(format_name="ico")]

    draft.close()
    assert [type(each) for each in found] == [Item, Failed, Item]


def test_a_collection_that_is_cut_off_anywhere_is_damaged(
    catalogue: Catalogue,
) -> None:
    draft = upload(catalogue, "name\nA\nB\n")
    data = b"".join(draft.chunks())
    draft.close()

    for length in range(len(data)):
        with pytest.raises(DamagedCollection, match="damaged"):
            [*opened(data[:length], catalogue).items()]


@pytest.mark.parametrize("length", [0, 4, 8, 15, 16, 100])
def test_a_head_that_is_cut_off_is_damaged(
    length: int, stored: bytes, catalogue: Catalogue
) -> None:
    with pytest.raises(DamagedCollection):
        opened(stored[:length], catalogue)


def test_rows_that_are_cut_off_are_damaged(stored: bytes, catalogue: Catalogue) -> None:
    collection = opened(stored[:-1], catalogue)

    with pytest.raises(DamagedCollection):
        collection.item(1000)


def test_what_is_no_collection_is_damaged(catalogue: Catalogue) -> None:
    with pytest.raises(DamagedCollection):
        opened(b"PK\3\4" + bytes(100), catalogue)
    with pytest.raises(DamagedCollection):
        decode(b"mimeoc2\n" + (2).to_bytes(8, "big") + bytes(4) + b"[]")


@pytest.mark.parametrize("bound", ["max_rows", "max_collection_pixels"])
def test_limits_that_are_lower_now_are_kept(
    bound: str, stored: bytes, catalogue: Catalogue
) -> None:
    with pytest.raises(LimitExceeded) as caught:
        opened(stored, catalogue, **{bound: 999})

    assert caught.value.limit == f"MIMEO_{bound.upper()}"


def test_a_head_of_many_images_is_read_whole(catalogue: Catalogue) -> None:
    items = [
        {"title": "A", "image": base64.b64encode(b"%d" % number).decode()}
        for number in range(1500)
    ]
    draft = upload(catalogue, json_of(renderer="card", items=items), JSON, "")
    data = b"".join(draft.chunks())
    draft.close()

    collection = opened(data, catalogue)

    assert length_of(data) > 64 << 10
    assert vars(collection.item(1500).request.parameters)["image"] == b"1499"


def strategy_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return values of a parameter by its JSON schema, most of them valid."""
    if "anyOf" in schema:
        return st.one_of(*map(strategy_of, schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("contentEncoding"):
        return st.binary(max_size=40).map(lambda data: base64.b64encode(data).decode())
    if schema.get("contentMediaType"):
        return st.just('[{"description":"Tea","price":3}]')
    if schema.get("type") == "array":
        row = st.fixed_dictionaries({"description": st.sampled_from(["Tea", "茶"])})
        return st.lists(row, max_size=3)
    if schema.get("format") == "color":
        return st.sampled_from(["red", "#abc", "11223344", "transparent", "Teal"])
    if schema["type"] == "string":
        return st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20)
    numbers = {"integer": st.integers(1, 400), "boolean": st.booleans()}
    floats = st.floats(-400, 400) | st.integers(-400, 400)
    return {**numbers, "number": floats, "null": st.none()}[schema["type"]]


@st.composite
def requests(draw: Any, renderer: Renderer) -> ImageRequest:
    """Draw requests of one renderer."""
    properties = renderer.parameters.model_json_schema()["properties"]
    values = {
        name: draw(strategy_of(schema))
        for name, schema in properties.items()
        if name in renderer.example or draw(st.booleans())
    }
    output = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "format": st.sampled_from(["png", "jpeg", "webp"]),
                "scale": st.sampled_from([1, 1.0, 1.5, 2]),
                "background": st.sampled_from(["red", "#ff0000"]),
            },
        )
    )
    try:
        return from_parts(renderer, values, output, LIMITS)
    except RendererError:
        assume(False)
        raise


def written(*made: ImageRequest) -> Draft:
    writer = Writer(made[0].output)
    for number, request in enumerate(made):
        writer.add(request, f"{number}")
    return writer.finish(1)


# The catalogue takes a moment to build, too long for the collection of tests.
NAMES = (
    *("address-label", "avatar", "badge", "barcode", "card", "certificate", "dream"),
    *(
        "gradient",
        "html",
        "identicon",
        "invoice",
        "label",
        "markdown",
        "place-card",
        "placeholder",
        "qr",
    ),
    *("quote", "solid", "ticket"),
)


def test_every_renderer_is_tried(catalogue: Catalogue) -> None:
    assert catalogue.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.filter_too_much,
        HealthCheck.too_slow,
    ],
)
def test_a_request_that_is_read_back_is_the_same(
    name: str, catalogue: Catalogue, data: Any
) -> None:
    made = data.draw(requests(catalogue.get(name)))
    draft = written(made)

    read = draft.collection(catalogue, LIMITS).item(1).request

    draft.close()
    assert read.fingerprint == made.fingerprint
    assert read.parameters == made.parameters
    assert read.output == made.output
