"""Parts that workers share: whatever reads a queue or a log until it is stopped.

    from castore_core.workers import Lifecycle

They are for packages that have a worker of their own. `castore_core` itself does not import them.
"""

from castore_core._cancellation import begin, ends_task, finish, is_cancelled, outlast
from castore_core._lifecycle import Lifecycle, Loop, Tasks

__all__ = [
    "Lifecycle",
    "Loop",
    "Tasks",
    "begin",
    "ends_task",
    "finish",
    "is_cancelled",
    "outlast",
]
