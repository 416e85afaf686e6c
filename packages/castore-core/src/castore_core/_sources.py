"""The sources that the state of an aggregate depends on, and the version that follows from them."""

import inspect
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from dis import get_instructions
from enum import Enum, IntEnum
from functools import cached_property, partial, partialmethod, singledispatchmethod
from hashlib import sha256
from importlib import import_module
from importlib.util import resolve_name
from itertools import chain
from pathlib import Path, PurePath
from textwrap import dedent
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any, Final, cast, get_args, get_type_hints
from uuid import UUID

from typing_extensions import TypeIs

from castore_core._sameness import get_attributes
from castore_core.errors import UndefinedReducerVersionError

if TYPE_CHECKING:
    from castore_core._store import EventStore

_SCALARS: Final = (
    *(type(None), bool, int, float, complex, str, bytes),
    *(Decimal, date, time, timedelta, UUID, PurePath),
)
_DESCRIPTORS: Final = (
    *(staticmethod, classmethod, property, cached_property),
    *(partialmethod, singledispatchmethod),
)
_HARMLESS: Final = ("logging", "types", "typing", "typing_extensions")
"""Libraries whose objects are loggers and annotations."""

_PARTIAL: Final[Any] = partial  # of what, no type checker needs to know
_UNKNOWN: Final = "?"
_FOREIGN: Final = ("builtins", "castore_core", "castore_json_schema", "castore_pydantic")


