"""Keys: what is kept of them, and what is wrong with a file of them."""

import time
from pathlib import Path

import pytest

from app.access.errors import KeyExpired, KeyInvalid
from app.access.keys import BadKeys, digest_of, new_key, read_keys
from app.cli.main import main
from app.config import BadSetting, Settings
from app.config.parsers import Rate

DIGEST = "0" * 64


def test_a_key_is_found_by_its_secret() -> None:
    id, token = new_key()
    ring = read_keys(None, f'[keys.{id}]\nsha256 = "{digest_of(token)}"\n')

    assert ring.find(token).id == id
    for wrong in (token[:-1], token + "x", f"mim_{'a' * 8}{token[12:]}", "mim_", ""):
        with pytest.raises(KeyInvalid):
            ring.find(wrong)


def test_a_key_ends() -> None:
    id, token = new_key()
    line = f'[keys.{id}]\nsha256 = "{digest_of(token)}"\nexpires = '

    with pytest.raises(KeyExpired):
        read_keys(None, line + "2020-01-01").find(token)
    assert read_keys(None, line + "2999-01-01T00:00:00Z").find(token)
    at = read_keys(None, line + "2999-01-01").find(token).expires
    assert at is not None and at > time.time()


def test_what_the_command_prints_is_a_file_that_holds_the_key(capsys, tmp_path) -> None:
    assert (
        main(["key", "new", "--name", 'A "B" \\ C', "--scopes", "draw:card,read"]) == 0
    )
    printed = capsys.readouterr().out
    token = printed.partition("once: ")[2].partition("\n")[0]
    file = tmp_path / "keys.toml"
    file.write_text(printed)

    key = read_keys(file, None).find(token)

    assert key.name == 'A "B" \\ C'
    assert key.has("draw:card") and key.has("read")
    assert not key.has("draw:badge") and not key.has("services")


def test_bounds_of_a_keys_own() -> None:
    text = f"""
[keys.abcd1234]
sha256 = "{DIGEST}"
rate = "600/minute"
stored_bytes = 1000
streams = 2
budget = 12.5
"""
    key = read_keys(None, text).get("abcd1234")

    assert key is not None
    assert key.rate == Rate(600.0, 60)
    assert (key.stored_bytes, key.streams, key.budget) == (1000, 2, 12.5)


def test_a_key_without_a_limit_is_not_a_key_that_says_nothing_of_one() -> None:
    text = f'[keys.abcd1234]\nsha256 = "{DIGEST}"\n'
    said, unsaid = read_keys(None, f'{text}rate = "none"'), read_keys(None, text)
    keys = said.get("abcd1234"), unsaid.get("abcd1234")

    assert keys[0] is not None and keys[1] is not None
    assert (keys[0].rate, keys[1].rate) == ("none", None)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("keys", "not TOML"),
        ("other = 1", "nothing else"),
        ("keys = 1", "nothing else"),
        ('[keys.short]\nsha256 = ""', "8 of"),
        ("[keys]\nabcd1234 = 1", "table"),
        ("[keys.abcd1234]", "sha256: is missing"),
        ('[keys.abcd1234]\nsha256 = "mim_abcd1234_secret"', "SHA-256"),
        (f'[keys.abcd1234]\nsha256 = "{DIGEST}"\nscope = []', "scope: is not known"),
        (f'[keys.abcd1234]\nsha256 = "{DIGEST}"\nscopes = ["all"]', "no scope"),
        (f'[keys.abcd1234]\nsha256 = "{DIGEST}"\nscopes = "read"', "list"),
        (f'[keys.abcd1234]\nsha256 = "{DIGEST}"\nexpires = "soon"', "date"),
        (f'[keys.abcd1234]\nsha256 = "{DIGEST}"\nrate = "many"', "megapixels"),
        (f'[keys.abcd1234]\nsha256 = "{DIGEST}"\nstreams = -1', "whole number"),
        (f'[keys.abcd1234]\nsha256 = "{DIGEST}"\nbudget = true', "number"),
    ],
)
def test_what_is_wrong_with_keys_is_said(text: str, word: str) -> None:
    with pytest.raises(BadKeys, match=word) as caught:
        read_keys(None, text)

    assert "secret" not in str(caught.value)


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    text = f'[keys.abcd1234]\nsha256 = "{DIGEST}"\n'
    file = tmp_path / "keys.toml"
    file.write_text(text)

    with pytest.raises(BadKeys, match="twice"):
        read_keys(file, text)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MIMEO_URL_KEY", "changeme" * 8),
        ("MIMEO_URL_KEY", "a" * 40),
        ("MIMEO_URL_KEY", "your-secret-here-0123456789-abcdefgh"),
        ("MIMEO_URL_KEYS", "2026:short"),
        ("MIMEO_URL_KEYS", "no-id-at-all-0123456789-abcdefghijkl"),
        ("MIMEO_URL_KEYS", "A B:0123456789-abcdefghijklmnopqrstuvw"),
        ("MIMEO_URL_KEYS", ",".join(["a:0123456789-abcdefghijklmnopqrstuvw"] * 2)),
        ("MIMEO_ACCESS", "closed"),
        ("MIMEO_RATE_ANONYMOUS", "600"),
        ("MIMEO_RATE_ANONYMOUS", "0/minute"),
        ("MIMEO_PROXIES", "yes"),
    ],
)
def test_settings_that_guard_nothing_stop_the_start(variable: str, value: str) -> None:
    with pytest.raises(BadSetting) as caught:
        Settings.from_env({variable: value})

    assert variable in str(caught.value)
    if "KEY" in variable:
        assert value not in str(caught.value)
