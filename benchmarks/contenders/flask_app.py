"""The least that Flask can answer: the yardstick for 304 and store hits."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello() -> str:
    """Answer one word."""
    return "hello"
