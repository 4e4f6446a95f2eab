"""A ticket (docs/OPERATIONS.md, "Tickets"), made where players log in. Nothing to install.

python3 ticket.py KEY-FILE SUB ROOM…     for example: python3 ticket.py /etc/roomcast/tickets.key ada lobby 'match-*'
"""

import base64
import hashlib
import hmac
import json
import sys
import time


def ticket(secret: bytes, sub: str, rooms: list[str], seconds: int = 300) -> str:
    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    claims = {"sub": sub, "rooms": rooms, "exp": int(time.time()) + seconds}
    header = {"alg": "HS256", "typ": "JWT"}
    signed = b".".join(part(json.dumps(value).encode()) for value in (header, claims))
    signature = hmac.digest(secret, signed, hashlib.sha256)
    return b".".join((signed, part(signature))).decode()


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: python3 ticket.py KEY-FILE SUB ROOM…")
    with open(sys.argv[1], "rb") as file:
        # One line break at its end is the editor's, not the secret's.
        key = file.read().removesuffix(b"\n").removesuffix(b"\r")
    print(ticket(key, sys.argv[2], sys.argv[3:]))
