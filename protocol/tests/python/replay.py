"""Replays the vectors: `replay.py FOLDER`. Prints how many there were; what differs goes to standard error."""

import json
import pathlib
import sys

import roomcast_v1 as v1

DECODE = {"up": v1.decode_up, "down": v1.decode_down}
ENCODE = {"up": v1.encode_up, "down": v1.encode_down}


def replay(vector):
    way = vector["way"]
    data = bytes.fromhex(vector["bytes"])
    if "reason" in vector:
        try:
            return f"means {DECODE[way](data)}, and should be malformed: {vector['reason']}"
        except v1.Malformed:
            return None
    means = DECODE[way](data)
    if means != vector["means"]:
        return f"means {means}"
    again = ENCODE[way](vector["means"])
    if again != data:
        return f"encodes to {again.hex()}"
    return None


def messages(steps):
    for step in steps:
        if "new" in step:
            yield "up", step["new"]
        if "receive" in step:
            yield "down", step["receive"]
        for message in step.get("transmits", []):
            yield "up", message


def main():
    count = 0
    failed = False
    for file in ("up.json", "down.json", "malformed.json", "examples.json"):
        for vector in json.loads((pathlib.Path(sys.argv[1]) / file).read_text()):
            count += 1
            try:
                wrong = replay(vector)
            except v1.Malformed as error:
                wrong = f"malformed: {error}"
            if wrong:
                failed = True
                print(f"{file}: {vector['name']}: {wrong}\n  {vector}", file=sys.stderr)
    sessions = [pathlib.Path(sys.argv[1]) / file for file in ("sessions.json", "hosts.json")]
    for session in [session for file in sessions for session in json.loads(file.read_text())]:
        for way, message in messages(session["steps"]):
            count += 1
            data = bytes.fromhex(message)
            if ENCODE[way](DECODE[way](data)) != data:
                failed = True
                print(f"{session['name']}: {message} encodes to something else", file=sys.stderr)
    print(count)
    sys.exit(failed)


main()
