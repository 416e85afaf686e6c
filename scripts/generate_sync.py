"""Writes the façades of ``sync_facades.py``, from the classes that they stand for.

``--check`` writes nothing, and fails if a file is not what it would be.
"""

import ast
import builtins
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Final, TypeAlias

from sync_facades import MODULES, Facade, Module

PACKAGES: Final = Path(__file__).parent.parent / "packages"
DUNDERS: Final = {"__call__": "__call__", "__aenter__": "__enter__", "__aexit__": "__exit__"}

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


class Source:
    """A module that façades are made from."""

    def __init__(self, package: str, name: str) -> None:
        root = package.replace("-", "_")
        self.name = f"{root}.{name}"
        self._tree = ast.parse((PACKAGES / package / "src" / root / f"{name}.py").read_text())

    def get_class(self, name: str) -> ast.ClassDef:
        """Return a class."""
        found = (each for each in self._tree.body if isinstance(each, ast.ClassDef))
        return next(each for each in found if each.name == name)

    def find_import(self, name: str) -> str | None:
        """Return the line that imports an object by the name that it has in the module."""
        for each in ast.walk(self._tree):
            if isinstance(each, ast.ImportFrom) and name in [alias.name for alias in each.names]:
                return f"from {each.module} import {name}"
        for each in self._tree.body:
            match each:
                case ast.ClassDef(name=found) if found == name:
                    return f"from {self.name} import {name}"
                case ast.Assign(targets=[ast.Name(id=found)]) if found == name:
                    return f"from {self.name} import {name}"
                case ast.AnnAssign(target=ast.Name(id=found)) if found == name:
                    return f"from {self.name} import {name}"
                case _:
                    continue
        return None


class Unasync(ast.NodeTransformer):
    """Removes ``await`` from the body of an asynchronous generator."""

    def visit_Await(self, node: ast.Await) -> ast.expr:
        """Return the expression that is awaited."""
        value: ast.expr = self.visit(node.value)
        return value


class Replace(ast.NodeTransformer):
    """Replaces type parameters."""

    def __init__(self, replaced: dict[str, str]) -> None:
        self._replaced = replaced

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Return the expression that stands for a name."""
        return _parse(self._replaced[node.id]) if node.id in self._replaced else node


def main() -> None:
    """Write the modules, or compare them."""
    stale = [each.path for each in MODULES if not _write(each)]
    if stale:
        sys.exit(f"not as scripts/generate_sync.py writes them: {', '.join(stale)}")


def _write(module: Module) -> bool:
    """Write a module, or tell whether it is up to date already."""
    path = PACKAGES / module.package / "src" / module.path
    text = _format(_generate(module), path)
    if "--check" in sys.argv:
        return path.exists() and path.read_text() == text
    path.write_text(text)
    return True


def _generate(module: Module) -> str:
    names = {name for facade in module.facades for name, _ in facade.sources}
    sources = {name: Source(module.package, name) for name in sorted(names)}
    classes = [_make_class(each, sources) for each in module.facades]
    imports = [*_find_imports(classes, sources.values()), *module.imports]
    head = f'"""{module.doc}\n\nscripts/generate_sync.py writes this file.\n"""'
    return "\n".join([head, *imports, *map(ast.unparse, classes)])


def _make_class(facade: Facade, sources: dict[str, Source]) -> ast.ClassDef:
    generic = f", Generic[{facade.parameters}]" if facade.parameters else ""
    target, kind = facade.target, facade.type
    made = _parse_one(
        f"""
class {facade.name}(Facade[{kind}]{generic}):
    def __init__(
        self, {target}: {kind}, *,
        event_loop: EventLoopThread | None = None, timeout: float | None = None,
    ) -> None:
        super().__init__({target}, event_loop=event_loop, timeout=timeout)
"""
    )
    assert isinstance(made, ast.ClassDef)
    made.body.insert(0, ast.Expr(ast.Constant(facade.doc)))
    doc = f"The asynchronous {target.replace('_', ' ')}."
    made.body.append(_make_property(target, kind, doc, "self._target"))
    for name, kind in facade.attributes.items():
        doc = f"The ``{name}`` of the {target.replace('_', ' ')}."
        made.body.append(_make_property(name, kind, doc, f"self._target.{name}"))
    made.body += [_make_method(each, facade) for each in _find_functions(facade, sources)]
    return ast.fix_missing_locations(Replace(facade.replaced).visit(made))


def _make_property(name: str, kind: str, doc: str, value: str) -> ast.stmt:
    return _parse_one(
        f"""
@property
def {name}(self) -> {kind}:
    '{doc}'
    return {value}
