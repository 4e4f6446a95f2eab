"""The codec of roomcast.v1, first part, states, groups, hosts and ticks, written from docs/PROTOCOL.md and nothing else.

A message is bytes; what it means is a list of dicts (up), or a dict of `covered` and such a list (down). Payloads and
values are {"text": "…"} or {"hex": "…"}; a deleted value is None.
"""

NUMBER_MAX = 2**53 - 1
ID_MAX = 2**32 - 1
VALUE_MAX = 4096
CHANGES_MAX = 64
LIST_MAX = 256
GROUPS_MAX = 256
NAME_MAX = 64


class Malformed(Exception):
    """Bytes that no honest peer sends."""


# Section 3: bytes.


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def left(self):
        return len(self.data) - self.at

    def bytes(self, n):
        if n > self.left():
            raise Malformed("it ends too early")
        self.at += n
        return self.data[self.at - n : self.at]

    def u8(self):
        return self.bytes(1)[0]

    def varint(self, most=NUMBER_MAX):
        number = 0
        for place in range(8):
            byte = self.u8()
            number |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                if byte == 0 and place > 0:
                    raise Malformed("a varint is not in its shortest form")
                if number > most:
                    raise Malformed("a number is too large")
                return number
        raise Malformed("a varint is too long")

    def id(self, room=False):
        number = self.varint(ID_MAX)
        if number == 0 and not room:
            raise Malformed("the room is no player")
        return number

    def text(self, most=NAME_MAX):
        n = self.varint()
        if n > most:
            raise Malformed("a text is too long")
        return utf8(self.bytes(n))

    def name(self, least=1):
        text = self.text()
        if len(text.encode()) < least:
            raise Malformed("a name is empty")
        if any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in text):
            raise Malformed("a name has a control character")
        return text

    def rest(self):
        return self.bytes(self.left())

    def value(self):
        m = self.varint()
        if m == 0:
            return None
        n, is_text = divmod(m - 1, 2)
        if n > VALUE_MAX:
            raise Malformed("a value is too long")
        return payload(self.bytes(n), is_text)

    def pairs(self):
        pairs = []
        while self.left():
            key = self.varint()
            if pairs and pairs[-1][0] >= key:
                raise Malformed("keys of pairs do not ascend")
            if key % 2 == 0:
                pairs.append([key, self.varint()])
            else:
                n = self.varint()
                pairs.append([key, {"hex": self.bytes(n).hex()}])
        return pairs

    def changes(self, least, between):
        """`between` reads what stands between key and value."""
        count = self.varint()
        if not least <= count <= CHANGES_MAX:
            raise Malformed("too many or too few properties")
        changes = []
        for _ in range(count):
            change = {"key": self.name()}
            if between:
                change[between] = self.varint()
            change["value"] = self.value()
            if any(other["key"] == change["key"] for other in changes):
                raise Malformed("two properties have one key")
            changes.append(change)
        return changes


def utf8(data):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("text is not UTF-8") from error


def payload(data, is_text):
    return {"text": utf8(data)} if is_text else {"hex": data.hex()}


def varint(number):
    assert 0 <= number <= NUMBER_MAX
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def raw(value):
    return value["text"].encode() if "text" in value else bytes.fromhex(value["hex"])


def text(string):
    data = string.encode()
    return varint(len(data)) + data


def encode_value(value):
    if value is None:
        return varint(0)
    data = raw(value)
    return varint(1 + 2 * len(data) + ("text" in value)) + data


def encode_pairs(pairs):
    out = b""
    for key, value in pairs:
        out += varint(key)
        if key % 2 == 0:
            out += varint(value)
        else:
            out += varint(len(raw(value))) + raw(value)
    return out


def encode_changes(changes, between):
    out = varint(len(changes))
    for change in changes:
        out += text(change["key"])
        if between:
            out += varint(change[between])
        out += encode_value(change["value"])
    return out


def packet(kind, body):
    return bytes([kind]) + varint(len(body)) + body


# Section 4: packets down.

