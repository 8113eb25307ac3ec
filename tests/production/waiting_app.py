"""The app, whose import waits for the file in `WAITING_APP_FILE`, 30 s at most."""

import os
import time
from pathlib import Path

from app import create_app

_END = time.monotonic() + 30
while not Path(os.environ["WAITING_APP_FILE"]).exists() and time.monotonic() < _END:
    time.sleep(0.02)

app = create_app()
