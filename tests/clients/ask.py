"""Ask a server as litellm and LangChain do; one line of JSON an answer."""

import json
import os
import sys

base = f"{sys.argv[1]}/v1"
os.environ |= {"OPENAI_API_KEY": "unused", "OPENAI_API_BASE": base}
os.environ |= {"OPENAI_BASE_URL": base, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}

import litellm  # type: ignore[import-not-found]  # noqa: E402
from langchain_community.utilities import (  # type: ignore[import-not-found]  # noqa: E402
    dalle_image_generator,
)

answer = litellm.image_generation(
    model="openai/dall-e-3", prompt="a sea", quality="hd", api_base=base
)
print(json.dumps(answer.data[0].url))
tool = dalle_image_generator.DallEAPIWrapper(model="dall-e-3", quality="hd")
print(json.dumps(tool.run("a sea")))
