import shutil
import sys
from pathlib import Path

import fontpkg
import pytest
import uharfbuzz as hb
from fontTools.ttLib import TTFont
from hypothesis import given
from hypothesis import strategies as st

from app.renderer.engine import fonts
from app.renderer.engine.engine import Engine
from app.renderer.engine.fonts import BrokenFont, Fonts, load_fonts

PACKAGED = load_fonts(None, system=False)


def packaged(name: str) -> Path:
    return next(face.path for face in PACKAGED.faces if face.path.name == name)


@pytest.mark.parametrize(
    "text",
    ["Hello", "Ελληνικά", "Кириллица", "العربية", "עברית", "हिन्दी", "tiếng Việt"],
)
def test_packaged_fonts_draw_the_promised_scripts(text: str) -> None:
    assert PACKAGED.missing(text) == ()


def test_missing_characters_are_named_once_and_in_order() -> None:
    assert PACKAGED.missing("\U00012001\U00012000a\U00012001\U00013000") == (
        "U+12000",
        "U+12001",
        "U+13000",
    )


@pytest.mark.parametrize(
    "text", ["\n\t ", "a\u200d\u200cb\u00ad", "x\ufe0f", "\u3000\u2028", "\U000e0101"]
)
def test_characters_without_a_shape_are_never_missing(text: str) -> None:
    assert PACKAGED.missing(text) == ()


@given(st.text())
def test_missing_agrees_with_the_fonts_character_maps(text: str) -> None:
    known = set().union(
        *(hb.Face(hb.Blob.from_file_path(str(f.path))).unicodes for f in PACKAGED.faces)
    )

    found = {int(name.removeprefix("U+"), 16) for name in PACKAGED.missing(text)}

    assert found <= {ord(character) for character in text} - known


def test_digest_depends_on_content_not_on_place(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two" / "deep"
    for folder in (one, two):
        folder.mkdir(parents=True)
        shutil.copy(packaged("Heebo[wght].ttf"), folder / f"{folder.name}.ttf")

    first, second = load_fonts(one, False), load_fonts(two.parent, False)

    assert first.digest == second.digest != PACKAGED.digest


def test_fonts_of_the_folder_come_after_the_packaged_ones(tmp_path: Path) -> None:
    shutil.copy(packaged("Heebo[wght].ttf"), tmp_path / "Mine.TTF")
    (tmp_path / "LICENSE.txt").write_text("not a font")

    faces = load_fonts(tmp_path, False).faces

    assert [face.path.name for face in faces][-1] == "Mine.TTF"
    assert len(faces) == len(PACKAGED.faces) + 1


def test_a_broken_font_in_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"\0\1\0\0 nothing of a font")

    with pytest.raises(BrokenFont, match=r"broken\.ttf.*is not a font"):
        load_fonts(tmp_path, False)


def web_font(folder: Path, flavor: str) -> Path:
    """Write a packaged font as a web font; return its path."""
    path = folder / f"page.{flavor}"
    with TTFont(packaged("NotoSansThaana-Regular.ttf")) as font:
        font.flavor = flavor
        font.save(path)
    return path


@pytest.mark.parametrize("flavor", ["woff", "woff2"])
def test_web_fonts_in_the_folder_are_taken(
    tmp_path: Path, flavor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fonts, "PACKAGED", fonts.PACKAGED[:1])
    web_font(tmp_path, flavor)

    found = load_fonts(tmp_path, False)

    assert found.missing("\u078b\u07a8") == ()
    assert "Noto Sans Thaana" in Engine(found).families


def test_a_damaged_web_font_is_named(tmp_path: Path) -> None:
    path = web_font(tmp_path, "woff2")
    path.write_bytes(path.read_bytes()[:3000])

    with pytest.raises(BrokenFont, match=r"page\.woff2 is not a font"):
        load_fonts(tmp_path, False)


