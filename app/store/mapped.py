"""Large data of a file as memory that is the file's own."""

import mmap

# From this size on data are better left in their file.
LARGE = 1 << 20


def view(descriptor: int) -> memoryview:
    """Return all of an open file, which must not change, and not be empty.

    It takes no memory of its own, and outlives the file's closing and deletion.
    """
    return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
