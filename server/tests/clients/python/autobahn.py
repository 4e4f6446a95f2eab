"""Autobahn's cases 1 to 10 (of PyPI's `kosoku`) against the relay whose /echo is the URL given; prints what came of each.

Cases 12 and 13 are about compression, which the relay declines; there are none numbered 8 or 11. One line for each pair
of verdicts, message exchange and close; `1.1.1-8` stands for 1.1.1 to 1.1.8.
"""

import asyncio
import os
import signal
import sys
from itertools import groupby

from kosoku import FailureError, run_fuzzingclient

CHAPTERS = (1, 2, 3, 4, 5, 6, 7, 9, 10)

# Seconds. The cases take about five.
AT_MOST = 120


def ranges(cases: list[tuple[int, ...]]) -> str:
    """Cases in order, runs of neighbours as one word."""
    runs: list[list[tuple[int, ...]]] = []
    for case in cases:
        if runs and runs[-1][-1][:-1] == case[:-1] and runs[-1][-1][-1] + 1 == case[-1]:
            runs[-1].append(case)
        else:
            runs.append([case])
    words = (".".join(map(str, run[0])) + (f"-{run[-1][-1]}" if len(run) > 1 else "") for run in runs)
    return " ".join(words)


async def verdicts(url: str) -> dict[tuple[int, ...], str]:
    try:
        results = await run_fuzzingclient(url, [f"{chapter}.*" for chapter in CHAPTERS], None, concurrency=4)
    except FailureError as failure:
        results = failure.results
    return {
        tuple(map(int, result.case_id.split("."))): f"{result.behavior.value} / {result.behavior_close.value}"
        for result in results
    }


def main() -> None:
    # Ends the process, whatever it is stuck in.
    signal.alarm(AT_MOST)
    found = sorted(asyncio.run(verdicts(sys.argv[1])).items(), key=lambda each: (each[1], each[0]))
    for verdict, cases in groupby(found, key=lambda each: each[1]):
        print(f"{verdict}: {ranges([case for case, _ in cases])}")
    sys.stdout.flush()
    # kosoku's threads may abort an interpreter that ends in the ordinary way.
    os._exit(0)


main()
