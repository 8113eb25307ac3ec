"""How near `html` comes to Chromium, on a gallery of pages and feature by feature."""
