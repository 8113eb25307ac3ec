"""What a request may be called by whoever sends it."""

import re

# It goes into a log of lines, so it holds no line feed and no quotation mark.
REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}\Z")
