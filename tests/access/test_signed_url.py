"""A URL that was not signed here, or was changed, or is late, is refused."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.access.errors import BadSignature, ExpiredUrl
from app.access.signed_url import SignedUrl, UrlSigner, secret_of
from app.store import StoreError, key_for, open_store

TARGET = "/images/card.png?title=Hello%20World"


@pytest.fixture
def signer() -> UrlSigner:
    return UrlSigner(lambda: {"new": b"n" * 32, "old": b"o" * 32})


def check(signer, url, now=0.0):
    path, _, query = url.partition("?")
    return signer.check(path, query, lambda name, _: name.startswith("utm_"), now)


def test_a_signed_url_passes_until_it_expires(signer):
    url = signer.sign(TARGET, 1000)

    assert check(signer, url, 999.9) == SignedUrl("new", 1000, "title=Hello%20World")
    with pytest.raises(ExpiredUrl):
        check(signer, url, 1000)


def test_the_form_is_the_documented_one(signer):
    head, _, mac = signer.sign(TARGET, 1000, ["title", "name"]).partition("&signature=")

    assert head == f"{TARGET}&expires=1000&key=new&free=title,name"
    assert mac.startswith("v1.")
    assert len(mac) == 3 + 43


def test_a_path_alone_can_be_signed(signer):
    url = signer.sign("/media/a.png", 1000)

    assert url.startswith("/media/a.png?expires=1000&key=new&signature=v1.")
    assert check(signer, url) == SignedUrl("new", 1000, "")


def test_never_has_to_be_said(signer):
    url = signer.sign(TARGET, None)

    assert "expires=never" in url
    assert check(signer, url, 1e12).expires is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Hello", "Hallo"),
        ("%20", "+"),
        ("card", "quote"),
        ("1000", "1001"),
        ("expires=1000", "expires="),
        ("expires=1000", "expires=-1"),
        ("expires=1000", "expires=1e3"),
        ("expires=1000", "expires=" + "9" * 20),
        ("key=new", "key=old"),
        ("key=new", "key=none"),
        ("&key=new", ""),
        ("v1.", "v2."),
        ("v1.", ""),
        ("&signature=", "&signature=x"),
        ("title", "expires=1&title"),
    ],
)
def test_whatever_is_changed_is_no_signature(signer, old, new):
    url = signer.sign(TARGET, 1000)
    assert old in url

    with pytest.raises(BadSignature):
        check(signer, url.replace(old, new, 1))


@pytest.mark.parametrize("signature", ["", "é", "a" * 10_000, "v1.", "%00"])
def test_odd_signatures_are_none(signer, signature):
    url = signer.sign(TARGET, 1000).partition("v1.")[0] + signature

    with pytest.raises(BadSignature):
        check(signer, url)


@pytest.mark.parametrize("more", ["title=x", "expires=9", "signature=v1.x", "key=old"])
def test_what_follows_must_be_free(signer, more):
    with pytest.raises(BadSignature):
        check(signer, f"{signer.sign('/images/card.png', 1000)}&{more}")


def test_free_and_tracking_names_may_follow(signer):
    url = signer.sign("/images/card.png?theme=dark", 1000, ["title"])

    found = check(signer, f"{url}&title=a%26b&utm_source=mail")

    assert found.query == "theme=dark&title=a%26b&utm_source=mail"


@pytest.mark.parametrize(
    "target", [f"{TARGET}&key=1", "/a?free=1", "/a?signature=v1.x"]
)
def test_reserved_names_are_not_signed(signer, target):
    with pytest.raises(ValueError, match="belong to the signature"):
        signer.sign(target, 1)


@pytest.mark.parametrize("free", ["key", "a,b", "a b", ""])
def test_odd_free_names_are_not_signed(signer, free):
    with pytest.raises(ValueError, match="not the name"):
        signer.sign(TARGET, 1, [free])


def test_old_secrets_verify_and_the_first_signs(signer):
    url = signer.sign(TARGET, 1000, key="old")

    assert check(signer, url).key == "old"
    assert "key=new" in signer.sign(TARGET, 1000)
    with pytest.raises(ValueError, match="no secret"):
        signer.sign(TARGET, 1000, key="lost")


def test_another_secret_signs_otherwise(signer):
    other = UrlSigner(lambda: {"new": b"x" * 32})

    assert other.sign("a.png", 1) != signer.sign("a.png", 1)


def test_all_who_share_a_store_share_the_secret(tmp_path):
    stores = [open_store(str(tmp_path), 1 << 20, "keys") for _ in range(8)]

    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(secret_of, stores))

    assert len(keys) == 1
    assert len(keys.pop()) == 32


def test_sixteen_workers_that_share_no_lock_sign_with_one_secret():
    store = open_store("memory:", 1 << 20, "keys")

    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(secret_of, [store] * 16))

    assert len(keys) == 1


def test_nothing_is_signed_with_a_damaged_secret(tmp_path):
    store = open_store(str(tmp_path), 1 << 20, "keys")
    store.put(key_for("key of signed URLs"), b"")

    with pytest.raises(StoreError, match="damaged"):
        secret_of(store)
