"""Histories that nobody thought of: files, branches and merges at random, through fast-import."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

from git_history.tests.workshop import MONDAY, Workshop

Files: TypeAlias = dict[bytes, tuple[bytes, bytes]]
"""Mode and content, by path. The content of a submodule is a commit's id."""

NAMES: Final = [
    *(b"a", b"b", b"a~2", b"dir/a", b"dir/b", b"dir/deep/c", b"sp ace", b'"quoted"', b"new\nline"),
    *(b"tab\t", b"\xff\xfe", b"back\\slash", b"\\xff", "\u202e\N{SNOWMAN}".encode()),
    *(b"old => new", b"{a => b}", b":1", b"-x", b"commit 1", b"author x", b"\x1b[31m"),
]
PEOPLE: Final = ["Ada <ada@x>", "J\N{LATIN SMALL LETTER U WITH DIAERESIS}rgen <>", 'C "q" <c@x>']


@dataclass
class _Commit:
    files: Files
    length: int


def make_random_history(workshop: Workshop, random: Random, commits: int) -> None:
    """Make commits on branches that part and merge; HEAD is the branch with the longest line."""
    made: list[_Commit] = []
    tips: dict[str, int] = {}
    script: list[bytes] = []
    for mark in range(commits):
        branch, parents = _choose_parents(random, tips)
        files = dict(made[parents[0]].files) if parents else {}
        for merged in parents[1:]:
            _merge(random, files, made[merged].files)
        for _ in range(random.randrange(6)):
            _change_something(random, files)
        script += _commit(random, branch, mark, parents)
        script += _tree(files)
        made.append(_Commit(files, 1 + (made[parents[0]].length if parents else 0)))
        tips[branch] = mark
    workshop.git("fast-import", "--quiet", "--force", stdin=b"".join(script))
    longest = max(tips, key=lambda branch: made[tips[branch]].length)
    workshop.git("symbolic-ref", "HEAD", f"refs/heads/{longest}")


def _choose_parents(random: Random, tips: dict[str, int]) -> tuple[str, list[int]]:
    if not tips:
        return "main", []
    branch, other = random.choice(list(tips)), random.choice(list(tips))
    parents = [tips[branch]]
    if random.random() < 0.2 and tips[other] != tips[branch]:
        parents.append(tips[other])
    return (f"branch{len(tips)}" if random.random() < 0.15 else branch), parents


def _commit(random: Random, branch: str, mark: int, parents: list[int]) -> Iterator[bytes]:
    date = MONDAY + mark * 3600 + random.randrange(-20_000, 20_000)
    person = random.choice(PEOPLE)
    yield (
        f"commit refs/heads/{branch}\nmark :{mark + 1}\nauthor {person} {date - 100} +0000\n"
        f"committer {person} {date} -0330\ndata 0\n"
    ).encode()
    for word, parent in zip(("from", "merge"), parents, strict=False):
        yield f"{word} :{parent + 1}\n".encode()


def _tree(files: Files) -> Iterator[bytes]:
    yield b"deleteall\n"
    for path, (mode, content) in files.items():
        quoted = b'"%s"' % b"".join(b"\\%03o" % byte for byte in path)
        if mode == b"160000":
            yield b"M %s %s %s\n" % (mode, content, quoted)
        else:
            yield b"M %s inline %s\ndata %d\n%s\n" % (mode, quoted, len(content), content)


def _merge(random: Random, files: Files, others: Files) -> None:
    for path, file in others.items():
        if random.random() < 0.5:
            _put(files, path, file)


def _change_something(random: Random, files: Files) -> None:
    chance = random.random()
    if chance < 0.35 or not files:
        _put(files, _path(random), _new_file(random))
        return
    path = random.choice(list(files))
    mode, content = files[path]
    if chance < 0.6:
        files[path] = (mode, _edited(random, mode, content))
    elif chance < 0.7:
        del files[path]
    elif chance < 0.9:
        del files[path]
        content = _edited(random, mode, content) if random.random() < 0.5 else content
        _put(files, _path(random), (mode, content))
    elif chance < 0.95:
        other = random.choice(list(files))
        files[path], files[other] = files[other], files[path]
    elif mode.startswith(b"100"):
        files[path] = (b"100755" if mode == b"100644" else b"100644", content)


def _path(random: Random) -> bytes:
    return random.choice(NAMES) + random.choice([b"", b"", b"1", b"2"])


def _new_file(random: Random) -> tuple[bytes, bytes]:
    chance = random.random()
    if chance < 0.05:
        return b"160000", b"%040x" % random.randrange(1 << 60)
    if chance < 0.12:
        return b"120000", b"target%d" % random.randrange(9)
    return random.choice([b"100644", b"100755"]), _content(random)


def _content(random: Random) -> bytes:
    chance = random.random()
    if chance < 0.1:
        return b"\0" + random.randbytes(20)
    if chance < 0.2:
        return b""
    lines = [b"line %d\n" % random.randrange(40) for _ in range(random.randrange(1, 30))]
    return b"".join(lines).removesuffix(b"\n" if chance < 0.3 else b"")


def _edited(random: Random, mode: bytes, content: bytes) -> bytes:
    if mode == b"160000":
        return b"%040x" % random.randrange(1 << 60)
    if b"\0" in content or random.random() < 0.1:
        return _content(random) or b"content"
    lines = content.splitlines(keepends=True)
    start = random.randrange(len(lines) + 1)
    del lines[start : start + 1]
    lines.insert(random.randrange(len(lines) + 1), b"new %d\n" % random.randrange(1000))
    return b"".join(lines)


def _put(files: Files, path: bytes, file: tuple[bytes, bytes]) -> None:
    """Put a file at a path, in place of the directories and files that cannot be there then."""
    for other in list(files):
        if other.startswith(path + b"/") or path.startswith(other + b"/"):
            del files[other]
    files[path] = file
