"""Strangers who know a relay and what they want to play find each other: over HTTP by Python's own client, then in rooms.

Told where the relay is, http(s)://HOST:PORT, and what they call it. Prints what they found.
"""

import asyncio
import collections
import json
import sys
import time
import urllib.parse
import urllib.request

from v1_exchange import Player

STRANGERS = 12
PLAYERS = 3
# Seconds that a list may take to show who has joined; it is to be one.
AT_MOST = 20


def ask(relay, path, **query):
    address = f"{relay}{path}?{urllib.parse.urlencode(query)}"
    request = urllib.request.Request(address, headers={"Origin": "https://game.example"})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        return json.load(answer)


async def come(relay, tag, number):
    name = (await asyncio.to_thread(ask, relay, "/match", tag=tag, max=PLAYERS))["name"]
    rooms = relay.replace("http", "ws") + "/rooms/"
    wishes = [[1, {"hex": tag.encode().hex()}], [2, PLAYERS]]
    player = await Player.join(rooms + name, f"Player {number}", wishes=wishes)
    welcome = await player.until("READY")
    settings = next(packet for packet in welcome if packet["packet"] == "SETTINGS")["settings"]
    assert wishes[0] in settings, settings
    return name, player


async def main(relay, tag):
    came = await asyncio.gather(*(come(relay, tag, number) for number in range(STRANGERS)))
    rooms = collections.Counter(name for name, _ in came)
    print(len(rooms), "rooms of", sorted(rooms.values()))
    until = time.monotonic() + AT_MOST
    while True:
        listed = ask(relay, "/rooms", tag=tag)
        players = {room["name"]: room["players"] for room in listed["rooms"]}
        if players == rooms:
            break
        assert time.monotonic() < until, listed
    assert not any(room["open"] for room in listed["rooms"]), listed
    print("listed, and", len(ask(relay, "/rooms", tag=tag, open=1)["rooms"]), "open")
    # A place is free again.
    name, player = came[0]
    await player.send({"packet": "LEAVE"})
    while not ask(relay, "/rooms", tag=tag, open=1)["rooms"]:
        assert time.monotonic() < until
    # Until then who was sent there counts as a player.
    while ask(relay, "/match", tag=tag, max=PLAYERS)["name"] != name:
        assert time.monotonic() < until
    print("and a free place is found")


asyncio.run(main(*sys.argv[1:]))
