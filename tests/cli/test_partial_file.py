"""What comes of a server's archive is kept, counted, and checked at its end."""

import json
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from app.cli.partial_file import DamagedArchive, PartialFile
from tests.archive.archives import sent

MANIFEST = ("manifest.json", json.dumps({"errors": []}).encode())
IMAGES = [("a.png", b"first" * 9), ("b.png", b"second"), ("c.png", b"third")]
WHOLE = sent([*IMAGES, MANIFEST])
# Where each member begins, and the tail: a header has 30 bytes beside the name.
STARTS = (0, 80, 121, 161, 161 + 43 + len(MANIFEST[1]))


@contextmanager
def part_of(folder: Path, data: bytes) -> Iterator[PartialFile]:
    path = folder / "a.part"
    path.write_bytes(data)
    with closing(PartialFile(path)) as part:
        yield part


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_an_image_counts_once_it_is_whole_and_the_next_file_begins(tmp_path, block):
    with part_of(tmp_path, b"") as part:
        for at in range(0, len(WHOLE), block):
            part.append(WHOLE[at : at + block])

            begun = sum(start + 4 <= part.size for start in STARTS[:-1])
            assert part.images == max(0, begun - 1)
    assert (tmp_path / "a.part").read_bytes() == WHOLE


@pytest.mark.parametrize("stop", [0, 3, 82, 83, 123, 130, 165, len(WHOLE)])
def test_what_an_earlier_run_left_is_counted_and_continued(tmp_path, stop):
    with part_of(tmp_path, WHOLE[:stop]) as part:
        images = part.images
        part.append(WHOLE[stop:])

        assert images == max(0, sum(at + 4 <= stop for at in STARTS[:-1]) - 1)
        assert (part.size, part.images) == (len(WHOLE), 3)
        assert part.failures() == []


def test_the_images_that_a_whole_archive_lacks_are_named(tmp_path):
    row = {"index": 2, "name": "b.png", "detail": "too long"}
    manifest = json.dumps({"errors": [row, {"index": 9, "name": "i.png"}]}).encode()

    with part_of(tmp_path, sent([*IMAGES, ("manifest.json", manifest)])) as part:
        found = part.failures()

    assert found == [(2, "b.png", "too long"), (9, "i.png", "failed")]


def test_the_notices_of_a_whole_archive_are_those_of_its_manifest(tmp_path):
    images = [{"index": 1}, {"index": 2, "facts": {"missing_glyphs": ["U+10600"]}}]
    manifest = json.dumps({"images": images, "errors": []}).encode()

    with part_of(tmp_path, sent([*IMAGES, ("manifest.json", manifest)])) as part:
        found = part.notices()

    assert found.facts == {"missing_glyphs": ["U+10600"]}
    assert found.first("missing_glyphs") == (2,)


@pytest.mark.parametrize("facts", [1, {"missing_glyphs": 1}, {"text_clipped": [1]}])
def test_notices_of_another_form_are_damage(tmp_path, facts):
    manifest = json.dumps({"images": [{"index": 1, "facts": facts}]}).encode()

    with (
        part_of(tmp_path, sent([*IMAGES, ("manifest.json", manifest)])) as part,
        pytest.raises(DamagedArchive),
    ):
        part.notices()


def test_every_cut_archive_is_damaged(tmp_path):
    for stop in range(len(WHOLE)):
        with part_of(tmp_path, WHOLE[:stop]) as part, pytest.raises(DamagedArchive):
            part.failures()


def test_every_flipped_bit_of_an_image_is_damage(tmp_path):
    for start, (name, data) in zip(STARTS, IMAGES, strict=False):
        for bit in range(8 * len(data)):
            changed = bytearray(WHOLE)
            changed[start + 30 + len(name) + bit // 8] ^= 1 << bit % 8

            with part_of(tmp_path, changed) as part, pytest.raises(DamagedArchive):
                part.failures()


# Signature, names and their length: what `zipfile` reads of a local header.
@pytest.mark.parametrize("place", [0, 1, 2, 3, 26, 27, 28, 29, 30, 34])
def test_a_header_where_none_should_be_is_damage(tmp_path, place):
    for start in STARTS[:-1]:
        changed = bytearray(WHOLE)
        changed[start + place] ^= 1

        with part_of(tmp_path, changed) as part, pytest.raises(DamagedArchive):
            part.failures()


def test_whatever_is_flipped_is_damage_or_leaves_the_images_as_they_were(tmp_path):
    for bit in range(8 * len(WHOLE)):
        changed = bytearray(WHOLE)
        changed[bit // 8] ^= 1 << bit % 8

        with part_of(tmp_path, changed) as part:
            try:
                part.failures()
            except DamagedArchive:
                continue
        with zipfile.ZipFile(tmp_path / "a.part") as archive:
            read = [archive.read(member) for member in archive.infolist()]
        assert read[:3] == [data for _, data in IMAGES]


@pytest.mark.parametrize(
    "manifest", [b"", b"{", b"[]", b'{"errors": [1]}', b'{"errors": [{}]}', None]
)
def test_an_archive_without_a_manifest_that_can_be_read_is_damaged(tmp_path, manifest):
    last = [] if manifest is None else [("manifest.json", manifest)]

    with part_of(tmp_path, sent([*IMAGES, *last])) as part:
        if manifest == b"[]":
            assert part.failures() == []
        else:
            with pytest.raises(DamagedArchive, match="The archive is damaged: "):
                part.failures()


def test_an_archive_that_is_packed_is_refused_unread(tmp_path):
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(1 << 20))
        archive.writestr(*MANIFEST)

    data = (tmp_path / "b.zip").read_bytes()

    with part_of(tmp_path, data) as part, pytest.raises(DamagedArchive):
        part.failures()


def test_a_part_that_begins_anew_has_nothing(tmp_path):
    with part_of(tmp_path, WHOLE[:150]) as part:
        part.restart()

        assert (part.size, part.images) == (0, 0)
        part.append(WHOLE)
        assert (part.size, part.images) == (len(WHOLE), 3)
    assert (tmp_path / "a.part").read_bytes() == WHOLE