def test_a_web_font_without_its_reader_is_refused_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fontTools.ttLib", None)
    (tmp_path / "unread.woff2").write_bytes(b"wOF2")

    with pytest.raises(BrokenFont, match=r"unread\.woff2.*mimeo\[woff\]"):
        load_fonts(tmp_path, False)


def test_another_kind_of_web_font_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "page.eot").write_bytes(b"LP")

    with pytest.raises(BrokenFont, match=r"page\.eot.*convert it to WOFF2, TTF or OTF"):
        load_fonts(tmp_path, False)


def test_families_of_installed_packages_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "Own.ttf"
    shutil.copy(packaged("NotoSansThaana-Regular.ttf"), path)
    file = fontpkg.FontFile(path, "normal", 400, variable=False)
    family = fontpkg.Family("Own", "own", "1", "OFL-1.1", (file,))
    known = {**fontpkg.families(), "own": family}
    monkeypatch.setattr(fontpkg, "families", lambda: known)

    found = load_fonts(None, False)

    added = [face for face in found.faces if face not in PACKAGED.faces]
    assert added == [fonts.FontFile(path, "installed", licence="OFL-1.1")]
    assert added[0] == found.faces[-1]


def test_a_package_adds_no_files_to_a_family_of_ours() -> None:
    assert {face.source for face in PACKAGED.faces} == {"packaged"}


def test_a_cut_off_font_is_named_when_the_engine_refuses_it(tmp_path: Path) -> None:
    whole = packaged("Heebo[wght].ttf").read_bytes()
    (tmp_path / "cut.ttf").write_bytes(whole[: len(whole) // 3])

    with pytest.raises(BrokenFont, match=r"cut\.ttf"):
        Engine(load_fonts(tmp_path, False))


def system_fonts(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Fonts:
    monkeypatch.setattr(fontpkg, "families", dict)
    monkeypatch.setattr(fonts, "system_folders", lambda: (folder,))
    return load_fonts(None, system=True)


def test_a_system_font_that_adds_nothing_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(packaged("Heebo[wght].ttf"), tmp_path)

    found = system_fonts(monkeypatch, tmp_path)

    assert found.faces == PACKAGED.faces


def test_a_system_font_that_adds_characters_comes_with_its_bold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fonts, "PACKAGED", fonts.PACKAGED[:2])
    for name in ("Script-Regular.ttf", "Script-Bold.ttf", "Script-Thin.ttf"):
        shutil.copy(packaged("NotoSansArabic[wdth,wght].ttf"), tmp_path / name)

    found = system_fonts(monkeypatch, tmp_path)

    names = [face.path.name for face in found.faces]
    assert names[2:] == ["Script-Regular.ttf", "Script-Bold.ttf"]
    assert found.missing("العربية") == ()


def test_a_broken_system_font_does_not_stop_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"nothing of a font")
    (tmp_path / "gone.ttf").symlink_to(tmp_path / "nowhere")

    found = system_fonts(monkeypatch, tmp_path)

    assert found.faces == PACKAGED.faces


def test_thousands_of_system_fonts_are_examined_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fonts, "PACKAGED", fonts.PACKAGED[:2])
    monkeypatch.setattr(fonts, "MAX_EXAMINED", 3)
    for number in range(9):
        shutil.copy(packaged("Heebo[wght].ttf"), tmp_path / f"Copy{number}.ttf")
    shutil.copy(packaged("NotoSansArabic[wdth,wght].ttf"), tmp_path / "Zulu.ttf")

    found = system_fonts(monkeypatch, tmp_path)

    assert [face.path.name for face in found.faces[2:]] == ["Copy0.ttf"]


def test_colour_emoji_come_before_other_added_fonts() -> None:
    colour = fonts.FontFile(Path("e.ttf"), "system", color=True)
    text = fonts.FontFile(Path("a.ttf"), "folder")

    assert fonts._precedence(colour) < fonts._precedence(text)
    assert fonts._precedence(PACKAGED.faces[0]) < fonts._precedence(colour)