FLAGS_DOWN = {"EVENT": 7, "STATE": 3, "REMOVED": 1, "WELCOME": 1, "PLAYER": 1, "REFUSED": 1} | {
    "HOST": 1,
    "LOCKED": 1,
    "SNAPSHOT": 1,
    "PONG": 1,
}
FAMILIES_DOWN = {
    0x08: "EVENT",
    0x10: "STATE",
    0x18: "REMOVED",
    0x20: "WELCOME",
    0x28: "SETTINGS",
    0x30: "PLAYER",
    0x38: "READY",
    0x40: "JOINED",
    0x48: "LEFT",
    0x50: "AWAY",
    0x58: "BACK",
    0x60: "PROPERTIES",
    0x68: "RESUMED",
    0x70: "RESET",
    0x78: "REFUSED",
    0x80: "ACK",
    0x88: "PONG",
    0x90: "KEEPALIVE",
    0x98: "HOST",
    0xA0: "LOCKED",
    0xA8: "SNAPSHOT",
    0xB0: "SNAPSHOT_WANTED",
    0xB8: "TICK",
    0xC0: "AGED",
    0xC8: "TRIPS",
    0xD0: "NOTICE",
}
VARIANTS_DOWN = {0x19: "REMOVED_ALL", 0x79: "REFUSED_STATE", 0x89: "PONG_TICKS"}
KINDS_DOWN = {name: kind for kind, name in (FAMILIES_DOWN | VARIANTS_DOWN).items()}


def read_down(kind, body):
    name = FAMILIES_DOWN.get(kind & ~7)
    if name is None or kind & 7 & ~FLAGS_DOWN.get(name, 0):
        return {"packet": "UNKNOWN", "kind": kind, "body": body.hex()}
    name = VARIANTS_DOWN.get(kind, name)
    r = Reader(body)
    p = {"packet": name}
    if name == "STATE":
        p["host"] = bool(kind & 2)
        p["author"] = r.id(room=True)
        p["key"] = r.varint(ID_MAX)
        p["payload"] = payload(r.rest(), kind & 1)
    elif name == "REMOVED":
        p["author"] = r.id(room=True)
        p["key"] = r.varint(ID_MAX)
    elif name == "REFUSED_STATE":
        p["key"] = r.varint(ID_MAX)
        p["reason"] = r.varint()
        p["detail"] = utf8(r.rest())
    elif name == "EVENT":
        p["host"] = bool(kind & 2)
        p["addressed"] = bool(kind & 4)
        p["author"] = r.id()
        p["payload"] = payload(r.rest(), kind & 1)
    elif name == "WELCOME":
        p["created"] = bool(kind & 1)
        p["minor"] = r.varint()
        p["capabilities"] = r.varint()
        p["life"] = r.bytes(8).hex()
        p["id"] = r.id()
        p["token"] = r.bytes(16).hex()
        p["seq"] = r.varint()
        p["applied"] = r.varint()
        p["time"] = r.varint()
        p["limits"] = r.pairs()
    elif name == "SETTINGS":
        p["settings"] = r.pairs()
    elif name == "PLAYER":
        p["away"] = bool(kind & 1)
        p["id"] = r.id()
        p["name"] = r.name(0)
    elif name == "JOINED":
        p["id"] = r.id()
        p["name"] = r.name(0)
        p["properties"] = r.changes(0, "version")
        if any(change["value"] is None for change in p["properties"]):
            raise Malformed("a deleted property")
    elif name == "LEFT":
        p["id"] = r.id()
        p["reason"] = r.varint()
    elif name in ("AWAY", "BACK"):
        p["id"] = r.id()
    elif name == "PROPERTIES":
        p["owner"] = r.id(room=True)
        p["author"] = r.id(room=True)
        p["changes"] = r.changes(1, "version")
    elif name == "RESUMED":
        p["applied"] = r.varint()
        p["time"] = r.varint()
    elif name == "RESET":
        p["reason"] = r.varint()
    elif name == "REFUSED":
        p["number"] = r.varint()
        p["reason"] = r.varint()
        p["detail"] = utf8(r.rest())
    elif name == "ACK":
        p["applied"] = r.varint()
    elif name in ("PONG", "PONG_TICKS"):
        p["echo"] = r.varint()
        p["time"] = r.varint()
        if name == "PONG_TICKS":
            p["superseded"] = r.varint()
            p["slack"] = r.varint()
    elif name == "TICK":
        p["tick"] = r.varint()
        p["time"] = r.varint()
    elif name == "AGED":
        p["age"] = r.varint()
    elif name == "KEEPALIVE":
        p["time"] = r.varint()
    elif name == "HOST":
        p["given"] = bool(kind & 1)
        p["term"] = r.varint()
        p["id"] = r.id(room=True)
    elif name == "LOCKED":
        p["locked"] = bool(kind & 1)
    elif name == "SNAPSHOT":
        p["cut"] = bool(kind & 1)
        p["seq"] = r.varint()
        p["state"] = r.rest().hex()
    elif name == "SNAPSHOT_WANTED":
        p["term"] = r.varint()
    elif name == "TRIPS":
        p["trips"] = []
        while r.left():
            p["trips"].append([r.id(), r.varint()])
        if any(a[0] >= b[0] for a, b in zip(p["trips"], p["trips"][1:])):
            raise Malformed("ids do not ascend")
    elif name == "NOTICE":
        p["notice"] = utf8(r.rest())
    if r.left():
        raise Malformed("bytes are left over")
    return p


