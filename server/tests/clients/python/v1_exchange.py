"""Every packet of roomcast.v1 exchanged with the relay whose /rooms/… is the URL given.

The codec is the second implementation (protocol/tests/python, from docs/PROTOCOL.md alone), the WebSocket is PyPI's
`websockets`. Prints the names of the packets that went each way, in order of the alphabet. The relay has to be started
with --allow-impairment and --state-max=1KiB.
"""

import asyncio
import pathlib
import signal
import sys
import time

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "protocol/tests/python"))
import roomcast_v1 as v1  # noqa: E402 - it is no package

# Seconds. The exchange takes three, for KEEPALIVE comes every 2.5 s.
AT_MOST = 60

SEEN = {"up": set(), "down": set()}


class Player:
    def __init__(self, connection):
        self.connection = connection
        self.read = []

    @classmethod
    async def join(cls, url, name, **more):
        connection = await connect(url, subprotocols=["roomcast.v1"], proxy=None, ping_interval=None)
        assert connection.subprotocol == "roomcast.v1"
        player = cls(connection)
        join = {"packet": "JOIN", "minor": 0, "mode": 0, "name": name, "properties": [], "wishes": [], **more}
        await player.send(join)
        return player

    async def send(self, *packets):
        SEEN["up"].update(packet["packet"] for packet in packets)
        await self.connection.send(v1.encode_up(packets))

    async def until(self, name):
        """What came up to the next packet of this name, without the clock's."""
        came = []
        while not came or came[-1]["packet"] != name:
            if not self.read:
                message = await self.connection.recv()
                bundle = v1.decode_down(message)
                assert v1.encode_down(bundle) == message, message.hex()
                SEEN["down"].update(packet["packet"] for packet in bundle["packets"])
                self.read = bundle["packets"]
            packet = self.read.pop(0)
            if packet["packet"] in (name, "REFUSED") or packet["packet"] not in ("ACK", "KEEPALIVE", "PONG"):
                came.append(packet)
        return came

    async def hears(self, *expected):
        for packet in expected:
            came = await self.until(packet["packet"])
            assert came == [packet], f"{came} instead of {packet}"


def said(text, kind="EVENT_OTHERS", **more):
    return {"packet": kind, "droppable": False, "payload": {"text": text}, **more}


def event(author, text, addressed=False):
    return {"packet": "EVENT", "host": False, "addressed": addressed, "author": author, "payload": {"text": text}}


def named(packets, name):
    return [packet for packet in packets if packet["packet"] == name]


def changed(owner, key, value, guard):
    change = {"key": key, "guard": guard, "value": value}
    return {"packet": "PROPERTIES", "owner": owner, "changes": [change]}


async def welcomes(url):
    """Two players, each with a property."""
    score = {"key": "score", "value": {"hex": "07"}}
    ada = await Player.join(url, "Ada", properties=[score], wishes=[[2, 3]])
    first = await ada.until("READY")
    assert [packet["packet"] for packet in first] == ["WELCOME", "SETTINGS", "PLAYER", "PROPERTIES", "READY"], first
    assert (first[0]["created"], first[0]["capabilities"] & 1) == (True, 1), first[0]
    assert [2, 3] in first[1]["settings"], "the wish for three players was heeded"
    bob = await Player.join(url, "Bob", properties=[{"key": "tint", "value": {"text": "blå"}}])
    second = await bob.until("READY")
    assert not second[0]["created"]
    assert (second[0]["id"], second[0]["life"]) == (first[0]["id"] + 1, first[0]["life"])
    assert [packet["name"] for packet in named(second, "PLAYER")] == ["Ada", "Bob"]
    assert sum(len(packet["changes"]) for packet in named(second, "PROPERTIES")) == 2
    joined = (await ada.until("JOINED"))[-1]
    assert (joined["id"], joined["name"]) == (second[0]["id"], "Bob")
    assert joined["properties"][0]["value"] == {"text": "blå"}
    return ada, bob, first[0], second[0]


async def events(ada, bob, a, b):
    await ada.send(
        said("others"),
        said("all", "EVENT_ALL"),
        said("one", "EVENT_ONE", to=b),
        said("list", "EVENT_LIST", to=[a, b]),
        said("lost?", droppable=True),
    )
    await bob.hears(event(a, "others"), event(a, "all"), event(a, "one", True), event(a, "list", True))
    await bob.hears(event(a, "lost?"))
    await ada.hears(event(a, "all"), event(a, "list", True))
    # Number 5: nobody has this id. It is refused, in its place.
    await ada.send(said("nobody", "EVENT_ONE", to=b + 7))
    refused = (await ada.until("REFUSED"))[-1]
    assert (refused["number"], refused["reason"]) == (5, 2), refused