class _Care(IntEnum):
    """Of what the walk has to know the source, or be told the version of the reducer."""

    NONE = 0
    OBJECTS = 1  # but not of the functions of libraries
    ALL = 2


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
        self._seen: dict[int, tuple[object, str]] = {}  # kept, so that no id is used again
        self._objects: dict[tuple[int, _Care], tuple[object, str]] = {}
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

    def visit(self, value: object, owner: str, care: _Care = _Care.ALL) -> str:
        """Note what a value refers to, and return a text that tells it from others.

        Raises:
            _NoSourceError: there is no source, or the value may be anything, which ``care`` minds.
        """
        if isinstance(value, _SCALARS):
            return f"{type(value).__qualname__} {value!r}"
        if isinstance(value, (FunctionType, type)):
            return self._visit_definition(value)
        if isinstance(value, BuiltinFunctionType) and not _is_bound(value):
            return self._visit_compiled(value, care)
        if isinstance(value, (ModuleType, re.Pattern)):
            return getattr(cast("object", value), "__name__", repr(cast("object", value)))
        key = (id(value), care)
        if key not in self._objects:
            self._objects[key] = (value, "of which it is a part")
            self._objects[key] = (value, self._visit_object(value, owner, care))
        return self._objects[key][1]

    def visit_codec(self, codec: object) -> str:
        """Visit the codec of aggregates, with what it was made of."""
        state = sorted(get_attributes(codec).items())
        texts = [f"{name}={self.visit(each, 'the codec', _Care.NONE)}" for name, each in state]
        return f"{self._visit_definition(type(codec))}({', '.join(texts)})"

    def _visit_compiled(self, value: BuiltinFunctionType, care: _Care) -> str:
        module = value.__module__ or ""
        name = f"{module}.{value.__qualname__}"
        is_of_python = module.partition(".")[0] in sys.stdlib_module_names
        if self._is_own(module) or (care is _Care.ALL and not is_of_python):
            raise _NoSourceError(f"{name} is compiled")
        return name

    def _visit_object(self, value: object, owner: str, care: _Care) -> str:
        """Visit an object that is made of others, is called, or holds what is called."""
        if isinstance(value, Enum):
            held = self.visit(value.value, owner, min(care, _Care.OBJECTS))
            return f"{self._visit_definition(type(value))}.{value.name}={held}"
        parts = _take_apart(value)
        if parts is None and care is not _Care.NONE:
            parts = _reduce(value)
        if parts is not None:
            texts = [self.visit(each, owner, care) for each in parts]
            if _is_set(value):
                texts.sort()
            return f"{type(value).__qualname__}({', '.join(texts)})"
        wrapped = getattr(value, "__wrapped__", None)
        if wrapped is not None:  # as of functools.lru_cache
            return f"{type(value).__qualname__}({self.visit(wrapped, owner, care)})"
        kind = self._visit_definition(type(value))
        if self._is_own(type(value).__module__):
            texts = [
                f"{name}={self.visit(each, kind, care)}"
                for name, each in sorted(get_attributes(value).items())
            ]
            return f"{kind}({_digest(texts)})"
        if care is _Care.ALL or (care is _Care.OBJECTS and not _is_harmless(value)):
            raise _NoSourceError(
                f"{owner} refers to an object of {kind}, of which nothing is known"
            )
        return _UNKNOWN

    def _visit_definition(self, value: "FunctionType | type[Any]") -> str:
        """Visit a function or a class; return its name, with what it was given."""
        if id(value) in self._seen:
            return self._seen[id(value)][1]
        module = value.__globals__.get("__name__", "?") if _is_function(value) else value.__module__
        name = f"{module}.{value.__qualname__}"
        self._seen[id(value)] = (value, name)
        is_own = self._is_own(module)
        texts = [self._read(value, name)] if is_own else []
        if _is_function(value):
            if captured := [
                *self._visit_captured(value, name, _Care.ALL if is_own else _Care.NONE)
            ]:
                texts += captured  # which tell it from others of its name
                self._seen[id(value)] = (value, f"{name}({_digest(captured)})")
            if is_own:
                texts += self._visit_globals(value)
        elif is_own:
            texts += self._visit_class(value, name)
        if texts:
            self.note(name, "\n".join(texts))
        return self._seen[id(value)][1]

    def _visit_captured(self, function: FunctionType, name: str, care: _Care) -> Iterator[str]:
        """Visit what a function was given when it was made."""
        held = _get_cells(function)
        if care is _Care.NONE:  # it may be of functools.singledispatch
            held = {each: held[each] for each in held.keys() - {"dispatch_cache", "cache_token"}}
        else:
            defaults = enumerate(function.__defaults__ or ())
            held |= {f"default {index}": each for index, each in defaults}
            held |= function.__kwdefaults__ or {}
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:
            held["__wrapped__"] = wrapped
        for variable, value in sorted(held.items()):
            yield f"{variable}={self.visit(value, name, care)}"

    def _visit_globals(self, function: FunctionType) -> Iterator[str]:
        """Visit what a function looks up when it runs."""
        imported = [*self._import(function)]
        names = sorted({*_get_names(function.__code__)})
        for each in names:
            value = function.__globals__.get(each, sys.modules.get(each))
            if isinstance(value, ModuleType):
                imported.append(value)
            elif value is not None:
                text = self.visit(value, each, _Care.OBJECTS)
                if text != _UNKNOWN:
                    yield f"{each}={text}"
        for module in imported:
            yield from self._visit_module(module, names, {module.__name__})

    def _import(self, function: FunctionType) -> Iterator[ModuleType]:
        """Import the modules of the user's that a function imports when it runs."""
        package = function.__globals__.get("__package__") or ""
        for name, level, members in _get_imports(function.__code__):
            try:
                full_name = resolve_name("." * level + name, package)
                if self._is_own(full_name):
                    module = import_module(full_name)
                    for each in members:
                        if not hasattr(module, each):
                            import_module(f"{full_name}.{each}")
                    yield module
            except Exception as error:  # it is the user's module
                raise _NoSourceError(f"{function.__qualname__} imports {name}: {error}") from error

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
                yield f"{module.__name__}.{each}={self.visit(value, each, _Care.OBJECTS)}"

    def _visit_class(self, cls: type[Any], name: str) -> Iterator[str]:
        for each in cls.__bases__:
            yield self._visit_definition(each)
        for attribute, value in vars(cls).items():
            functions = _get_functions(value)
            for function in functions:
                yield from self._visit_method(function, f"{name}.{attribute}")
            if not functions and not _is_internal(attribute):
                care = _Care.NONE if _is_descriptor(value) else _Care.OBJECTS
                yield f"{attribute}={self.visit(value, name, care)}"
        for field, value in _get_field_defaults(cls):
            yield f"{field}={self.visit(value, name, _Care.OBJECTS)}"
        for hint in _get_hints(cls).values():
            for each in _find_classes(hint):
                yield self._visit_definition(each)
            for added in _find_metadata(hint):
                yield self.visit(added, name, _Care.NONE)

    def _visit_method(self, function: FunctionType, name: str) -> Iterator[str]:
        """Visit what a function in a class refers to. Its own source is that of the class."""
        if _is_generated(function):  # as dataclasses do
            return
        if self._is_own(function.__globals__.get("__name__", "")):
            yield from self._visit_captured(function, name, _Care.OBJECTS)
            yield from self._visit_globals(function)
        elif (wrapped := getattr(function, "__wrapped__", None)) is not None:
            yield self.visit(wrapped, name, _Care.OBJECTS)

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
                return repr(_get_hints(value, include_extras=False))  # such as namedtuple makes it
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
    for _, each in sorted(get_attributes(event_store.aggregate_codec).items()):
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
        case dict() | MappingProxyType():
            return [*chain.from_iterable(whole.items())]
        case list() | tuple() | set() | frozenset():
            return [*whole]
        case partial() | partialmethod():
            return [whole.func, *whole.args, whole.keywords]
        case MethodType():
            return [whole.__func__, whole.__self__]
        case staticmethod() | classmethod():
            return [whole.__func__]
        case singledispatchmethod():
            return [whole.func, *whole.dispatcher.registry.values()]
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


