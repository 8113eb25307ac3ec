"""Images in JSON, small ones in memory and large ones in a file."""

import base64
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.delivery.image import embed

GROWTH = """
import re, tempfile, mmap
from app.delivery.image import embed

def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1])

with tempfile.TemporaryFile() as file:
    file.truncate(96 << 20)
    view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
before = anonymous()
found = embed({"image": view, "more": [view]})
print(len(found), anonymous() - before)
"""


@given(
    st.lists(st.binary(max_size=200), max_size=4),
    st.dictionaries(st.text(), st.text() | st.integers(0, 9)),
)
def test_the_document_is_what_a_json_library_would_write(images, more):
    document = {"images": [{"data": image} for image in images], "more": more}

    found = json.loads(embed(document))

    assert [base64.b64decode(item["data"]) for item in found["images"]] == images
    assert found["more"] == more


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, 3_000_001])
def test_large_images_are_whole(size):
    data = bytes(range(251)) * (size // 251 + 1)
    image = memoryview(data)[:size]

    found = embed({"a": 1, "image": image, "b": 2})

    assert isinstance(found, memoryview) == (size >= 1 << 20)
    assert json.loads(bytes(found)) == {
        "a": 1,
        "image": base64.b64encode(image).decode(),
        "b": 2,
    }


def test_large_images_take_no_memory():
    command = [sys.executable, "-c", GROWTH]
    shown = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    size, growth_kib = map(int, shown.split())

    assert size > 2 * (96 << 20) * 4 // 3
    assert growth_kib < 8 << 10


def test_what_is_no_json_is_an_error():
    with pytest.raises(TypeError):
        embed({"a": object()})
