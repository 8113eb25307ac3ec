"""File names that are safe to save under, and the header that says them."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

from app.delivery.terms import content_disposition, safe_name

PNG = ("png",)
JPG = ("jpg", "jpeg")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("card", "card.png"),
        ("card.png", "card.png"),
        ("card.PNG", "card.png"),
        ("card.jpg", "card.jpg.png"),
        ("v1.2", "v1.2.png"),
        ("../../etc/passwd", "passwd.png"),
        ("C:\\Users\\me\\card.png", "card.png"),
        ("/", "image.png"),
        ("a/..", "a.png"),
        ("", "image.png"),
        (".", "image.png"),
        ("..", "image.png"),
        (".png", "image.png"),
        (".htaccess", "htaccess.png"),
        ("...hidden.png", "hidden.png"),
        ("card.png. .", "card.png"),
        ("card .png", "card.png"),
        ('say "cheese"', "say _cheese_.png"),
        ("a;b", "a;b.png"),
        ("C:card", "C_card.png"),
        ("a\r\nX-Evil: 1", "aX-Evil_ 1.png"),
        ("a\x00b\x1bc\x7f\x85", "abc.png"),
        ("gpj.\u202eexe", "gpj.exe.png"),
        ("a\u2066b\u200fc\ufeffd", "abcd.png"),
        ("a\u2028b\u2029c", "abc.png"),
        ("a\u00a0b\u3000c", "a b c.png"),
        ("a\ud800b", "ab.png"),
        ("CON", "_CON.png"),
        ("con.png", "_con.png"),
        ("nul.tar", "_nul.tar.png"),
        ("Aux .x", "_Aux .x.png"),
        ("COM1", "_COM1.png"),
        ("lpt\u00b9", "_lpt\u00b9.png"),
        ("../CON", "_CON.png"),
        ("console", "console.png"),
        ("cafe\u0301", "caf\u00e9.png"),
        ("日本語", "日本語.png"),
        ("x" * 300, "x" * 180 + ".png"),
        ("é" * 300, "é" * 90 + ".png"),
        ("日" * 300 + ".png", "日" * 60 + ".png"),
    ],
)
def test_a_name_becomes_safe(name, expected):
    assert safe_name(name, PNG) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jpg", "a.jpg"),
        ("a.jpeg", "a.jpeg"),
        ("a.JPeG", "a.jpeg"),
        ("a.png", "a.png.jpg"),
        ("jpg", "jpg.jpg"),
    ],
)
def test_the_extension_is_one_of_the_format(name, expected):
    assert safe_name(name, JPG) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("card", 'inline; filename="card.png"'),
        ("a;b c", 'inline; filename="a;b c.png"'),
        ("é", "inline; filename=\"e.png\"; filename*=UTF-8''%C3%A9.png"),
        (
            "日本",
            "inline; filename=\"image.png\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.png",
        ),
        ("日1", "inline; filename=\"_1.png\"; filename*=UTF-8''%E6%97%A51.png"),
        ("50%41", "inline; filename=\"50_41.png\"; filename*=UTF-8''50%2541.png"),
        ("é'*", "inline; filename=\"e'_.png\"; filename*=UTF-8''%C3%A9%27_.png"),
        # NFKD turns full-width letters and punctuation into what was taken out.
        (
            "\uff23\uff2f\uff2e",
            'inline; filename="_CON.png"; '
            "filename*=UTF-8''%EF%BC%A3%EF%BC%AF%EF%BC%AE.png",
        ),
        (
            "\uff0e\uff0e\uff0f\uff02",
            'inline; filename="image.png"; '
            "filename*=UTF-8''%EF%BC%8E%EF%BC%8E%EF%BC%8F%EF%BC%82.png",
        ),
    ],
)
def test_ascii_comes_first_and_utf_8_only_where_it_is_needed(name, expected):
    assert content_disposition(name, PNG) == expected


def test_a_download_is_an_attachment():
    value = content_disposition("ticket", PNG, attachment=True)

    assert value == 'attachment; filename="ticket.png"'


names = st.text() | st.text(
    alphabet='a./\\:"%é日\u0301\u202e\r\n\uff1b\uff02\uff0f\uff0e\x00 CONcon1'
)


@given(names, st.sampled_from([PNG, JPG]))
@example("\uff0eCON", PNG)
@example("é" * 400 + "/", PNG)
@example("e\u200d\u0301", PNG)
def test_a_safe_name_is_one_plain_part(name, extensions):
    safe = safe_name(name, extensions)

    stem, _, extension = safe.rpartition(".")
    assert extension in extensions
    assert stem
    assert not stem.startswith((".", " "))
    assert not set(safe) & set('/\\:"<>|?*')
    assert not {unicodedata.category(c)[0] for c in safe} & {"C"}
    assert len(safe.encode()) <= 190
    assert safe_name(safe, extensions) == safe


@given(names, st.booleans())
def test_the_header_is_one_ascii_line_that_reads_back(name, attachment):
    header = content_disposition(name, PNG, attachment=attachment)

    kind, options = parse_options_header(header)
    assert kind == ("attachment" if attachment else "inline")
    assert options["filename"] == safe_name(name, PNG)
    assert header.isascii()
    assert header.isprintable()
    assert len(header) < 1000


@given(names)
def test_the_ascii_name_is_as_safe_as_the_other(name):
    header = content_disposition(name, PNG)

    plain = header.split('"')[1]
    assert safe_name(plain, PNG) == plain
    assert header.count('"') == 2
    assert "%" not in plain
