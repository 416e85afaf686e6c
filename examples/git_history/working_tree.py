"""All the files at one point of the history: what the events, one after the other, come to.

The same fold serves the import, which has to know which aggregate is at a path, the answers, and
the verification, which compares it with git.
"""

from collections.abc import Mapping
from itertools import count

from git_history.files import File, FileEvent, ImpossibleEventError, reduce_file


class WorkingTree:
    """The files, by aggregate and by path.

    A file is named after the path where it was born, and keeps that name wherever it moves. At a
    path that a file was deleted from, a new one continues its aggregate. A file that is born where
    another one, since moved away, was born before gets a number to its name: ``a.py~2``.
    """

    def __init__(self) -> None:
        self._files: dict[str, File] = {}
        self._live: dict[str, str] = {}
        self._gone: dict[str, str] = {}

    @property
    def files(self) -> Mapping[str, File]:
        """Every file that ever was, by its aggregate id."""
        return self._files

    def live_files(self) -> dict[str, File]:
        """Return the files that are there, by their path."""
        return {path: self._files[aggregate_id] for path, aggregate_id in self._live.items()}

    def find(self, path: str) -> File | None:
        """Return the file at the path; where none is, the one that was deleted from it last."""
        aggregate_id = self._live.get(path) or self._gone.get(path)
        return self._files[aggregate_id] if aggregate_id else None

    def live(self, path: str) -> File:
        """Return the file that is at the path."""
        return self._files[self._live[path]]

    def next_birth(self, path: str) -> tuple[str, int]:
        """Return the aggregate id and the version of a file that appears at the path."""
        if path in self._gone:
            file = self._files[self._gone[path]]
            return file.aggregate_id, file.version + 1
        names = (f"{path}~{n}" if n > 1 else path for n in count(1))
        return next(name for name in names if name not in self._files), 1

    def apply(self, event: FileEvent) -> File:
        """Apply the event, and return its file.

        Raises:
            ImpossibleEventError: the event does not follow on those before it.
        """
        before = self._files.get(event.aggregate_id)
        if event.version != (before.version if before else 0) + 1:
            raise ImpossibleEventError(event, "the version before it is missing")
        file = self._files[event.aggregate_id] = reduce_file(before, event)
        if before is not None and before.is_live:
            self._leave(before)
        self._arrive(file)
        return file

    def _leave(self, file: File) -> None:
        if self._live.get(file.path) == file.aggregate_id:
            del self._live[file.path]

    def _arrive(self, file: File) -> None:
        if not file.is_live:
            self._gone[file.path] = file.aggregate_id
            return
        self._live[file.path] = file.aggregate_id
        if self._gone.get(file.path) == file.aggregate_id:
            del self._gone[file.path]
