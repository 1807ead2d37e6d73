"""Requests that run at the same time, their results in order, and none lost that had come when one failed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from itertools import count
from queue import SimpleQueue

from fieldguide.errors import ModelError
from fieldguide.models.base import Generation


class Unfinished(ModelError):
    """A request failed. ``finished`` holds the generations that had come, by their place among the prompts."""

    def __init__(self, message: str, finished: Mapping[int, Generation]) -> None:
        super().__init__(message)
        self.finished = dict(finished)


def in_parallel(
    ask: Callable[[int], Generation], number: int, threads: int, on_reply: Callable[[int], None] | None = None
) -> list[Generation]:
    """``ask(0)``, …, ``ask(number - 1)``, at most ``threads`` at a time; ``on_reply(1)`` is called after each.

    After a failure nothing new is asked, what is under way is waited for, and Unfinished is raised if it was a
    ModelError, else the error itself. An interruption (Ctrl-C) waits for nothing.
    """
    found: dict[int, Generation] = {}
    replies: SimpleQueue[tuple[int, Generation | BaseException]] = SimpleQueue()
    turn = count()  # next() on it is atomic
    stopped = threading.Event()

    def work() -> None:
        while not stopped.is_set() and (place := next(turn)) < number:
            try:
                replies.put((place, ask(place)))
            except BaseException as error:  # handed on to the caller
                stopped.set()
                replies.put((place, error))

    # Daemons, so that a request that never returns does not keep an interrupted program from ending.
    workers = [threading.Thread(target=work, daemon=True) for _ in range(min(threads, number))]
    failure: BaseException | None = None
    try:
        for worker in workers:
            worker.start()
        while len(found) < number and failure is None:
            failure = _take(replies, found, on_reply)
    finally:
        stopped.set()
    if failure is None:
        return [found[place] for place in range(number)]
    for worker in workers:
        worker.join()
    while not replies.empty():
        _take(replies, found, on_reply)
    if isinstance(failure, ModelError):
        raise Unfinished(str(failure), found) from failure
    raise failure


def _take(
    replies: SimpleQueue[tuple[int, Generation | BaseException]],
    found: dict[int, Generation],
    on_reply: Callable[[int], None] | None,
) -> BaseException | None:
    """The next reply into ``found``, or the error that came in its place."""
    place, reply = replies.get()
    if isinstance(reply, BaseException):
        return reply
    found[place] = reply
    if on_reply is not None:
        on_reply(1)
    return None