def write_down(p):
    name = p["packet"]
    if name == "UNKNOWN":
        return packet(p["kind"], bytes.fromhex(p["body"]))
    kind = KINDS_DOWN[name]
    if name == "STATE":
        kind += ("text" in p["payload"]) + 2 * p["host"]
        body = varint(p["author"]) + varint(p["key"]) + raw(p["payload"])
    elif name == "REMOVED":
        body = varint(p["author"]) + varint(p["key"])
    elif name == "REFUSED_STATE":
        body = varint(p["key"]) + varint(p["reason"]) + p["detail"].encode()
    elif name == "EVENT":
        kind += ("text" in p["payload"]) + 2 * p["host"] + 4 * p["addressed"]
        body = varint(p["author"]) + raw(p["payload"])
    elif name == "WELCOME":
        kind += p["created"]
        body = varint(p["minor"]) + varint(p["capabilities"]) + bytes.fromhex(p["life"]) + varint(p["id"])
        body += bytes.fromhex(p["token"]) + varint(p["seq"]) + varint(p["applied"]) + varint(p["time"])
        body += encode_pairs(p["limits"])
    elif name == "SETTINGS":
        body = encode_pairs(p["settings"])
    elif name == "PLAYER":
        kind += p["away"]
        body = varint(p["id"]) + text(p["name"])
    elif name in ("READY", "REMOVED_ALL"):
        body = b""
    elif name == "JOINED":
        body = varint(p["id"]) + text(p["name"]) + encode_changes(p["properties"], "version")
    elif name == "LEFT":
        body = varint(p["id"]) + varint(p["reason"])
    elif name in ("AWAY", "BACK"):
        body = varint(p["id"])
    elif name == "PROPERTIES":
        body = varint(p["owner"]) + varint(p["author"]) + encode_changes(p["changes"], "version")
    elif name == "RESUMED":
        body = varint(p["applied"]) + varint(p["time"])
    elif name == "RESET":
        body = varint(p["reason"])
    elif name == "REFUSED":
        body = varint(p["number"]) + varint(p["reason"]) + p["detail"].encode()
    elif name == "ACK":
        body = varint(p["applied"])
    elif name == "PONG":
        body = varint(p["echo"]) + varint(p["time"])
    elif name == "PONG_TICKS":
        body = varint(p["echo"]) + varint(p["time"]) + varint(p["superseded"]) + varint(p["slack"])
    elif name == "TICK":
        body = varint(p["tick"]) + varint(p["time"])
    elif name == "AGED":
        body = varint(p["age"])
    elif name == "KEEPALIVE":
        body = varint(p["time"])
    elif name == "HOST":
        kind += p["given"]
        body = varint(p["term"]) + varint(p["id"])
    elif name == "LOCKED":
        kind += p["locked"]
        body = b""
    elif name == "SNAPSHOT":
        kind += p["cut"]
        body = varint(p["seq"]) + bytes.fromhex(p["state"])
    elif name == "SNAPSHOT_WANTED":
        body = varint(p["term"])
    elif name == "NOTICE":
        body = p["notice"].encode()
    elif name == "TRIPS":
        body = b"".join(varint(player) + varint(trip) for player, trip in p["trips"])
    return packet(kind, body)


