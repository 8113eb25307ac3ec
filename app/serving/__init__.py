"""How connections are held: gunicorn's worker, and what it refuses by itself."""
