"""The types that the helpers for applications share."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Never, TypeAlias

from typing_extensions import TypeVar

from castore_core import Aggregate, Event

E = TypeVar("E", bound=Event, default=Any)
A = TypeVar("A", bound=Aggregate, default=Any)
T_co = TypeVar("T_co", covariant=True)

if TYPE_CHECKING:

    class InferredLast(Iterable[Never], Generic[T_co]):
        """A type that nothing is of: it is abstract.

        mypy infers ``E`` from all other arguments before it looks at one whose type mentions a
        ``Callable`` that returns ``E``. So ``[appeared, caught]`` is a list of events of the store
        that was given with it; on its own, mypy would take it for a ``list[Event]``.
        """

    EventsOf: TypeAlias = Iterable[E] | InferredLast[Callable[[], E]]
    """Events of the store that another argument gives."""

else:
    EventsOf = Iterable
