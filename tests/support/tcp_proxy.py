"""A proxy between a driver and its server, which loses connections when it is told to."""

import asyncio
import threading
from collections.abc import Coroutine, Generator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from typing import Any

_PATIENCE = 30.0  # seconds


class Fault(Enum):
    """When a connection is lost, as seen from a request and its answer."""

    BEFORE_REQUEST = auto()
    AFTER_REQUEST = auto()
    """The server has done what was asked, and its answer is lost."""
    IN_ANSWER = auto()
    """Half of the answer comes."""
    NO_REQUEST = auto()
    """Half-open: the request is not passed on, and nothing says so."""
    NO_ANSWER = auto()
    """Half-open: the answer is not passed on, and nothing says so."""


class TCPProxy:
    """Passes on what comes in, from a thread of its own, and loses a connection at a request.

    A request is what a driver sends in one piece.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.fired = threading.Event()
        self.is_silent = False  # connections are accepted, and nothing is passed on
        self._upstream = (host, port)
        self._fault: Fault | None = None
        self._left = 0
        self._links: set[_Link] = set()
        self._opened: set[asyncio.WriteTransport] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def arm(self, fault: Fault, *, skip: int = 0) -> None:
        """Lose the connection of a request that comes, once; some requests before are spared."""
        self.fired.clear()
        self._left = skip
        self._fault = fault

    def disarm(self) -> None:
        """Lose no connection from now on."""
        self._fault = None

    def take_fault(self) -> Fault | None:
        """Return what is to be done to a request that has come."""
        fault = self._fault
        if fault is None:
            return None
        if self._left > 0:
            self._left -= 1
            return None
        self._fault = None
        return fault

    def lead_to(self, host: str, port: int) -> None:
        """Lose all connections that are open, and lead later ones to another server."""
        self._upstream = (host, port)
        self.cut()

    def cut(self) -> None:
        """Lose all connections that are open."""
        self._call(self._cut())

    async def _cut(self) -> None:
        for each in [*self._links]:
            each.cut()

    def start(self) -> None:
        """Listen, and return when the port is known."""
        self._thread.start()
        self._call(self._listen())

    def stop(self) -> None:
        """Lose all connections, and end the thread."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for each in self._opened:
            each.abort()
        await asyncio.sleep(0)  # the event loop closes them in its next step

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._opened.add(writer.transport)
        try:
            server = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.transport.abort()
            return
        self._opened.add(server[1].transport)
        link = _Link(self, (reader, writer), server)
        self._links.add(link)
        with suppress(asyncio.CancelledError):  # which streams do not expect of a task of theirs
            await link.run()
        self._links.discard(link)

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_PATIENCE)


class _Link:
    """One connection to the proxy, and its own to the server."""

    def __init__(
        self,
        proxy: TCPProxy,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._proxy = proxy
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server
        self._fault: Fault | None = None

    async def run(self) -> None:
        """Pass on what comes, until either side closes."""
        pumps = [asyncio.ensure_future(each) for each in (self._ask(), self._answer())]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in pumps:
                each.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._to_client.close()
            self._to_server.close()

    def cut(self) -> None:
        """Close both sides."""
        self._to_client.transport.abort()
        self._to_server.transport.abort()

    async def _ask(self) -> None:
        with suppress(OSError):
            while data := await self._from_client.read(2**20):
                self._fault = self._fault or self._proxy.take_fault()
                if self._fault is Fault.BEFORE_REQUEST:
                    self._proxy.fired.set()
                    return
                if self._fault is Fault.NO_REQUEST or self._proxy.is_silent:
                    self._proxy.fired.set()
                    continue
                self._to_server.write(data)
                await self._to_server.drain()

    async def _answer(self) -> None:
        with suppress(OSError):
            while data := await self._from_server.read(2**20):
                if self._fault in {Fault.AFTER_REQUEST, Fault.IN_ANSWER}:
                    if self._fault is Fault.IN_ANSWER:
                        self._to_client.write(data[: len(data) // 2])
                    self._proxy.fired.set()
                    return
                if self._fault is not None or self._proxy.is_silent:
                    self._proxy.fired.set()
                    continue
                self._to_client.write(data)
                await self._to_client.drain()


@contextmanager
def tcp_proxy(host: str, port: int) -> Generator[TCPProxy]:
    """Run a proxy while the context lasts."""
    proxy = TCPProxy(host, port)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
