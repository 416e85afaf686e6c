"""The sources that the state of an aggregate depends on, and the version that follows from them."""

import inspect
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property, partial
from hashlib import sha256
from itertools import chain
from pathlib import Path
from textwrap import dedent
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final, cast, get_args, get_type_hints
from uuid import UUID

from typing_extensions import TypeIs

from castore_core.errors import UndefinedReducerVersionError

if TYPE_CHECKING:
    from castore_core._store import EventStore

_SCALARS: Final = (
    *(type(None), bool, int, float, complex, str, bytes),
    *(Decimal, date, time, timedelta, UUID),
)
_DESCRIPTORS: Final = (staticmethod, classmethod, property, cached_property)
_PARTIAL: Final[Any] = partial  # of what, no type checker needs to know
_UNKNOWN: Final = "?"
_FOREIGN: Final = ("builtins", "castore_core", "castore_json_schema", "castore_pydantic")


class _NoSourceError(Exception):
    """Something that a state depends on has no source."""


@dataclass(frozen=True)
class ReducerSources:
    """The sources that the state of an aggregate depends on.

    ``digests`` has a digest for each function and class, by its name. ``changed_at`` is when one of
    their files changed last, in seconds since the epoch.
    """

    digests: Mapping[str, str]
    changed_at: float

    @classmethod
    def of(cls, event_store: "EventStore[Any, Any]") -> "ReducerSources":
        """Find the sources of an event store.

        Raises:
            UndefinedReducerVersionError: there are none, as in an interactive session.
        """
        roots = {
            "the reducer": [event_store.reduce],
            "the event types": event_store.event_types,
            "the upcasters": event_store.upcasters,
            "the aggregate": _find_aggregates(event_store),
        }
        walk = _Walk([*chain.from_iterable(roots.values())])
        try:
            for name, values in roots.items():
                walk.note(name, ", ".join([walk.visit(each, name) for each in values]))
            walk.note("the codec", walk.visit_codec(event_store.aggregate_codec))
        except _NoSourceError as error:
            raise UndefinedReducerVersionError(event_store.event_store_id, str(error)) from error
        return cls(walk.get_digests(), walk.get_changed_at())

    @property
    def version(self) -> str:
        """The version of the reducer."""
        return f"sha256:{_digest(f'{name} {text}' for name, text in self.digests.items())[:32]}"


