"""The threads that work on an image."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def pool(workers: int) -> ThreadPoolExecutor:
    """Return threads that stay."""
    return ThreadPoolExecutor(workers, thread_name_prefix="convsmith-images")


if hasattr(os, "register_at_fork"):
    # A child has none of its parent's threads, and would wait for them forever.
    os.register_at_fork(after_in_child=pool.cache_clear)


def share(one: Callable[[Any], None], todo: Sequence[Any], workers: int) -> None:
    """Call a function with each entry, in any order, on at most so many threads."""
    left = iter(todo)

    def help_out() -> None:
        for entry in left:
            one(entry)

    # This thread works too: it needn't be woken.
    helpers = [pool(workers).submit(help_out) for _ in range(min(workers, len(todo)) - 1)]
    help_out()
    for helper in helpers:
        helper.result()
