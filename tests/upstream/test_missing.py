"""What is no image is never delivered as one, and never dropped in silence."""

import pytest

from app.upstream.errors import BadMedia, UpstreamFiltered
from app.upstream.response.reader import Linked, Missing, read_fetched
from tests.upstream.pictures import (
    ART,
    JPEG,
    PNG,
    WEBP,
    answered,
    b64,
    content,
    dump,
    held,
)
from tests.upstream.wire_forms import URL, sse, zipped


def test_a_pointer_to_nothing_is_named():
    with (
        pytest.raises(BadMedia, match="/x/y"),
        answered(dump({"image": b64(PNG)}), pointer="/x/y"),
    ):
        pass


_BLOCKED = "Filter reason: prompt"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (PNG, {"Finish-Reason": "CONTENT_FILTERED", "Seed": "1"}),
        (
            dump(
                {
                    "artifacts": [
                        {"base64": b64(PNG), "finishReason": "CONTENT_FILTERED"}
                    ]
                }
            ),
            {},
        ),
        (dump({"image": b64(PNG), "finish_reason": "CONTENT_FILTERED", "seed": 1}), {}),
        (dump({"finish_reason": "CONTENT_FILTERED", "seed": 1}), {}),
        (dump({"images": [b64(PNG)], "finish_reasons": [_BLOCKED], "seeds": [1]}), {}),
        (dump({"images": [None], "finish_reasons": [_BLOCKED]}), {}),
        (dump({"images": [""], "finish_reasons": [_BLOCKED]}), {}),
        (dump({"predictions": [{"raiFilteredReason": "Try again. 58061214"}]}), {}),
        (dump({"candidates": [{"finishReason": "IMAGE_SAFETY", "content": {}}]}), {}),
        (dump({"candidates": [{"finishReason": "PROHIBITED_CONTENT"}]}), {}),
        (dump({"promptFeedback": {"blockReason": "OTHER"}}), {}),
        (dump({"images": [{"url": URL}], "has_nsfw_concepts": [True]}), {}),
        (dump({"error": {"code": "moderation_blocked", "message": "no"}}), {}),
        (dump({"status": "failed", "error": "NSFW content detected."}), {}),
        (b"Blocked by our content filter, sorry.", {}),
        (sse({"type": "error", "error": {"code": "content_policy_violation"}}), {}),
    ],
)
def test_a_filtered_image_is_never_a_success(body, headers):
    with (
        pytest.raises(UpstreamFiltered) as raised,
        answered(body, "", headers=headers),
    ):
        pass

    assert raised.value.upstream == "art"
    assert raised.value.reason


def test_the_good_images_of_a_batch_are_kept():
    document = {
        "images": [b64(PNG), b64(WEBP), b64(JPEG)],
        "seeds": [1, 2, 3],
        "finish_reasons": [None, "Filter reason: output image", "Inference error"],
    }

    with answered(dump(document), asked=4) as answer:
        (image,) = answer.images

    assert (image.seed, image.media_type) == (1, "image/png")
    assert answer.missing == (
        Missing("Filter reason: output image", filtered=True),
        Missing("Inference error"),
        Missing("only 3 of 4 images came"),
    )


def test_the_reason_for_a_short_batch_is_kept():
    document = {"images": [b64(PNG)], "error": "2 images were blocked by our filters"}

    with answered(dump(document), asked=3) as answer:
        assert content(answer.images[0]) == PNG
        assert answer.missing == (Missing(document["error"], filtered=True),) * 2