# Section 5: packets up.

EVENTS_UP = ("EVENT_OTHERS", "EVENT_ALL", "EVENT_ONE", "EVENT_LIST", "EVENT_HOST", "EVENT_GROUP")
FLAGS_UP = dict.fromkeys(EVENTS_UP, 7) | {
    "JOIN": 3,
    "STATE": 7,
    "DELETE": 6,
    "PROPERTIES": 4,
    "GROUPS": 1,
    "PING": 1,
}
AS_HOST = EVENTS_UP + ("STATE", "DELETE", "PROPERTIES")
ACTS = ("HAND_OVER", "KICK", "LOCK", "CLOSE", "SNAPSHOT", "TRIPS")
FAMILIES_UP = {
    0x08: "EVENT_OTHERS",
    0x10: "EVENT_ALL",
    0x18: "EVENT_ONE",
    0x20: "EVENT_LIST",
    0x28: "EVENT_HOST",
    0x30: "EVENT_GROUP",
    0x38: "STATE",
    0x40: "DELETE",
    0x48: "JOIN",
    0x50: "LEAVE",
    0x58: "PROPERTIES",
    0x60: "PING",
    0x68: "IMPAIR",
    0x70: "AUDIENCE",
    0x78: "GROUPS",
    0x80: "WILLING",
    0x88: "HAND_OVER",
    0x90: "KICK",
    0x98: "LOCK",
    0xA0: "CLOSE",
    0xA8: "SNAPSHOT",
    0xB0: "TRIPS",
}
KINDS_UP = {name: kind for kind, name in FAMILIES_UP.items()}


def read_up(kind, body):
    name = FAMILIES_UP.get(kind & ~7)
    if name is None or kind & 7 & ~FLAGS_UP.get(name, 0):
        raise Malformed("an unknown kind")
    r = Reader(body)
    p = {"packet": name}
    if name in ACTS or name in AS_HOST and kind & 4:
        p["term"] = r.varint()
    if name.startswith("EVENT"):
        p["droppable"] = bool(kind & 2)
        if name == "EVENT_ONE":
            p["to"] = r.id()
        elif name == "EVENT_GROUP":
            p["group"] = r.varint(ID_MAX)
        elif name == "EVENT_LIST":
            count = r.varint()
            if not 1 <= count <= LIST_MAX:
                raise Malformed("too many or too few ids")
            p["to"] = [r.id() for _ in range(count)]
            if any(a >= b for a, b in zip(p["to"], p["to"][1:])):
                raise Malformed("ids do not ascend")
        p["payload"] = payload(r.rest(), kind & 1)
    elif name == "STATE":
        p["room"] = bool(kind & 2)
        p["key"] = r.varint(ID_MAX)
        p["payload"] = payload(r.rest(), kind & 1)
    elif name == "DELETE":
        p["room"] = bool(kind & 2)
        p["key"] = r.varint(ID_MAX)
    elif name == "AUDIENCE":
        p["key"] = r.varint(ID_MAX)
        p["flags"] = r.u8()
        if p["flags"] > 15:
            raise Malformed("an unknown flag")
        if p["flags"] & 3 == 2:
            p["group"] = r.varint(ID_MAX)
    elif name == "GROUPS":
        p["only"] = bool(kind & 1)
        p["groups"] = []
        while r.left():
            p["groups"].append([r.varint(ID_MAX), r.u8()])
        if any(a[0] >= b[0] for a, b in zip(p["groups"], p["groups"][1:])):
            raise Malformed("groups do not ascend")
        if len(p["groups"]) > GROUPS_MAX or not (p["groups"] or p["only"]):
            raise Malformed("too many or too few groups")
        if any(within > 1 for _, within in p["groups"]):
            raise Malformed("neither joined nor left")
    elif name == "JOIN":
        if kind & 3 == 2:
            raise Malformed("a cursor without a token")
        p["minor"] = r.varint()
        p["mode"] = r.u8()
        if p["mode"] > 2:
            raise Malformed("an unknown mode")
        if kind & 1:
            p["token"] = r.bytes(16).hex()
        if kind & 2:
            p["life"] = r.bytes(8).hex()
            p["seq"] = r.varint()
        p["name"] = r.name()
        p["properties"] = r.changes(0, None)
        if any(change["value"] is None for change in p["properties"]):
            raise Malformed("a deleted property")
        p["wishes"] = r.pairs()
    elif name == "PROPERTIES":
        p["owner"] = r.id(room=True)
        p["changes"] = r.changes(1, "guard")
    elif name == "PING":
        p["echo"] = r.varint()
        p["trip"] = r.varint()
        p["ticks"] = bool(kind & 1)
    elif name == "IMPAIR":
        p["delay"] = r.varint(10_000)
        p["jitter"] = r.varint(10_000)
        p["rate"] = r.varint()
        p["cut"] = r.varint(600_000)
    elif name == "WILLING":
        flags = r.u8()
        if flags > 3:
            raise Malformed("an unknown flag")
        p["willing"] = bool(flags & 1)
        p["visible"] = bool(flags & 2)
    elif name in ("HAND_OVER", "KICK"):
        p["id"] = r.id()
    elif name == "LOCK":
        locked = r.u8()
        if locked > 1:
            raise Malformed("neither locked nor unlocked")
        p["locked"] = bool(locked)
    elif name == "SNAPSHOT":
        p["seq"] = r.varint()
        p["state"] = r.rest().hex()
    if r.left():
        raise Malformed("bytes are left over")
    return p


