"""Finding repositories, and running git in them."""

from pathlib import Path

import pytest

from git_history.git import GitError, NotARepositoryError, Repository
from git_history.tests.workshop import Workshop


def test_a_directory_in_the_working_tree_leads_to_the_repository(workshop: Workshop) -> None:
    """The whole repository is read, wherever in it the path is."""
    workshop.write("a/b/file")
    repository = Repository.find(workshop.path / "a" / "b")
    assert workshop.path.resolve() == repository.root
    assert workshop.path.resolve() / ".git" == repository.git_dir


def test_a_bare_repository_is_its_own_root(tmp_path: Path) -> None:
    """A bare repository has no working tree to show."""
    bare = Workshop.init(tmp_path / "bare.git", "--bare").repository
    assert bare.git_dir == bare.root == (tmp_path / "bare.git").resolve()


def test_a_linked_working_tree_has_a_head_of_its_own(workshop: Workshop, tmp_path: Path) -> None:
    """What is read is the HEAD of the working tree that the path is in."""
    first = workshop.commit()
    workshop.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    second = workshop.commit()
    assert second == workshop.repository.head()
    assert first == Repository.find(tmp_path / "linked").head()


def test_a_submodule_is_a_repository(workshop: Workshop, tmp_path: Path) -> None:
    """The git directory of a submodule, which names a working tree elsewhere, is read as well."""
    inner = Workshop.init(tmp_path / "inner")
    commit = inner.commit()
    workshop.git("submodule", "--quiet", "add", str(inner.path), "module")
    assert commit == Repository.find(workshop.path / "module").head()


def test_a_path_outside_of_any_repository_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the path and says what git said."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(NotARepositoryError, match="not a git repository") as caught:
        Repository.find(tmp_path)
    assert tmp_path == caught.value.path


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A path that does not exist is no repository either."""
    with pytest.raises(NotARepositoryError, match="cannot change to"):
        Repository.find(tmp_path / "nowhere")


def test_an_unborn_head_is_no_commit(workshop: Workshop) -> None:
    """A repository without a commit is not an error."""
    assert workshop.repository.head() is None


def test_a_head_whose_commit_is_missing_is_an_error(workshop: Workshop) -> None:
    """A damaged repository does not pass for an empty one."""
    commit = workshop.commit()
    (workshop.path / ".git" / "objects" / commit[:2] / commit[2:]).unlink()
    with pytest.raises(GitError):
        workshop.repository.head()


def test_contains_knows_commits(workshop: Workshop) -> None:
    """Only a commit that is there counts."""
    commit = workshop.commit()
    assert workshop.repository.contains(commit)
    assert not workshop.repository.contains("0" * 40)
    assert not workshop.repository.contains(workshop.git("rev-parse", "HEAD^{tree}"))


def test_the_environment_does_not_lead_to_another_repository(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a git hook, GIT_DIR names the repository of the hook."""
    other = Workshop.init(tmp_path / "other")
    other.commit()
    commit = workshop.commit("mine")
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    assert commit == workshop.repository.head()


def test_a_stream_yields_the_fields(workshop: Workshop) -> None:
    """Fields end with NUL, and may have anything else in them."""
    for name in ("a", "b\nc"):
        workshop.write(name)
    workshop.commit()
    names = workshop.repository.stream("ls-tree", "-z", "--name-only", "HEAD")
    assert [b"a", b"b\nc"] == list(names)


def test_a_stream_of_a_git_that_fails_does_not_end_well(workshop: Workshop) -> None:
    """The error comes after the last field, instead of the end."""
    with pytest.raises(GitError, match="git ls-tree: Not a valid object name nothing"):
        list(workshop.repository.stream("ls-tree", "-z", "nothing"))
