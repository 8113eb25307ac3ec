"""No more tokens are held than there are, by whatever process."""

import os
import signal

from app.pipeline.core_tokens import CoreTokens


def take_in_a_fork(tokens: CoreTokens, most: int) -> tuple[int, int | None]:
    """Return the id of a process that waits for its end, and the token it got."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        token = tokens.take(most)
        os.write(write, repr(token).encode())
        signal.pause()
        os._exit(0)
    os.close(write)
    said = os.read(read, 100).decode()
    os.close(read)
    return pid, None if said == "None" else int(said)


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_there_are_so_many_tokens_and_no_more() -> None:
    tokens = CoreTokens()

    assert [tokens.take(2), tokens.take(2), tokens.take(2)] == [0, 1, None]


def test_a_token_that_is_given_back_is_taken_again() -> None:
    tokens = CoreTokens()
    tokens.take(2)
    tokens.take(2)

    tokens.give_back(0)

    assert (tokens.take(2), tokens.take(2)) == (0, None)


def test_a_process_forked_from_this_one_holds_none_of_its_tokens() -> None:
    tokens = CoreTokens()
    tokens.take(2)

    first, one = take_in_a_fork(tokens, 2)
    second, none = take_in_a_fork(tokens, 2)

    end(first)
    end(second)
    assert (one, none) == (1, None)


def test_the_kernel_gives_back_what_a_killed_process_held() -> None:
    tokens = CoreTokens()
    pid, token = take_in_a_fork(tokens, 1)

    assert (token, tokens.take(1)) == (0, None)
    end(pid)
    assert tokens.take(1) == 0