def test_a_filtered_image_in_the_middle_does_not_move_the_seeds():
    artifacts = [
        {"base64": b64(PNG), "finishReason": "SUCCESS", "seed": 1},
        {"base64": b64(PNG), "finishReason": "CONTENT_FILTERED", "seed": 2},
        {"base64": b64(JPEG), "finishReason": "SUCCESS", "seed": 3},
    ]

    with answered(dump({"artifacts": artifacts}), asked=3) as answer:
        assert [image.seed for image in answer.images] == [1, 3]
        assert [image.finish for image in answer.images] == ["success", "success"]
        assert [missing.filtered for missing in answer.missing] == [True]


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"", "image/png", "empty"),
        (b"<!doctype html><title>Sign in</title>", "image/png", "Sign in"),
        (b"<html></html>", "text/html", "HTML page"),
        (b"Model is loading, please wait", "text/plain", "base64 has not"),
        (dump({"error": "deprecated model"}), "image/png", "deprecated model"),
        (dump({"detail": [{"msg": "no such field"}]}), "", "no such field"),
        (dump({"success": False, "errors": [{"message": "1042"}]}), "", "1042"),
        (dump({"data": []}), "", "no image"),
        (dump({"created": 1}), "", "no image"),
        (dump({"data": [{"b64_json": ""}]}), "", "nothing is in its place"),
        (
            dump({"data": [{"b64_json": b64(b"words, not an image" * 9)}]}),
            "",
            "base64 has",
        ),
        (dump({"image": b64(b'{"error": 1}' * 9)}), "", "json"),
        (dump({"data": [{"url": "gs://bucket/a.png"}]}), "", "cannot be fetched"),
        (
            dump({"data": [{"url": "file:///root/images/a.png"}]}),
            "",
            "cannot be fetched",
        ),
        (dump({"data": [{"url": "file:///etc/passwd"}]}), "", "cannot be fetched"),
        (dump({"data": [{"url": "https://a/" + "x" * 9_000}]}), "", "too long"),
        (dump({"status": "processing", "output": [URL]}), "", "not finished"),
        (dump({"status": "failed", "error": "out of memory"}), "", "out of memory"),
        (dump({"image": b64(PNG)})[:-40], "", "cut off"),
        (dump({"image": b64(PNG)})[:-1], "", "not whole"),
        (dump({"image": b64(PNG)[:-40]}), "", "cut off"),
        (dump({"image": b64(PNG[:-20])}), "", "cut off"),
        (PNG[:-20], "image/png", "cut off"),
        (b'{"a": NaN, "image": }', "", "not whole"),
        (b"[" * 5_000, "", "not whole"),
        (b'{"image": "' + b"A" * 2_000 + b"\\" * 99 + b'"}', "", "backslashes"),
        (b'{"image": "' + b"A" * 262_000 + b"\\" * 399 + b'"}', "", "backslashes"),
        (dump({"image": "A" * 2_000})[:-2] + b"\\u00", "", "cut off"),
        (zipped(PNG) + b"\0", "application/zip", "cut off"),
        (b"PK\x06\x07" + bytes(16) + zipped()[-22:], "application/zip", "unknown"),
        (
            zipped(PNG)[:-22] + b"PK\x06\x07" + bytes(16) + zipped(PNG)[-22:],
            "",
            "64-bit",
        ),
        (zipped(PNG)[:-9] + b"\xff" * 7 + bytes(2), "", "too many members"),
        (b"\x1f\x8b\x08" + b"\1" * 50, "image/png", "gzip"),
        (b"\x01\x02\x03\x04", "image/png", "unknown bytes"),
        (b"data: {\n\n", "text/event-stream", "not whole"),
        (b": ping\n" * 30_000, "text/event-stream", "too many lines"),
        (
            sse({"type": "image_generation.partial_image", "b64_json": b64(PNG)}),
            "text/event-stream",
            "before an image was complete",
        ),
        (zipped(), "application/zip", "no image"),
        (zipped(PNG)[:-9], "application/zip", "cut off"),
        (zipped(b"text"), "application/zip", "not an image"),
    ],
)
def test_what_is_no_image_is_never_delivered(body, content_type, reason):
    with (
        pytest.raises(BadMedia, match=reason) as raised,
        answered(body, content_type),
    ):
        pass

    assert raised.value.outcome_unknown


@pytest.mark.parametrize("status", [202, 204, 304])
def test_a_status_without_an_image_is_refused(status):
    with (
        pytest.raises(BadMedia),
        answered(b"" if status == 204 else dump({"id": 1}), status=status),
    ):
        pass


@pytest.mark.parametrize(
    "body", [dump({"data": [{"url": URL}]}), b"<html>Expired</html>"]
)
def test_an_address_that_leads_to_no_image_is_refused(body):
    with held(body) as region, held(b"") as decoded, pytest.raises(BadMedia):
        read_fetched(
            region.file,
            decoded.file,
            Linked(URL),
            ART,
            content_type="",
        )


def test_an_encrypted_zip_is_refused():
    body = bytearray(zipped(PNG))
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        body[body.index(magic) + at] |= 1

    with pytest.raises(BadMedia, match="encrypted"), answered(bytes(body)):
        pass


def test_a_damaged_zip_is_refused():
    middle = bytearray(zipped(PNG))
    middle[60:70] = bytes(10)

    with pytest.raises(BadMedia, match="damaged"), answered(bytes(middle)):
        pass