async def properties(ada, bob, a):
    await ada.send(changed(0, "map", {"text": "moon"}, 1), changed(0, "map", {"hex": "ff"}, 1))
    for player in (ada, bob):
        came = (await player.until("PROPERTIES"))[-1]
        assert (came["owner"], came["author"]) == (0, a)
        assert came["changes"][0]["value"] == {"text": "moon"}
        version = came["changes"][0]["version"]
    refused = (await ada.until("REFUSED"))[-1]
    assert (refused["number"], refused["reason"]) == (7, 1), refused
    await bob.send(changed(0, "map", None, version + 1))
    for player in (ada, bob):
        came = (await player.until("PROPERTIES"))[-1]
        assert came["changes"][0]["value"] is None
        assert came["changes"][0]["version"] > version


def state(author, key, text):
    return {"packet": "STATE", "host": False, "author": author, "key": key, "payload": {"text": text}}


def setting(key, text, room=False):
    return {"packet": "STATE", "room": room, "key": key, "payload": {"text": text}}


async def states(ada, bob, a):
    await ada.send(setting(7, "blå"), setting(300, "moon", room=True), setting(7, "x" * 1025))
    await bob.hears(state(a, 7, "blå"), state(0, 300, "moon"))
    # Refusals of states have no number, and come at once. What is the room's is told to all.
    refused = (await ada.until("REFUSED_STATE"))[-1]
    assert (refused["key"], refused["reason"]) == (7, 4), refused
    await ada.hears(state(0, 300, "moon"))
    # To all, oneself too, and deleted.
    await ada.send({"packet": "AUDIENCE", "key": 7, "flags": 1}, {"packet": "DELETE", "key": 7, "room": False})
    await ada.hears(state(a, 7, "blå"), {"packet": "REMOVED", "author": a, "key": 7})
    await bob.hears({"packet": "REMOVED", "author": a, "key": 7})


async def groups(ada, bob, a):
    await bob.send({"packet": "GROUPS", "only": True, "groups": [[6, 1]]})
    await bob.send({"packet": "GROUPS", "only": False, "groups": [[6, 0], [300, 1]]}, said("to nobody", "EVENT_GROUP", group=300))
    # What one says is heard by the other only once that has been done.
    await ada.send({"packet": "AUDIENCE", "key": 8, "flags": 2, "group": 300}, setting(8, "near"))
    await bob.hears(state(a, 8, "near"))
    await ada.send(said("six", "EVENT_GROUP", group=6), said("near", "EVENT_GROUP", group=300))
    await bob.hears(event(a, "near", True))
    await bob.send({"packet": "GROUPS", "only": True, "groups": []})
    await bob.hears({"packet": "REMOVED", "author": a, "key": 8})


async def times(ada, bob):
    await ada.send({"packet": "PING", "echo": 123_456, "trip": 0, "ticks": False})
    assert (await ada.until("PONG"))[-1]["echo"] == 123_456
    acknowledged = (await ada.until("ACK"))[-1]
    assert acknowledged["applied"] == 12, acknowledged
    await ada.until("KEEPALIVE")
    # Bob would be taken for lost by and by.
    await bob.send({"packet": "PING", "echo": 2, "trip": 0, "ticks": False})
    # A bad network delays what the relay says.
    await ada.send({"packet": "IMPAIR", "delay": 200, "jitter": 0, "rate": 0, "cut": 0})
    asked = time.monotonic()
    await ada.send({"packet": "PING", "echo": 1, "trip": 0, "ticks": False})
    await ada.until("PONG")
    # The relay's clock stands within an iteration, which may have begun a while before on a busy machine.
    assert time.monotonic() - asked >= 0.1, "nothing was delayed"
    await ada.send({"packet": "IMPAIR", "delay": 0, "jitter": 0, "rate": 0, "cut": 0})


async def returns(url, ada, bob, a, second):
    """Bob is lost and goes on where he was; then with the token alone; then with one that nobody knows."""
    b = second["id"]
    # His cursor is where his welcome was, so all that came after it comes again.
    bob.connection.transport.abort()
    await ada.hears({"packet": "AWAY", "id": b})
    await ada.send(said("while away"))
    bob = await Player.join(url, "Bob", token=second["token"], life=second["life"], seq=second["seq"])
    came = await bob.until("RESUMED")
    assert came[0]["applied"] == 5 and len(came) == 1, came
    heard = []
    while not heard or heard[-1] != event(a, "while away"):
        heard += await bob.until("EVENT")
    texts = [packet["payload"]["text"] for packet in named(heard, "EVENT")]
    assert texts == ["others", "all", "one", "list", "near", "while away"], "each once, but the droppable one"
    assert len(named(heard, "PROPERTIES")) == 2
    await ada.hears({"packet": "BACK", "id": b})
    token_alone = await Player.join(url, "Bob", token=second["token"])
    again = await token_alone.until("READY")
    assert (again[0]["packet"], again[0]["id"], again[0]["applied"]) == ("WELCOME", b, 5), again
    try:
        await bob.until("LEFT")
        raise AssertionError("the old connection stands")
    except ConnectionClosed as closed:
        assert closed.rcvd.code == 4004, closed
    stranger = await Player.join(url, "Cy", token="00" * 16)
    anew = await stranger.until("READY")
    assert anew[0] == {"packet": "RESET", "reason": 3}, anew
    c = anew[1]["id"]
    assert c == b + 1
    await ada.until("JOINED")
    await stranger.send({"packet": "LEAVE"})
    await ada.hears({"packet": "LEFT", "id": c, "reason": 0})
    # He has not been lost while his connection was replaced: nobody was told so.
    await token_alone.send(said("bye"))
    await ada.hears(event(b, "bye"))


