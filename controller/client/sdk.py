"""What the OpenFeature SDK needs from outside after a fork."""

from __future__ import annotations

import atexit
from concurrent.futures import ThreadPoolExecutor


def renew_event_threads() -> None:
    """Give the SDK new event threads in a forked child.

    Its executor is made at import. In a child its threads are gone, but it counts them as idle: events would be queued
    and not delivered, some of them or (once all its threads had been used) for ever.
    """
    try:
        from openfeature import _event_support as support  # noqa: PLC0415 - there is no public way
    except ImportError:
        return
    if isinstance(getattr(support, "_event_executor", None), ThreadPoolExecutor):
        executor = ThreadPoolExecutor(thread_name_prefix="openfeature-event-handler")
        atexit.register(executor.shutdown, wait=True)
        support._event_executor = executor  # noqa: SLF001 - see above
