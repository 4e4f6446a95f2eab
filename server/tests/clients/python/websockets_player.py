"""The Python package `websockets` as a player; the line protocol is that of ../node/puppet.mjs."""

import asyncio
import sys

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus


def decode(word: str) -> bytes:
    return b"" if word == "-" else bytes.fromhex(word)


def encode(payload: bytes) -> str:
    return payload.hex() or "-"


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def listen(name: str, connection: ClientConnection) -> None:
    """Reports every message, then how the connection ended."""
    try:
        while True:
            message = await connection.recv()
            if isinstance(message, str):
                say(name, "text", encode(message.encode()))
            else:
                say(name, "binary", encode(message))
    except ConnectionClosed as closed:
        # 1006 is what RFC 6455 7.1.5 calls an end without a close frame.
        say(name, "closed", closed.rcvd.code if closed.rcvd else 1006)


async def ping(name: str, connection: ClientConnection, payload: bytes) -> asyncio.Task[None]:
    answered = await connection.ping(payload)

    async def report() -> None:
        await answered
        say(name, "pong", encode(payload))

    return asyncio.create_task(report())


class Player:
    """All connections of this process, by name."""

    def __init__(self) -> None:
        self.connections: dict[str, ClientConnection] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def join(self, name: str, url: str) -> None:
        try:
            connection = await connect(url, max_size=1 << 24, ping_interval=None, proxy=None)
        except InvalidStatus as refused:
            say(name, "refused", refused.response.status_code)
            return
        self.connections[name] = connection
        say(name, "open")
        self.tasks.append(asyncio.create_task(listen(name, connection)))

    async def fragments(self, name: str, kind: str, listed: str) -> None:
        connection = self.connections[name]

        async def parts():  # noqa: ANN202 - an async generator
            for word in listed.split(","):
                if word.startswith("!"):
                    self.tasks.append(await ping(name, connection, decode(word[1:])))
                else:
                    yield decode(word)

        await connection.send(parts(), text=kind == "text")

    async def obey(self, name: str, order: str, *words: str) -> None:
        if order == "join":
            await self.join(name, words[0])
        elif order == "send":
            await self.connections[name].send(decode(words[1]), text=words[0] == "text")
        elif order == "fragments":
            await self.fragments(name, *words)
        elif order == "ping":
            self.tasks.append(await ping(name, self.connections[name], decode(words[0])))
        elif order == "close":
            await self.connections[name].close(int(words[0]), decode(words[1]).decode())
        else:
            raise ValueError(f"no such order: {order}")


async def main() -> None:
    player = Player()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        name, order, *words = line.decode().split()
        try:
            await player.obey(name, order, *words)
        except Exception as error:  # noqa: BLE001 - every failure is reported to the test
            say(name, "failed", *str(error).split())


asyncio.run(main())
