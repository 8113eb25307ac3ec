"""Every reader takes every archive: few and many members, and more than 4 GiB."""

import zipfile
from pathlib import Path

import pytest

from tests.archive.archives import (
    FOUR_GIB,
    GIB,
    laid_out,
    local_header,
    many,
    save_zeros,
    sent,
    zeros,
)
from tests.archive.readers import READERS, run

COUNTS = (0, 1, 2, 65_534, 65_535, 65_536)


@pytest.fixture(scope="module", params=COUNTS)
def counted(request, tmp_path_factory) -> tuple[int, Path]:
    path = tmp_path_factory.mktemp("counted") / "a.zip"
    path.write_bytes(sent(many(request.param)))
    return request.param, path


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A member of 4 GiB, and one behind it; the file is sparse."""
    path = tmp_path_factory.mktemp("large") / "a.zip"
    sizes = {"first.png": 5, "large.png": FOUR_GIB, "last.png": 7}
    save_zeros(path, laid_out(zeros(name, size) for name, size in sizes.items()))
    yield path
    path.unlink()


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_finds_every_member(counted, reader):
    count, path = counted

    found = READERS[reader](path)

    assert found == count


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_takes_a_member_of_4_gib_and_what_follows(large, reader):
    found = READERS[reader](large)

    assert found == 3


def test_names_in_their_own_script_and_folders_are_found_by_every_reader(tmp_path):
    names = ["Zo\u00eb M\u00fcller.png", "A/\u738b\u5c0f\u660e.png", "B/b/x.png"]
    path = tmp_path / "a.zip"
    path.write_bytes(sent([(name, name.encode()) for name in names]))

    with zipfile.ZipFile(path) as archive:
        found = archive.namelist()
        flags = [info.flag_bits for info in archive.infolist()]

    assert (found, flags) == (names, [0x800, 0x800, 0])
    assert [READERS[reader](path) for reader in READERS] == [3] * len(READERS)
    run("unzip", "-q", "-d", tmp_path / "out", path)
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == name.encode()


def test_headers_equal_the_central_directory(counted):
    count, path = counted

    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for info in archive.infolist():
            numbers, name, extra = local_header(file, info.header_offset)
            central = (info.extract_version, info.flag_bits, info.compress_type)
            sizes = (info.CRC, info.compress_size, info.file_size)
            assert numbers[:4] == (b"PK\3\4", *central)
            assert numbers[4:6] == (0, 1 << 5 | 1)
            assert numbers[6:9] == sizes
            assert (name.decode(), extra) == (info.filename, info.extra)
            assert central == (10, 0, 0)
        assert len(archive.infolist()) == count


def test_members_are_read_back_as_they_were_sent(counted):
    count, path = counted

    with zipfile.ZipFile(path) as archive:
        found = [(name, archive.read(name)) for name in archive.namelist()]

    assert found == many(count)


def test_members_are_plain_files_of_1980_that_all_may_read(counted):
    _, path = counted

    with zipfile.ZipFile(path) as archive:
        found = {
            (info.date_time, info.create_system, info.external_attr >> 16)
            for info in archive.infolist()
        }

    assert found <= {((1980, 1, 1, 0, 0, 0), 3, 0o100644)}


def test_only_the_member_of_4_gib_has_a_zip64_header(large):
    with zipfile.ZipFile(large) as archive, large.open("rb") as file:
        found = [
            (numbers[1], numbers[2], numbers[7], numbers[8], len(extra))
            for numbers, _, extra in (
                local_header(file, info.header_offset) for info in archive.infolist()
            )
        ]

    full = 0xFFFFFFFF
    assert found == [(10, 0, 5, 5, 0), (45, 0, full, full, 20), (10, 0, 7, 7, 0)]


@pytest.mark.parametrize("command", [("unzip", "-t"), ("7z", "t")])
def test_small_members_beyond_4_gib_are_found(tmp_path, command):
    path = tmp_path / "a.zip"
    sizes = [(f"{number}.png", GIB) for number in range(5)] + [("last.png", 9)]
    save_zeros(path, laid_out(zeros(name, size) for name, size in sizes))

    report = run(*command, path, "last.png")

    assert report.startswith("0"), report
    with zipfile.ZipFile(path) as archive:
        assert archive.read("last.png") == bytes(9)
