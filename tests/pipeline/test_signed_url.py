"""A URL that was not signed here, or was changed, or is late, is refused."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.pipeline.signed_url import BadSignature, ExpiredUrl, UrlSigner, key_of
from app.store import StoreError, key_for, open_store


@pytest.fixture
def signer() -> UrlSigner:
    return UrlSigner(lambda: b"k" * 32)


def test_a_signed_name_passes_until_it_expires(signer):
    signature = signer.sign("a.png", 1000)

    assert signer.check("a.png", "1000", signature, 999.9) == 1000
    with pytest.raises(ExpiredUrl):
        signer.check("a.png", "1000", signature, 1000)


@pytest.mark.parametrize(
    ("name", "expires", "changed"),
    [
        ("b.png", "1000", ""),
        ("a.png", "1001", ""),
        ("a.png", "1000", "x"),
        ("a.png", "", ""),
        ("a.png", "-1", ""),
        ("a.png", "1e3", ""),
        ("a.png", "\u0661", ""),
        ("a.png", "9" * 20, ""),
    ],
)
def test_whatever_is_changed_is_no_signature(signer, name, expires, changed):
    signature = signer.sign("a.png", 1000) + changed

    with pytest.raises(BadSignature):
        signer.check(name, expires, signature, 0)


@pytest.mark.parametrize("signature", ["", "é", "a" * 10_000])
def test_odd_signatures_are_none(signer, signature):
    with pytest.raises(BadSignature):
        signer.check("a.png", "1000", signature, 0)


def test_another_key_signs_otherwise(signer):
    other = UrlSigner(lambda: b"o" * 32)

    assert other.sign("a.png", 1) != signer.sign("a.png", 1)


def test_all_who_share_a_store_share_the_key(tmp_path):
    stores = [open_store(str(tmp_path), 1 << 20, "keys") for _ in range(8)]

    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(key_of, stores))

    assert len(keys) == 1
    assert len(keys.pop()) == 32


def test_sixteen_workers_that_share_no_lock_sign_with_one_key():
    store = open_store("memory:", 1 << 20, "keys")

    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(key_of, [store] * 16))

    assert len(keys) == 1


def test_nothing_is_signed_with_a_damaged_key(tmp_path):
    store = open_store(str(tmp_path), 1 << 20, "keys")
    store.put(key_for("key of signed URLs"), b"")

    with pytest.raises(StoreError, match="damaged"):
        key_of(store)
