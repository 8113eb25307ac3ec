"""A solid picture as most people would write it: FastAPI, uvicorn, Pillow defaults."""

import io
import os

import uvicorn
from fastapi import FastAPI, Response
from PIL import Image

app = FastAPI()


@app.get("/solid.png")
def solid(color: str, width: int = 512, height: int = 512) -> Response:
    """Draw a plain rectangle."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), f"#{color}").save(buffer, "PNG")
    return Response(buffer.getvalue(), media_type="image/png")


if __name__ == "__main__":
    uvicorn.run(
        "benchmarks.contenders.fastapi_app:app",
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        workers=int(os.environ["WORKERS"]),
        access_log=False,
        log_level="warning",
    )
