"""QR codes by `qrcode` and by `segno` behind Flask, ten pixels a module."""

import io

import qrcode
import segno
from flask import Flask, Response, request

app = Flask(__name__)


@app.get("/qrcode.png")
def by_qrcode() -> Response:
    """Draw a code by qrcode and Pillow."""
    target = io.BytesIO()
    qrcode.make(request.args["data"], border=4).save(target)
    return Response(target.getvalue(), mimetype="image/png")


@app.get("/segno.png")
def by_segno() -> Response:
    """Draw a code by segno, which writes PNG itself."""
    target = io.BytesIO()
    code = segno.make(request.args["data"], micro=False)
    code.save(target, kind="png", scale=10, border=4)
    return Response(target.getvalue(), mimetype="image/png")
