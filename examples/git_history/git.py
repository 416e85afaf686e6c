"""Run git on one repository, so that it always says the same. Nothing here knows castore.

What git prints depends on a good deal besides the repository: the user's configuration, the
environment, the attributes in the working tree. All of it is set here, once, for whoever asks.
Git 2.31 or newer is needed.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

_CHUNK: Final = 1 << 16

_KEPT_VARIABLES = ("GIT_CEILING_DIRECTORIES", "GIT_CONFIG", "GIT_EXEC_PATH")
"""Where git is, and where its configuration is: that may have to call a directory safe."""

_SET_VARIABLES = {
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}

_SETTINGS = {
    "color.ui": "never",
    "core.attributesFile": os.devnull,
    "core.bigFileThreshold": "512m",
    "core.commitGraph": "false",  # it cuts off commit dates after the year 2514
    "core.quotePath": "false",
    "log.showSignature": "false",
}

DIFF_OPTIONS: Final = (
    "-r",
    "-z",
    "--no-abbrev",
    "--no-color",
    "--no-ext-diff",
    "--no-relative",
    "--no-textconv",
    "--diff-algorithm=myers",
    "--ignore-submodules=none",
    "--submodule=short",
    f"-O{os.devnull}",  # no diff.orderFile
)
"""What a user's configuration could set otherwise, for every diff; renames are up to each."""

FIRST_PARENT_OPTIONS: Final = ("--first-parent", "--diff-merges=first-parent", "--root")
"""Follow first parents only, and compare each commit, merges too, with its first parent."""


class GitError(Exception):
    """Git could not answer."""

    def __init__(self, command: str, complaint: str) -> None:
        super().__init__(command, complaint)
        self.command = command
        self.complaint = complaint

    def __str__(self) -> str:
        return f"git {self.command}: {self.complaint or 'failed without a word'}"


class NotARepositoryError(Exception):
    """There is no git repository at the path, or git refuses to read it."""

    def __init__(self, path: Path, complaint: str) -> None:
        super().__init__(path, complaint)
        self.path = path
        self.complaint = complaint

    def __str__(self) -> str:
        return f"{self.path} is not a git repository that can be read: {self.complaint}"


@dataclass(frozen=True)
class Repository:
    """A git repository. ``root`` is its working tree, or its git directory where it is bare."""

    root: Path
    git_dir: Path
    empty_tree: str

    @classmethod
    def find(cls, path: Path) -> "Repository":
        """Return the repository that ``path`` lies in.

        Raises:
            NotARepositoryError: there is none.
        """
        try:
            git_dir = _find(path, "--absolute-git-dir")
        except GitError as error:
            raise NotARepositoryError(path, error.complaint) from error
        try:
            root = _find(path, "--show-toplevel")
        except GitError:  # it is bare
            root = git_dir
        empty_tree = cls(root, git_dir, "").ask("hash-object", "-t", "tree", "--stdin")
        return cls(root, git_dir, empty_tree.decode().strip())

    def head(self) -> str | None:
        """Return the commit that HEAD stands on, or None where there is none yet."""
        try:
            return self.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}").decode().strip()
        except GitError:
            if self._is_unborn():
                return None
            raise

    def contains(self, commit: str) -> bool:
        """Return whether the repository has the commit."""
        try:
            self.ask("cat-file", "-e", f"{commit}^{{commit}}")
        except GitError:
            return False
        return True

    def ask(self, *arguments: str) -> bytes:
        """Return what git prints."""
        return _run(arguments[0], self._command(arguments), self.git_dir, self._environment())

    def stream(self, *arguments: str) -> Iterator[bytes]:
        """Yield the NUL-terminated fields that git prints, while it prints them.

        Raises:
            GitError: git failed, after the fields that came so far.
        """
        with tempfile.TemporaryFile() as complaints:
            process = subprocess.Popen(
                self._command(arguments),
                bufsize=0,
                cwd=self.git_dir,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                start_new_session=True,  # Ctrl-C is for us: git ends when we do
            )
            with process:
                try:
                    yield from _split(cast("IO[bytes]", process.stdout))
                    exit_code = process.wait()
                finally:
                    process.kill()  # the reader may leave early; one that ended feels nothing
            if exit_code != 0:
                complaints.seek(0)
                raise GitError(arguments[0], _text(complaints.read()))

    def _is_unborn(self) -> bool:
        branch = self.ask("symbolic-ref", "--quiet", "HEAD").removesuffix(b"\n")
        return not self.ask("for-each-ref", os.fsdecode(branch))

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        # --bare, and run in the git directory: attributes in the working tree play no part.
        settings = [word for setting in _SETTINGS.items() for word in ("-c", "=".join(setting))]
        return ["git", "--no-pager", f"--git-dir={self.git_dir}", "--bare", *settings, *arguments]

    def _environment(self) -> dict[str, str]:
        # Newer git may take the attributes of a bare repository from HEAD.
        return _environment() | ({"GIT_ATTR_SOURCE": self.empty_tree} if self.empty_tree else {})


def _find(path: Path, option: str) -> Path:
    command = ["git", "-C", os.fspath(path), "rev-parse", option]
    printed = _run("rev-parse", command, None, _environment())
    return Path(os.fsdecode(printed.removesuffix(b"\n")))


def _run(name: str, command: list[str], cwd: Path | None, environment: dict[str, str]) -> bytes:
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    if done.returncode != 0:
        raise GitError(name, _text(done.stderr))
    return done.stdout


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith(_KEPT_VARIABLES)
    }
    return kept | _SET_VARIABLES


def _split(output: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while chunk := output.read(_CHUNK):
        *fields, rest = (rest + chunk).split(b"\0")
        yield from fields


def _text(complaint: bytes) -> str:
    return complaint.decode(errors="replace").strip().removeprefix("fatal: ")