class _Walk:
    """Visits what a reducer refers to, and notes the text of what is the user's own.

    Own are the modules of the top-level packages that the roots are from, and the modules beside a
    root that is in no package.
    """

    def __init__(self, roots: Collection[object]) -> None:
        modules = _find_modules(roots)
        self._roots = roots
        self._packages = {each.partition(".")[0] for each in modules}
        self._folders = {
            Path(path).parent for each in modules if "." not in each and (path := _get_path(each))
        }
        self._texts: dict[str, set[str]] = {}
        self._seen: dict[int, object] = {}  # which are kept, so that no id is used again
        self._files: set[str] = set()

    def get_digests(self) -> dict[str, str]:
        """Return the digests of all that was noted."""
        return {name: _digest(texts) for name, texts in sorted(self._texts.items())}

    def get_changed_at(self) -> float:
        """Return when a file changed last. A copied file has changed when it was copied."""
        moments = [0.0]
        for each in self._files:
            with suppress(OSError):  # it is in an archive, say
                found = Path(each).stat()
                moments += [found.st_mtime, found.st_ctime]
        return max(moments)

    def note(self, name: str, text: str) -> None:
        """Note a text under a name."""
        self._texts.setdefault(name, set()).add(text)

    def visit(self, value: object, owner: str, *, strict: bool = True) -> str:
        """Note what a value refers to, and return a text that tells it from others.

        Raises:
            _NoSourceError: there is no source, or, where it is strict, the value may be anything.
        """
        if isinstance(value, _SCALARS):
            return f"{type(value).__qualname__} {value!r}"
        if isinstance(value, (FunctionType, type)):
            return self._visit_definition(value)
        if isinstance(value, BuiltinFunctionType) and not _is_bound(value):
            return self._visit_compiled(value, strict=strict)
        if isinstance(value, Enum):
            held = self.visit(value.value, owner, strict=False)
            return f"{self._visit_definition(type(value))}.{value.name}={held}"
        if isinstance(value, (ModuleType, re.Pattern)):
            return getattr(cast("object", value), "__name__", repr(cast("object", value)))
        return self._visit_object(value, owner, strict=strict)

    def visit_codec(self, codec: object) -> str:
        """Visit the codec of aggregates, with what it was made of."""
        state = _get_state(codec)
        texts = [f"{name}={self.visit(each, 'the codec', strict=False)}" for name, each in state]
        return f"{self._visit_definition(type(codec))}({', '.join(texts)})"

    def _visit_compiled(self, value: BuiltinFunctionType, *, strict: bool) -> str:
        module = value.__module__ or ""
        name = f"{module}.{value.__qualname__}"
        is_of_python = module.partition(".")[0] in sys.stdlib_module_names
        if self._is_own(module) or (strict and not is_of_python):
            raise _NoSourceError(f"{name} is compiled")
        return name

    def _visit_object(self, value: object, owner: str, *, strict: bool) -> str:
        """Visit an object that is made of others, is called, or holds what is called."""
        if (parts := _take_apart(value)) is not None:
            texts = [self.visit(each, owner, strict=strict) for each in parts]
            if _is_set(value):
                texts.sort()
            return f"{type(value).__qualname__}({', '.join(texts)})"
        wrapped = getattr(value, "__wrapped__", None)
        if wrapped is not None:  # as of functools.lru_cache
            return f"{type(value).__qualname__}({self.visit(wrapped, owner, strict=strict)})"
        kind = self._visit_definition(type(value))
        if not self._is_own(type(value).__module__):
            if strict:
                reason = f"{owner} refers to an object of {kind}, of which nothing is known"
                raise _NoSourceError(reason)
            return _UNKNOWN
        if not strict:
            return kind
        texts = [f"{name}={self.visit(each, kind)}" for name, each in _get_state(value)]
        return f"{kind}({', '.join(texts)})"

    def _visit_definition(self, value: "FunctionType | type[Any]") -> str:
        module = value.__globals__.get("__name__", "?") if _is_function(value) else value.__module__
        name = f"{module}.{value.__qualname__}"
        if id(value) in self._seen:
            return name
        self._seen[id(value)] = value
        is_own = self._is_own(module)
        texts = [self._read(value, name)] if is_own else []
        if _is_function(value):
            texts += self._visit_captured(value, name, is_own=is_own)
        elif is_own:
            texts += self._visit_class(value)
        if texts:
            self.note(name, "\n".join(texts))
        return name

    def _visit_captured(self, function: FunctionType, name: str, *, is_own: bool) -> Iterator[str]:
        """Visit what a function was given when it was made, and what it looks up when it runs."""
        held: dict[str, object] = {}
        for variable, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            try:
                held[variable] = cell.cell_contents
            except ValueError:  # it is empty
                continue
        if "__class__" in held and isinstance(held["__class__"], type):
            del held["__class__"]  # of super(): the class is visited by itself
        if is_own:
            defaults = enumerate(function.__defaults__ or ())
            held |= {f"default {index}": each for index, each in defaults}
            held |= function.__kwdefaults__ or {}
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:
            held["__wrapped__"] = wrapped
        for variable, value in held.items():
            yield f"{variable}={self.visit(value, name, strict=is_own)}"
        if is_own:
            yield from self._visit_globals(function)

    def _visit_globals(self, function: FunctionType) -> Iterator[str]:
        names = sorted({*_get_names(function.__code__)})
        for each in names:
            value = function.__globals__.get(each, sys.modules.get(each))
            if isinstance(value, ModuleType):
                yield from self._visit_module(value, names, {value.__name__})
            elif value is not None:
                text = self.visit(value, each, strict=False)
                if text != _UNKNOWN:
                    yield f"{each}={text}"

    def _visit_module(
        self, module: ModuleType, names: Iterable[str], seen: set[str]
    ) -> Iterator[str]:
        """Visit what a function may look up in a module of the user's."""
        if not self._is_own(module.__name__):
            return
        for each in names:
            value = vars(module).get(each)
            if isinstance(value, ModuleType):
                if value.__name__ not in seen:
                    seen.add(value.__name__)
                    yield from self._visit_module(value, names, seen)
            elif value is not None:
                yield f"{module.__name__}.{each}={self.visit(value, each, strict=False)}"

    def _visit_class(self, cls: type[Any]) -> Iterator[str]:
        for each in cls.__bases__:
            yield self._visit_definition(each)
        for name, value in vars(cls).items():
            functions = _get_functions(value)
            for function in functions:  # whose source is that of the class
                if self._is_own(function.__globals__.get("__name__", "")):
                    yield from self._visit_globals(function)
            if not functions and not name.startswith("_"):
                yield f"{name}={self.visit(value, name, strict=False)}"
        for each in _get_annotated(cls):
            yield self._visit_definition(each)

    def _read(self, value: "FunctionType | type[Any]", name: str) -> str:
        source: object = value
        position = ""
        if _is_function(value):
            source = value.__code__  # and not that of a function that it wraps
            if value.__name__ == "<lambda>":  # of which a line may have several
                position = str(max(each[3] or 0 for each in value.__code__.co_positions()))
        try:
            text = inspect.getsource(cast("Any", source))
            self._files.add(inspect.getsourcefile(cast("Any", source)) or "")
        except (OSError, TypeError) as error:
            if not _is_function(value) and not self._is_root(value):
                return repr(_get_hints(value))  # such as namedtuple makes it
            raise _NoSourceError(f"{name} has no source that could be read") from error
        lines = [each.rstrip() for each in dedent(text).splitlines()]
        return "\n".join([position, *lines])

    def _is_root(self, value: object) -> bool:
        return any(value is each for each in self._roots)

    def _is_own(self, module: str) -> bool:
        if module.partition(".")[0] in self._packages:
            return True
        if "." in module or not self._folders or module in sys.stdlib_module_names:
            return False
        path = _get_path(module)
        return path is not None and Path(path).parent in self._folders


