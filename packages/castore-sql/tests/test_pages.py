"""The limit of a page is a part of the statement, of which a server keeps one plan."""

from sqlalchemy.engine.default import DefaultDialect

from castore_sql._postgresql.statements import PageStatement
from castore_sql._queries import Query


def make_statement() -> PageStatement:
    """Return a statement with a parameter."""
    return PageStatement("SELECT :x", DefaultDialect(paramstyle="numeric_dollar"))


def test_a_limit() -> None:
    """It is a number in the text."""
    assert Query("SELECT $1 LIMIT 10", (1,)) == make_statement().bind(10, x=1)


def test_no_limit() -> None:
    """It is null."""
    assert Query("SELECT $1 LIMIT $2", (1, None)) == make_statement().bind(None, x=1)


def test_many_limits() -> None:
    """Those beyond the first few are parameters: a connection keeps only so many statements."""
    statement = make_statement()
    texts = {statement.bind(limit, x=1).sql for limit in range(1, 100)}

    assert 9 == len(texts)
    assert Query("SELECT $1 LIMIT 1", (1,)) == statement.bind(1, x=1)
    assert Query("SELECT $1 LIMIT $2", (1, 99)) == statement.bind(99, x=1)