def _get_hints(value: object, *, include_extras: bool = True) -> dict[str, Any]:
    try:
        return get_type_hints(value, include_extras=include_extras)
    except Exception:  # noqa: BLE001 annotations may be anything, and this is for some of them
        return {}


def _find_classes(hint: Any) -> Iterator[type[Any]]:
    """Yield the classes that an annotation is made of."""
    if isinstance(hint, type) and not get_args(hint):
        yield hint
    for each in get_args(hint):
        yield from _find_classes(each)


def _find_metadata(hint: Any) -> Iterator[object]:
    """Yield what ``Annotated`` adds to an annotation."""
    yield from getattr(hint, "__metadata__", ())
    for each in get_args(hint):
        yield from _find_metadata(each)


def _get_cells(function: FunctionType) -> dict[str, object]:
    """Return the variables that a function has from around it."""
    found: dict[str, object] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # it is empty
            found[name] = cell.cell_contents
    if isinstance(found.get("__class__"), type):
        del found["__class__"]  # of super(): the class is visited by itself
    return found


def _get_imports(code: CodeType) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    """Yield the name, the level and the members of each import, in the functions within too."""
    before: list[Any] = []
    for each in get_instructions(code):
        if each.opname == "EXTENDED_ARG":
            continue
        if each.opname == "IMPORT_NAME":
            level, members = before[-2:]
            yield each.argval, level, members or ()
        before.append(each.argval)
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _get_imports(each)


def _get_field_defaults(cls: type[Any]) -> Iterator[tuple[str, object]]:
    """Yield the defaults, and what makes them, of dataclasses and classes of attrs and pydantic."""
    for name in ("__dataclass_fields__", "__pydantic_fields__"):
        found: dict[str, Any] = vars(cls).get(name, {})
        for field, each in found.items():
            for value in (each.default, each.default_factory):
                if type(value).__name__ not in ("_MISSING_TYPE", "PydanticUndefinedType"):
                    yield field, value
    for each in vars(cls).get("__attrs_attrs__", ()):
        yield each.name, getattr(each.default, "factory", each.default)


def _is_internal(attribute: str) -> bool:
    """Tell whether Python sets an attribute of a class, and not the user."""
    return (
        (attribute.startswith("__") and attribute.endswith("__"))
        or (attribute.startswith("_") and attribute.endswith("_"))  # of an enum
        or attribute in ("_abc_impl", "_data_fields", "_is_protocol", "_is_runtime_protocol")
    )


def _is_descriptor(value: object) -> bool:
    return hasattr(type(value), "__get__")


def _is_generated(function: FunctionType) -> bool:
    if function.__name__ == "__annotate__":  # of a class, since Python 3.14; its hints count
        return True
    found: Any = inspect.unwrap(function)
    return isinstance(found, FunctionType) and found.__code__.co_filename.startswith("<")


def _is_harmless(value: object) -> bool:
    """Tell whether no state depends on an object of which nothing is known."""
    top = type(value).__module__.partition(".")[0]
    return type(value) is object or top in _HARMLESS or top.startswith("castore_")


def _reduce(value: Any) -> list[Any] | None:
    """Return what an object of Python's own is pickled as, or ``None``."""
    top = type(value).__module__.partition(".")[0]
    if top not in sys.stdlib_module_names - {"__main__", "itertools", *_HARMLESS}:
        return None
    if type(value) is object or hasattr(value, "__wrapped__"):
        return None
    try:
        made = value.__reduce_ex__(2)
    except Exception:  # noqa: BLE001 it is not pickled
        return None
    if isinstance(made, str):
        return [made]
    _, *parts = made
    return [[*each] if isinstance(each, Iterator) else each for each in parts]
