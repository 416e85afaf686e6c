"""Events and assertions of a group that know the façade which made them."""

from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from castore_core._aggregate import A
from castore_core._event import E
from castore_core._group import GroupedEvent, VersionAssertion
from castore_core._sync.facade import Facade
from castore_core.errors import InvalidEventGroupError

T = TypeVar("T")


@dataclass(frozen=True)
class FacadeEvent(GroupedEvent[E, A], Generic[E, A]):
    """An event that waits to be pushed in a group."""

    facade: Facade[Any] = field(kw_only=True, repr=False, compare=False)


@dataclass(frozen=True)
class FacadeAssertion(VersionAssertion):
    """The version that an aggregate must have."""

    facade: Facade[Any] = field(kw_only=True, repr=False, compare=False)


def run_group(
    grouped: Iterable[GroupedEvent[Any, Any] | VersionAssertion], coroutine: Coroutine[Any, Any, T]
) -> T:
    """Run the push of a group where the façade runs that made it, with the timeout of the first.

    Raises:
        InvalidEventGroupError: façades with different event loops made it.
    """
    facades = [each.facade for each in grouped if isinstance(each, (FacadeEvent, FacadeAssertion))]
    if len({each.event_loop for each in facades}) > 1:
        coroutine.close()
        raise InvalidEventGroupError("it is of façades with different event loops")
    facade = facades[0] if facades else Facade(None)
    return facade._run(coroutine)  # pyright: ignore[reportPrivateUsage]
