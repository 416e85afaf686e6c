"""The façades for synchronous programs that ``generate_sync.py`` writes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Facade:
    """A façade, and the class that it stands for.

    Args:
        name: the façade.
        target: the property that returns the asynchronous object.
        sources: the class, after its module, and its bases, whose methods the façade has.
        parameters: of the class, such as ``E, A``.
        doc: the docstring.
        replaced: parameters of a base, and what they are in the class.
        attributes: types of attributes of the class that are no properties.
        skip: public names that the façade does not have.
        bodies: of methods that do not just call that of the class.
    """

    name: str
    target: str
    sources: Sequence[tuple[str, str]]
    parameters: str
    doc: str
    replaced: dict[str, str] = field(default_factory=dict[str, str])
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    skip: Sequence[str] = ()
    bodies: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def type(self) -> str:
        """The class with its parameters."""
        name = self.sources[0][1]
        return f"{name}[{self.parameters}]" if self.parameters else name


@dataclass(frozen=True)
class Module:
    """A module of façades: its path in the package's ``src``, and imports of its own."""

    package: str
    path: str
    doc: str
    facades: Sequence[Facade]
    imports: Sequence[str]


CORE_IMPORTS: Final = (
    "from castore_core._sync.event_loop import EventLoopThread",
    "from castore_core._sync.facade import Facade",
)
MODULES: Final = [
    Module(
        "castore-core",
        "castore_core/_sync/stores.py",
        "Event stores for synchronous programs.",
        [
            Facade(
                "SyncEventStore",
                "event_store",
                [("_store", "EventStore"), ("_group", "EventGroups")],
                "E, A",
                """An event store for synchronous programs.

                It has the methods of the `EventStore`, connected or not, which it runs in an event
                loop: see `EventLoopThread` for threads, forks and Ctrl-C::

                    pokemons = SyncEventStore(pokemon_store)
                    pokemons.push_event(PokemonAppeared("pikachu1", 1))
                """,
                bodies={
                    "group_event": (
                        "return FacadeEvent(self._target, event, prev_aggregate, facade=self)"
                    ),
                    "assert_version": (
                        "made = self._target.assert_version(aggregate_id, version)\n"
                        "return FacadeAssertion(\n"
                        "    made.event_store, made.aggregate_id, made.version, facade=self\n"
                        ")"
                    ),
                    "push_event_group": (
                        "coroutine = EventStore.push_event_group(*grouped, force=force)\n"
                        "return run_group(grouped, coroutine)"
                    ),
                },
            )
        ],
        [
            *CORE_IMPORTS,
            "from castore_core._sync.groups import FacadeAssertion, FacadeEvent, run_group",
        ],
    ),
    Module(
        "castore-core",
        "castore_core/_sync/commands.py",
        "Commands for synchronous programs.",
        [
            Facade(
                "SyncCommand",
                "command",
                [("_command", "Command")],
                "I, S, P, O",
                """A command for synchronous programs: call it as the `Command`.

                The handler stays asynchronous, and so do the event stores that it is given::

                    SyncCommand(catch_pokemon)("pikachu1", (pokemon_store,))
                """,
                attributes={"command_id": "str", "required_event_stores": "S"},
                skip=[
                    "check_input",
                    "check_output",
                    "encode_input",
                    "encode_output",
                    "decode_output",
                ],
            )
        ],
        CORE_IMPORTS,
    ),
    Module(
        "castore-core",
        "castore_core/_sync/aggregate_commands.py",
        "Aggregate commands for synchronous programs.",
        [
            Facade(
                "SyncAggregateCommand",
                "command",
                [("_aggregate_commands", "AggregateCommand")],
                "P, A, E",
                """An aggregate command for synchronous programs: call it as `AggregateCommand`.""",
                attributes={"name": "str"},
            ),
            Facade(
                "SyncExistingAggregateCommand",
                "command",
                [
                    ("_aggregate_commands", "ExistingAggregateCommand"),
                    ("_aggregate_commands", "AggregateCommand"),
                ],
                "P, A, E",
                """A command of an aggregate that exists, for synchronous programs.""",
                attributes={"name": "str"},
            ),
            Facade(
                "SyncAggregateCommands",
                "commands",
                [("_aggregate_commands", "AggregateCommands")],
                "E, A",
                """The commands of one event store, for synchronous programs, by their names.

                Handlers are declared with the `AggregateCommands`.
                """,
                attributes={"event_store": "EventStore[E, A]"},
                skip=["handler", "existing_handler"],
            ),
        ],
        CORE_IMPORTS,
    ),
    Module(
        "castore-core",
        "castore_core/_sync/group_commands.py",
        "Group commands for synchronous programs.",
        [
            Facade(
                "SyncGroupCommand",
                "command",
                [("_group_command", "GroupCommand")],
                "P, O, *Ss",
                """A group command for synchronous programs: call it as the `GroupCommand`.""",
                attributes={"command_id": "str"},
            )
        ],
        CORE_IMPORTS,
    ),
    Module(
        "castore-core",
        "castore_core/_sync/channels.py",
        "Message channels for synchronous programs.",
        [
            Facade(
                "SyncMessageChannel",
                "message_channel",
                [("_channel", "MessageChannel")],
                "M",
                """A queue or a bus for synchronous programs.""",
                attributes={"message_channel_id": "str"},
            ),
            Facade(
                "SyncStateCarryingMessageChannel",
                "message_channel",
                [
                    ("_channel", "StateCarryingMessageChannel"),
                    ("_channel", "MessageChannel"),
                ],
                "E, A",
                """A queue or a bus of state-carrying messages for synchronous programs.""",
                replaced={"M": "StateCarryingMessage[E, A]"},
                attributes={"message_channel_id": "str"},
            ),
        ],
        CORE_IMPORTS,
    ),
    Module(
        "castore-projections",
        "castore_projections/_sync.py",
        "Projections and relays for synchronous programs.",
        [
            Facade(
                "SyncProjection",
                "projection",
                [("_projection", "Projection"), ("_consumer", "LogConsumer")],
                "T",
                """A projection for synchronous programs.

                Its handlers stay asynchronous, and are declared with the `Projection`. ``with``
                runs it in the background, in the thread of the event loop::

                    SyncProjection(pokedex).run_once()
                """,
                skip=["on"],
            ),
            Facade(
                "SyncRelay",
                "relay",
                [("_relay", "Relay"), ("_consumer", "LogConsumer")],
                "",
                """A relay for synchronous programs. ``with`` runs it in the background.""",
            ),
        ],
        ["from castore_core.sync import EventLoopThread, Facade"],
    ),
]
