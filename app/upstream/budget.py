"""How many retries there may be among many calls."""

import threading


class Budget:
    """Allows `reserve` retries, and `share` of one more for every call.

    A count of attempts alone multiplies the load of an upstream at the moment it
    has too much; here, retries stay under a tenth of the calls in the long run.
    The reserve is all that is ever saved up.
    """

    def __init__(self, share: float = 0.1, reserve: int = 2) -> None:
        self._share = share
        self._reserve = float(reserve)
        self._tokens = float(reserve)
        self._guard = threading.Lock()

    def earn(self) -> None:
        """Count one call, however many attempts it will take."""
        with self._guard:
            self._tokens = min(self._reserve, self._tokens + self._share)

    def spend(self) -> bool:
        """Take one retry; say whether there was one to take."""
        with self._guard:
            # Ten tenths are a little less than one.
            if self._tokens < 1 - 1e-9:
                return False
            self._tokens -= 1
            return True