def _is_function(value: object) -> "TypeIs[FunctionType]":
    return isinstance(value, FunctionType)


def _digest(texts: Iterable[str]) -> str:
    return sha256("\0".join(sorted(texts)).encode(errors="surrogatepass")).hexdigest()


def _find_aggregates(event_store: "EventStore[Any, Any]") -> list[type[Any]]:
    """Return the classes of aggregates, as far as the reducer and the codec say them."""
    found: list[type[Any]] = []
    reduce: Any = event_store.reduce
    while isinstance(reduce, _PARTIAL):
        reduce = reduce.func
    for each in (reduce, getattr(cast("object", reduce).__class__, "__call__", None)):  # noqa: B004 its hints
        found += _find_classes(_get_hints(each).get("return"))
    for _, each in _get_state(event_store.aggregate_codec):
        for part in _take_apart(each) or [each]:
            found += _find_classes(part)
    return found


def _find_modules(roots: Iterable[Any]) -> set[str]:
    """Return the modules that reducers, classes and upcasters are defined in."""
    found: set[str] = set()
    todo = [*roots]
    while todo:
        each = todo.pop()
        if (wrapped := getattr(each, "__wrapped__", None)) is not None:
            todo.append(wrapped)
        if isinstance(each, _PARTIAL):
            todo.append(each.func)
        elif isinstance(each, MethodType):
            todo.append(each.__func__)
        elif isinstance(each, FunctionType):
            found.add(each.__globals__.get("__name__", ""))
        else:
            found.add((each if isinstance(each, type) else type(each)).__module__)
    return {
        each
        for each in found
        if (top := each.partition(".")[0])
        and top not in _FOREIGN
        and (top not in sys.stdlib_module_names or top == "__main__")
    }


def _get_path(module: str) -> str | None:
    """Return the file of a module that is in no package, and is none."""
    found = sys.modules.get(module)
    return None if found is None or hasattr(found, "__path__") else getattr(found, "__file__", None)


def _get_names(code: CodeType) -> Iterator[str]:
    """Yield the names that code looks up, in the functions within it too."""
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _get_names(each)


def _take_apart(value: Any) -> list[Any] | None:  # noqa: PLR0911 one for each kind
    """Return the parts of a value that is made of others, or ``None``."""
    whole: Any = value  # whose type does not become narrower
    match value:
        case dict():
            return [*chain.from_iterable(whole.items())]
        case list() | tuple() | set() | frozenset():
            return [*whole]
        case partial():
            return [whole.func, *whole.args, whole.keywords]
        case MethodType():
            return [whole.__func__, whole.__self__]
        case staticmethod() | classmethod():
            return [whole.__func__]
        case cached_property():
            return [whole.func]
        case property():
            return [each for each in (whole.fget, whole.fset, whole.fdel) if each is not None]
        case _ if is_dataclass(value) and not isinstance(value, type):
            return [type(value), *(getattr(value, each.name) for each in fields(value))]
        case _:
            return None


def _is_set(value: object) -> bool:
    return isinstance(value, (set, frozenset))


def _get_functions(value: Any) -> list[FunctionType]:
    """Return the functions that an attribute of a class is, or stands for."""
    parts = _take_apart(value) if isinstance(value, _DESCRIPTORS) else [value]
    return [each for each in parts or [] if isinstance(each, FunctionType)]


def _is_bound(value: object) -> bool:
    owner = getattr(value, "__self__", None)
    return owner is not None and not isinstance(owner, ModuleType)


def _get_state(value: object) -> list[tuple[str, object]]:
    """Return the attributes of an object."""
    found = dict(getattr(value, "__dict__", {}))
    for each in type(value).__mro__:
        slots = vars(each).get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if hasattr(value, name):
                found[name] = getattr(value, name)
    return sorted(found.items())


def _get_hints(value: object) -> dict[str, Any]:
    try:
        return get_type_hints(value)
    except Exception:  # noqa: BLE001 annotations may be anything, and this is for some of them
        return {}


def _get_annotated(cls: type[Any]) -> Iterator[type[Any]]:
    for each in _get_hints(cls).values():
        yield from _find_classes(each)


def _find_classes(hint: Any) -> Iterator[type[Any]]:
    """Yield the classes that an annotation is made of."""
    if isinstance(hint, type) and not get_args(hint):
        yield hint
    for each in get_args(hint):
        yield from _find_classes(each)
