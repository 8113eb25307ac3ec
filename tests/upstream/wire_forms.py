"""One answer of each row of the table of wire forms, as the services send it.

Numbers are the rows of the table in the notes on AI gateways; rows that need
polling or a socket (3 in part, 12 to 14, 24 in part, 28) are no single answer.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.upstream.pictures import JPEG, PNG, WEBP, b64, dump

URL = "https://cdn.example/a.png?sig=1"


class Form(NamedTuple):
    """An answer: body, label, headers, and what has to come out of it."""

    body: bytes
    content_type: str
    images: tuple[bytes | str, ...]
    form: str
    seeds: tuple[int | None, ...] = ()
    headers: Mapping[str, str] = MappingProxyType({})
    prompt: str | None = None
    repairs: tuple[str, ...] = ()


def of_json(
    document: Any, *images: bytes | str, form: str = "base64", **more: Any
) -> Form:
    return Form(dump(document), "application/json", images, form, **more)


def zipped(*images: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(images):
            archive.writestr(f"image_{number}.png", data)
        archive.writestr("manifest.json", "{}")
    return buffer.getvalue()


def sse(*events: Any) -> bytes:
    lines = [f": ping\n\nevent: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


_GEMINI = {
    "candidates": [
        {
            "content": {
                "parts": [
                    {"text": "Here it is: " + "a" * 60},
                    {"inlineData": {"mimeType": "image/png", "data": b64(PNG)}},
                ]
            },
            "finishReason": "STOP",
        }
    ],
    "promptFeedback": {},
}
_WEBUI = {
    "images": [b64(PNG), b64(JPEG)],
    "parameters": {"prompt": "cat", "init_images": [b64(WEBP)]},
    "info": json.dumps({"all_seeds": [5, 6], "infotexts": ["x" * 2_000]}),
}
_ARTIFACTS = [
    {"base64": b64(PNG), "finishReason": "SUCCESS", "seed": 7},
    {"base64": b64(JPEG), "finishReason": "SUCCESS", "seed": 8},
]
_PREDICTION = {
    "id": "p1",
    "status": "succeeded",
    "input": {"image": "https://elsewhere.example/in.png"},
    "urls": {"get": "https://api.example/p1"},
}

FORMS = {
    "1 openai gpt-image": of_json(
        {"created": 1, "output_format": "png", "data": [{"b64_json": b64(PNG)}]},
        PNG,
        form="b64_json",
    ),
    "2 openai dall-e url": of_json(
        {"created": 1, "data": [{"url": URL, "revised_prompt": "a cat, sitting"}]},
        URL,
        form="url",
        prompt="a cat, sitting",
    ),
    "3 openai events": Form(
        sse(
            {"type": "image_generation.partial_image", "b64_json": b64(WEBP)},
            {"type": "image_generation.completed", "b64_json": b64(PNG)},
        ),
        "text/event-stream",
        (PNG,),
        "b64_json",
    ),
    "4 stability v1": of_json({"artifacts": _ARTIFACTS}, PNG, JPEG, seeds=(7, 8)),
    "4 stability v1 bare array": of_json(_ARTIFACTS, PNG, JPEG, seeds=(7, 8)),
    "4 stability v1 nested": of_json(
        {"artifacts": [_ARTIFACTS]}, PNG, JPEG, seeds=(7, 8)
    ),
    "5 stability v1 binary": Form(
        *(PNG, "image/png", (PNG,), "binary", (9,)),
        {"Finish-Reason": "SUCCESS", "Seed": "9"},
    ),
    "6 stability v2beta": Form(
        *(WEBP, "image/webp", (WEBP,), "binary", (10,)),
        {"finish-reason": "SUCCESS", "seed": "10"},
    ),
    "7 stability v2beta json": of_json(
        {"image": b64(PNG), "finish_reason": "SUCCESS", "seed": 11}, PNG, seeds=(11,)
    ),
    "8 webui": of_json(_WEBUI, PNG, JPEG, seeds=(5, 6)),
    "9 webui extra": of_json({"html_info": "<p>", "image": b64(PNG)}, PNG),
    "10 sd.next": of_json(
        {**_WEBUI, "info": {"all_seeds": [5, 6]}}, PNG, JPEG, seeds=(5, 6)
    ),
    "11 sd.cpp": of_json({"images": [b64(PNG)], "parameters": {}, "info": ""}, PNG),
    "15 hugging face": Form(JPEG, "image/jpeg", (JPEG,), "binary"),
    "16 replicate string": of_json({**_PREDICTION, "output": URL}, URL, form="url"),
    "16 replicate array": of_json(
        {**_PREDICTION, "output": [URL, URL]}, URL, URL, form="url"
    ),
    "16 replicate data uri": of_json(
        {**_PREDICTION, "output": [f"data:image/png;base64,{b64(PNG)}"]},
        PNG,
        form="data_uri",
    ),
    "17 fal": of_json(
        {
            "images": [{"url": URL, "content_type": "image/png", "width": 4}],
            "seed": 12,
            "has_nsfw_concepts": [False],
        },
        URL,
        form="url",
        seeds=(12,),
    ),
    "17 fal sync": of_json(
        {"images": [{"url": f"data:image/png;base64,{b64(PNG)}"}]}, PNG, form="data_uri"
    ),
    "18 together": of_json(
        {"id": "t", "model": "flux", "data": [{"index": 0, "b64_json": b64(PNG)}]},
        PNG,
        form="b64_json",
    ),
    "19 imagen": of_json(
        {"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": b64(PNG)}]},
        PNG,
    ),
    "20 gemini": of_json(_GEMINI, PNG),
    "21 bedrock sdxl": of_json(
        {"result": "success", "artifacts": _ARTIFACTS}, PNG, JPEG, seeds=(7, 8)
    ),
    "22 bedrock core": of_json(
        {"images": [b64(PNG)], "seeds": [13], "finish_reasons": [None]},
        PNG,
        seeds=(13,),
    ),
    "23 bedrock nova": of_json({"images": [b64(PNG), b64(JPEG)]}, PNG, JPEG),
    "24 workers ai": of_json(
        {"result": {"image": b64(JPEG)}, "success": True, "errors": [], "messages": []},
        JPEG,
    ),
    "25 localai": of_json(
        {"created": 1, "data": [{"url": "http://localai:8080/generated-images/b.png"}]},
        "http://localai:8080/generated-images/b.png",
        form="url",
    ),
    "26 xinference": of_json(
        {"created": 1, "data": [{"url": None, "b64_json": b64(JPEG)}]},
        JPEG,
        form="b64_json",
    ),
    "27 vllm-omni file": Form(PNG, "image/png", (PNG,), "binary"),
    "27 vllm-omni zip": Form(zipped(PNG, WEBP), "application/zip", (PNG, WEBP), "zip"),
    "29 ollama": of_json({"data": [{"b64_json": b64(PNG)}]}, PNG, form="b64_json"),
    "30 openrouter": of_json(
        {"data": [{"url": URL, "expires_at": 9}, {"b64_json": b64(PNG)}]},
        URL,
        PNG,
        form="url b64_json",
    ),
    "inference": of_json(
        {"image_base64": b64(PNG), "metadata": {"seed": 14}, "seed": 14},
        PNG,
        seeds=(14,),
    ),
    "inference, several": of_json(
        {
            "image_base64": b64(PNG),
            "images": [{"image_base64": b64(PNG)}, {"image_base64": b64(JPEG)}],
        },
        PNG,
        JPEG,
    ),
    "base64 text": Form(
        b64(PNG).encode() + b"\n",
        "text/plain",
        (PNG,),
        "base64_text",
        repairs=("whitespace",),
    ),
    "data uri text": Form(
        f"data:image/png;base64,{b64(PNG)}".encode(), "text/plain", (PNG,), "data_uri"
    ),
    "json string": of_json(b64(PNG), PNG),
}

_LINED = "\r\n".join(b64(PNG)[at : at + 76] for at in range(0, len(b64(PNG)), 76))
_URL_SAFE = b64(PNG).replace("+", "-").replace("/", "_")
_PADDED = next(
    data for n in range(3) if (data := PNG + b"\0" * n) and len(data) % 3 == 1
)


def _item(payload: str, *repairs: str, image: bytes = PNG, **more: Any) -> Form:
    document = {"data": [{"b64_json": payload, **more}]}
    form = "data_uri" if payload.startswith("data:") else "b64_json"
    return of_json(document, image, form=form, repairs=repairs)


# What services got wrong, and is mended: each with the name of its repair.
MENDED = {
    "binary labelled json": Form(
        *(PNG, "application/json", (PNG,), "binary"), repairs=("content-type",)
    ),
    "webp labelled png": Form(
        *(WEBP, "image/png", (WEBP,), "binary"), repairs=("content-type",)
    ),
    "json labelled image": Form(
        dump({"image": b64(PNG)}),
        *("image/png", (PNG,), "base64"),
        repairs=("content-type",),
    ),
    "base64 text labelled image": Form(
        b64(JPEG).encode(),
        *("image/jpeg", (JPEG,), "base64_text"),
        repairs=("content-type",),
    ),
    "events labelled json": Form(
        sse({"type": "image_generation.completed", "b64_json": b64(PNG)}),
        *("application/json", (PNG,), "b64_json"),
        repairs=("content-type",),
    ),
    "byte order mark": Form(
        b"\xef\xbb\xbf" + dump({"image": b64(PNG)}),
        *("application/json", (PNG,), "base64"),
        repairs=("bom",),
    ),
    "data uri in b64_json": _item(f"data:image/png;base64,{b64(PNG)}", "data-uri"),
    "data uri with a lie": _item(
        f"data:image/webp;base64,{b64(PNG)}", "media-type", "data-uri"
    ),
    "lie beside it": _item(b64(PNG), "media-type", output_format="jpeg"),
    "base64 of base64": _item(b64(b64(PNG).encode()), "base64-twice"),
    "lines": _item(_LINED, "whitespace"),
    "no padding": _item(b64(_PADDED).rstrip("="), "padding", image=_PADDED),
    "url-safe": _item(_URL_SAFE, "url-safe"),
    "base64 in url": of_json(
        {"data": [{"url": b64(PNG)}]}, PNG, repairs=("base64-in-url",)
    ),
}
