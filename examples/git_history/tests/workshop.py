"""Make git repositories for tests, each in a directory of its own."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from git_history.git import Repository

MONDAY: Final = 1_700_000_000

_ENVIRONMENT = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


@dataclass
class Workshop:
    """A repository, and a clock: each commit is made an hour after the one before."""

    path: Path
    now: int = MONDAY

    @classmethod
    def init(cls, path: Path, *options: str) -> "Workshop":
        """Make a repository whose branch is ``main``."""
        subprocess.run(["git", "init", "-q", "-b", "main", *options, path], check=True)
        return cls(path)

    @property
    def repository(self) -> Repository:
        """The repository, as the import sees it."""
        return Repository.find(self.path)

    def git(
        self,
        *arguments: str | bytes,
        stdin: bytes = b"",
        environment: dict[str, str] | None = None,
    ) -> str:
        """Run git, and return what it prints."""
        dates = {"GIT_AUTHOR_DATE": f"{self.now} +0200", "GIT_COMMITTER_DATE": f"{self.now} -0700"}
        done = subprocess.run(
            ["git", "-C", self.path, "-c", "protocol.file.allow=always", *arguments],
            check=True,
            env=os.environ | _ENVIRONMENT | dates | (environment or {}),
            input=stdin,
            capture_output=True,
        )
        return done.stdout.decode(errors="replace").strip()

    def write(self, path: str | bytes, content: str | bytes = "one\ntwo\nthree\n") -> None:
        """Write a file into the working tree."""
        file = self.path / os.fsdecode(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, subject: str = "a commit", *, author: str = "Ada", **environment: str) -> str:
        """Commit whatever the working tree holds, and return the commit's id."""
        self.now += 3600
        self.git("add", "--all")
        self.git(
            *("commit", "-q", "--allow-empty", "-m", subject),
            environment={"GIT_AUTHOR_NAME": author, **environment},
        )
        return self.head()

    def head(self) -> str:
        """Return the commit that HEAD stands on."""
        return self.git("rev-parse", "HEAD")

    def raw_commit(self, author: str, committer: str, parents: Sequence[str] = ()) -> str:
        """Commit the index with an author and a committer that git itself would not write."""
        lines = [
            f"tree {self.git('write-tree')}",
            *(f"parent {parent}" for parent in parents),
            f"author {author}",
            f"committer {committer}",
        ]
        content = os.fsencode("\n".join([*lines, "", "raw"]))
        commit = self.git(
            "hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=content
        )
        self.git("update-ref", "HEAD", commit)
        return commit


def make_odd_history(workshop: Workshop) -> None:
    """Make some 20 commits in which everything happens that can happen to a file."""
    _odd_names(workshop)
    _comings_and_goings(workshop)
    _odd_kinds(workshop)
    _merges(workshop)
    _odd_commits(workshop)


def _odd_names(workshop: Workshop) -> None:
    workshop.commit("nothing yet")
    names = [b"plain", b"sp ace", b'"quoted"', b"a\nline", b"tab\t", b"latin-\xfc", b"back\\slash"]
    names += [b"latin-\\xfc", "ü".encode(), b"a => b", b":100644", b"-x", b"~", b"plain~2"]
    for number, name in enumerate(names):
        workshop.write(name, f"{number}\n" * 20)
    workshop.write("empty", b"")
    workshop.write("no newline at the end", b"one")
    workshop.commit("odd names")
    for name in names:
        workshop.git("mv", b"./" + name, b"./moved " + name)
        workshop.write(b"moved " + name, f"{names.index(name)}\n" * 18 + "new\n")
    workshop.commit("all of them move", author="Grace")


def _comings_and_goings(workshop: Workshop) -> None:
    workshop.write("plain", "born where another one was born\n" * 5)
    workshop.write("deep/er/file", "one\n")
    workshop.commit("a name for the second time", author="J\N{LATIN SMALL LETTER U WITH DIAERESIS}")
    (workshop.path / "plain").unlink()
    workshop.commit("gone")
    workshop.write("plain", "back\n")
    workshop.commit("back", author="Grace")
    workshop.git("rm", "-q", "-r", "deep")
    workshop.write("deep", "a file where a directory was\n")
    workshop.commit("a directory becomes a file")
    workshop.git("mv", "plain", "swap")
    workshop.git("mv", "deep", "plain")
    workshop.git("mv", "swap", "deep")
    workshop.commit("two files change places")
    workshop.git("mv", "-f", "plain", "deep")
    workshop.commit("one takes the place of another")


def _odd_kinds(workshop: Workshop) -> None:
    workshop.write("binary", bytes(range(256)))
    workshop.write("turns", "text\n" * 9)
    workshop.write("script", "#!/bin/sh\n")
    (workshop.path / "link").symlink_to("script")
    workshop.commit("kinds")
    workshop.write("binary", bytes(range(255)))
    workshop.write("turns", b"text\0" * 9)
    (workshop.path / "script").chmod(0o755)
    (workshop.path / "link").unlink()
    workshop.write("link", "no link\nany more\n")
    workshop.commit("other kinds", author="Grace")
    workshop.git("mv", "binary", "moved binary")
    workshop.write("turns", "text again\n" * 9)
    workshop.git("update-index", "--add", "--cacheinfo", f"160000,{workshop.head()},module")
    (workshop.path / "module").mkdir()
    workshop.commit("a submodule")
    workshop.git("update-index", "--cacheinfo", f"160000,{workshop.head()},module")
    workshop.commit("the submodule moves on")


def _merges(workshop: Workshop) -> None:
    workshop.git("switch", "-q", "-c", "branch", "HEAD~3")
    workshop.write("on the branch", "one\ntwo\n")
    workshop.commit("on the branch", author="Grace")
    workshop.write("on the branch", "one\ntwo\nthree\n")
    workshop.commit("again on the branch", author="Grace")
    workshop.git("switch", "-q", "main")
    workshop.write("on main", "one\n")
    workshop.commit("on main")
    workshop.git("merge", "-q", "--no-ff", "-m", "a merge", "branch")
    workshop.git("switch", "-q", "--orphan", "stranger")
    workshop.write("from elsewhere", "one\n")
    workshop.commit("another root")
    workshop.git("switch", "-q", "main")
    workshop.git("merge", "-q", "--allow-unrelated-histories", "-m", "two roots", "stranger")


def _odd_commits(workshop: Workshop) -> None:
    workshop.commit("empty")
    workshop.commit("an hour back", GIT_COMMITTER_DATE=f"{workshop.now - 7200} +0000")
    workshop.raw_commit("A <a@x> 99999999999 -1200", "C <c@x> 1 +0000", [workshop.head()])
    workshop.write("plain", "the end\n")
    workshop.commit("the end")
