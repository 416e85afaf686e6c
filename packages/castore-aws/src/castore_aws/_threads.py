"""The threads in which clients of boto3 are called."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary

# boto3's clients may be used by many threads at once; each call takes a connection of its pool.
_executors: WeakKeyDictionary[Any, tuple[int, ThreadPoolExecutor]] = WeakKeyDictionary()


def get_threads(client: Any) -> ThreadPoolExecutor:
    """Return the threads of a client, one for each connection. They end with the client."""
    process, executor = _executors.get(client, (None, None))
    if executor is None or process != os.getpid():  # a forked process has none of the threads
        size = client.meta.config.max_pool_connections
        executor = ThreadPoolExecutor(size, thread_name_prefix="castore-aws")
        _executors[client] = os.getpid(), executor
    return executor