"""
    )


def _find_functions(facade: Facade, sources: dict[str, Source]) -> Iterator[Function]:
    """Return the public methods of a class and of its bases, each from where it is overridden."""
    seen = {facade.target, *facade.attributes, *facade.skip}
    for module, name in facade.sources:
        body = sources[module].get_class(name).body
        found = [each for each in body if isinstance(each, Function) and _is_public(each.name)]
        yield from (each for each in found if each.name not in seen)
        seen.update(each.name for each in found)


def _is_public(name: str) -> bool:
    return name in DUNDERS or not name.startswith("_")


def _make_method(function: Function, facade: Facade) -> ast.stmt:
    function = deepcopy(function)  # several façades may have it
    decorators = [ast.unparse(each) for each in function.decorator_list]
    body: list[ast.stmt] = [] if _is_overload(decorators) else _make_body(function, facade)
    doc = ast.get_docstring(function, clean=False)
    return ast.FunctionDef(
        name=DUNDERS.get(function.name, function.name),
        args=function.args,
        body=([] if doc is None else [ast.Expr(ast.Constant(doc))])
        + (body or [ast.Expr(ast.Constant(...))]),
        decorator_list=[_parse(each) for each in decorators if not _is_of_original(each)],
        returns=_get_returns(function, facade),
        lineno=0,
    )


def _is_of_original(decorator: str) -> bool:
    return decorator == "abstractmethod" or decorator.startswith("observed(")


def _is_overload(decorators: Sequence[str]) -> bool:
    return "overload" in decorators


def _get_returns(function: Function, facade: Facade) -> ast.expr | None:
    if _is_same_class(function, facade):
        return _parse("Self")
    if function.returns is not None and _yields(function):
        return _parse(ast.unparse(function.returns).removeprefix("Async"))
    return function.returns


def _is_same_class(function: Function, facade: Facade) -> bool:
    """Tell whether a method returns another object of its class."""
    returns = "" if function.returns is None else ast.unparse(function.returns).strip("'")
    return returns in ("Self", facade.type)


def _yields(function: Function) -> bool:
    return any(isinstance(each, ast.Yield) for each in ast.walk(function))


def _make_body(function: Function, facade: Facade) -> list[ast.stmt]:
    decorators = [ast.unparse(each) for each in function.decorator_list]
    own = f"self._target.{function.name}"
    if function.name in facade.bodies:
        return ast.parse(facade.bodies[function.name]).body
    if function.name == "__aenter__":
        return ast.parse("self._run(self._target.__aenter__())\nreturn self").body
    if any(each.endswith(".setter") for each in decorators):
        return ast.parse(f"{own} = {function.args.args[1].arg}").body
    if "property" in decorators:
        return ast.parse(f"return {own}").body
    if function.name == "__call__":
        own = "self._target"
    call = f"{own}({_pass_on(function.args)})"
    if _yields(function):
        return _make_generator_body(function, call)
    if isinstance(function, ast.AsyncFunctionDef):
        call = f"self._run({call})"
    if _is_same_class(function, facade):
        call = f"self._wrap({call})"
    return [_parse_one(f"return {call}")]


def _make_generator_body(function: Function, call: str) -> list[ast.stmt]:
    """Return the body itself where it only awaits methods of the class, which are here, too."""
    awaited = [each for each in ast.walk(function) if isinstance(each, ast.Await | ast.AsyncFor)]
    if not all(ast.unparse(each).startswith("await self.") for each in awaited):
        return [_parse_one(f"return self._iterate({call})")]
    unasync = Unasync()
    return [unasync.visit(each) for each in function.body[1:]]


def _pass_on(arguments: ast.arguments) -> str:
    """Return the arguments of a call that hands over all but ``self``."""
    positional = [each.arg for each in [*arguments.posonlyargs, *arguments.args]][1:]
    passed = [*positional]
    passed += [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    passed += [f"{each.arg}={each.arg}" for each in arguments.kwonlyargs]
    passed += [f"**{arguments.kwarg.arg}"] if arguments.kwarg else []
    return ", ".join(passed)


def _find_imports(classes: Sequence[ast.ClassDef], sources: Iterable[Source]) -> list[str]:
    """Return the imports of the names that the modules of the originals know."""
    used = {each.id for made in classes for each in ast.walk(made) if isinstance(each, ast.Name)}
    own = {each.name for each in classes}
    found = {"from typing import Generic, Self", "from collections.abc import Iterator"}
    for name in used - own - set(dir(builtins)):
        lines = [line for each in sources if (line := each.find_import(name)) is not None]
        found.update(lines[:1])
    return sorted(found)


def _parse(expression: str) -> ast.expr:
    return ast.parse(expression, mode="eval").body


def _parse_one(statement: str) -> ast.stmt:
    return ast.parse(statement).body[0]


def _format(text: str, path: Path) -> str:
    """Sort the imports, leave out those that are not used, and format."""
    name = f"--stdin-filename={path}"
    for command in (["check", "--quiet", "--fix", "--select=F401,F811,I"], ["format", "--quiet"]):
        made = ["ruff", *command, name, "-"]
        text = subprocess.run(made, input=text, capture_output=True, text=True, check=True).stdout
    return text


if __name__ == "__main__":
    main()