def write_up(p):
    name = p["packet"]
    kind = KINDS_UP[name]
    body = b""
    if "term" in p:
        kind += 0 if name in ACTS else 4
        body = varint(p["term"])
    if name.startswith("EVENT"):
        kind += ("text" in p["payload"]) + 2 * p["droppable"]
        if name == "EVENT_ONE":
            body += varint(p["to"])
        elif name == "EVENT_GROUP":
            body += varint(p["group"])
        elif name == "EVENT_LIST":
            body += varint(len(p["to"])) + b"".join(map(varint, p["to"]))
        body += raw(p["payload"])
    elif name == "STATE":
        kind += ("text" in p["payload"]) + 2 * p["room"]
        body += varint(p["key"]) + raw(p["payload"])
    elif name == "DELETE":
        kind += 2 * p["room"]
        body += varint(p["key"])
    elif name == "AUDIENCE":
        body = varint(p["key"]) + bytes([p["flags"]])
        if "group" in p:
            body += varint(p["group"])
    elif name == "GROUPS":
        kind += p["only"]
        body = b"".join(varint(group) + bytes([within]) for group, within in p["groups"])
    elif name == "JOIN":
        body = varint(p["minor"]) + bytes([p["mode"]])
        if "token" in p:
            kind += 1
            body += bytes.fromhex(p["token"])
        if "life" in p:
            kind += 2
            body += bytes.fromhex(p["life"]) + varint(p["seq"])
        body += text(p["name"]) + encode_changes(p["properties"], None) + encode_pairs(p["wishes"])
    elif name == "PROPERTIES":
        body += varint(p["owner"]) + encode_changes(p["changes"], "guard")
    elif name == "PING":
        kind += p["ticks"]
        body = varint(p["echo"]) + varint(p["trip"])
    elif name == "IMPAIR":
        body = varint(p["delay"]) + varint(p["jitter"]) + varint(p["rate"]) + varint(p["cut"])
    elif name == "WILLING":
        body = bytes([p["willing"] + 2 * p["visible"]])
    elif name in ("HAND_OVER", "KICK"):
        body += varint(p["id"])
    elif name == "LOCK":
        body += bytes([p["locked"]])
    elif name == "SNAPSHOT":
        body += varint(p["seq"]) + bytes.fromhex(p["state"])
    return packet(kind, body)


# Messages.


def packets(r, read):
    found = []
    while r.left():
        kind = r.u8()
        found.append(read(kind, r.bytes(r.varint())))
    return found


def decode_up(message):
    found = packets(Reader(message), read_up)
    if not found:
        raise Malformed("an empty message")
    return found


def encode_up(meaning):
    return b"".join(map(write_up, meaning))


def decode_down(message):
    r = Reader(message)
    covered = r.varint()
    return {"covered": covered, "packets": packets(r, read_down)}


def encode_down(meaning):
    return varint(meaning["covered"]) + b"".join(map(write_down, meaning["packets"]))