async def hosts(url):
    """Dan is the host; Eve takes over with his snapshot, locks the room, puts him out and closes it."""
    dan = await Player.join(url, "Dan", minor=1, wishes=[[10, 0]])
    d, cursor = [(packet["id"], packet["seq"]) for packet in named(await dan.until("READY"), "WELCOME")][0]
    eve = await Player.join(url, "Eve", minor=1)
    came = await eve.until("READY")
    e = came[0]["id"]
    assert {"packet": "HOST", "term": 1, "id": d, "given": False} in came, came
    await dan.until("JOINED")
    await eve.send({"packet": "WILLING", "willing": True, "visible": True}, said("e4", "EVENT_HOST"))
    await dan.hears(event(e, "e4", True))
    await dan.send(
        said("as host", term=1),
        setting(5, "x", room=True) | {"term": 1},
        {"packet": "SNAPSHOT", "term": 1, "seq": cursor, "state": "c0ffee"},
        {"packet": "TRIPS", "term": 1},
    )
    await dan.until("TRIPS")
    await eve.hears(event(d, "as host") | {"host": True}, state(0, 5, "x") | {"host": True})
    # What he says as host of another term is refused.
    await dan.send(said("too early", term=2), {"packet": "HAND_OVER", "term": 1, "id": e})
    assert (await dan.until("REFUSED"))[-1]["reason"] == 6
    host = {"packet": "HOST", "term": 2, "id": e, "given": True}
    await eve.hears(host)
    came = await eve.until("READY")
    assert came[0] == {"packet": "SNAPSHOT", "seq": cursor, "state": "c0ffee", "cut": False}, came
    assert came[1]["packet"] == "JOINED" and event(e, "e4", True) in came and host in came, came
    await eve.send({"packet": "LOCK", "term": 2, "locked": True}, {"packet": "KICK", "term": 2, "id": d})
    await eve.hears({"packet": "LOCKED", "locked": True}, {"packet": "LEFT", "id": d, "reason": 2})
    await closed(dan, 4001)
    await closed(await Player.join(url, "Fay"), 4007)
    await eve.send({"packet": "CLOSE", "term": 2})
    await closed(eve, 4003)
    # Who comes from another life may have what it was.
    dan = await Player.join(url, "Dan", minor=1, token="11" * 16)
    await dan.hears({"packet": "RESET", "reason": 3})
    await dan.until("READY")
    await dan.hears({"packet": "SNAPSHOT_WANTED", "term": 1})


async def ticks(url):
    """What Gus says comes on a tick of the room that he made, and he is told how near to one he said it."""
    gus = await Player.join(url, "Gus", wishes=[[12, 20]])
    came = await gus.until("READY")
    assert named(came, "WELCOME")[0]["capabilities"] & 16, came
    assert [12, 20] in named(came, "SETTINGS")[0]["settings"], came
    await gus.send(said("on a tick", "EVENT_ALL"))
    came = await gus.until("EVENT")
    assert [packet["packet"] for packet in came[-2:]] == ["TICK", "EVENT"], came
    await gus.send({"packet": "PING", "echo": 9, "trip": 0, "ticks": True})
    answer = (await gus.until("PONG_TICKS"))[-1]
    assert answer["echo"] == 9 and 0 < answer["slack"] <= 2 * 50_000 + 1, answer


async def closed(player, code):
    try:
        await player.until("CLOSED")
    except ConnectionClosed as closed:
        assert closed.rcvd.code == code, closed
    else:
        raise AssertionError("it stands")


async def main():
    url = sys.argv[1]
    ada, bob, first, second = await welcomes(url)
    a, b = first["id"], second["id"]
    await events(ada, bob, a, b)
    await properties(ada, bob, a)
    await states(ada, bob, a)
    await groups(ada, bob, a)
    await times(ada, bob)
    await returns(url, ada, bob, a, second)
    await hosts(url + "-hosts")
    await ticks(url + "-ticks")
    for way, names in SEEN.items():
        print(way, *sorted(names))


if __name__ == "__main__":
    # Ends the process, whatever it waits for.
    signal.alarm(AT_MOST)
    asyncio.run(main())
