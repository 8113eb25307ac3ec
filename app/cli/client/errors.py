"""What can go wrong with a server elsewhere."""

import requests


class RemoteError(Exception):
    """The server cannot be used or cannot do it; the text says why."""


class BrokenOff(RemoteError):
    """A download broke off too often; what has come of it is kept."""


def reason_of(error: Exception) -> str:
    """Say in a sentence what broke; the libraries' own texts are chains of causes."""
    if isinstance(error, requests.Timeout):
        return "The server is silent."
    if isinstance(error, requests.exceptions.SSLError):
        return "Its certificate cannot be trusted."
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "The connection broke off."
    return "There is no connection to the server."
