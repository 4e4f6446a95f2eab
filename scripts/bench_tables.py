"""Prints what scripts/bench and scripts/bench-micro measured, beside the goals.

    bench_tables.py SCENARIO DIR          a scenario's reports: DIR/PEER/ROUND/report.json
    bench_tables.py kept-up DIR           whether the last step of a saturation run held (exit code)
    bench_tables.py micro CRITERION STAMP every bench that ran after STAMP was made
"""

import json
import pathlib
import statistics
import sys

FLOOR = "kernel-floor"
US, MS = 1e3, 1e6


def table(header, rows):
    """Left-aligned first column, right-aligned others."""
    rows = [header, *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  " + "  ".join(cells).rstrip())


def goal(text, figure, holds):
    print(f"  {'reached' if holds else 'MISSED '}  {text}: {figure}")


def time(ns):
    for unit, size, digits in (("s", 1e9, 2), ("ms", MS, 2), ("us", US, 1)):
        if ns >= size:
            return f"{ns / size:.{digits}f} {unit}"
    return f"{ns:.1f} ns" if ns < 100 else f"{ns:.0f} ns"


# --- scenarios --------------------------------------------------------------------------------------------------------


class Run:
    """One report.json."""

    def __init__(self, path):
        self.path = path.parent
        report = json.loads(path.read_text())
        self.report = report
        self.metrics = report["metrics"]
        self.reasons = [reason["code"] for reason in report["validity"]["reasons"]]

    def get(self, metric):
        return self.metrics.get(metric)


def load(directory):
    """{peer: [Run, ...]}, runs in order."""
    peers = {}
    for path in sorted(pathlib.Path(directory).glob("*/*/report.json"), key=lambda p: (p.parts[-3], int(p.parts[-2]))):
        peers.setdefault(path.parts[-3], []).append(Run(path))
    if not peers:
        sys.exit(f"bench: no report in {directory}")
    return peers


def median(runs, metric):
    values = [run.get(metric) for run in runs if run.get(metric) is not None]
    return statistics.median(values) if values else None


def ratios(peers, peer, metric, floor=FLOOR):
    """This peer to the floor, round by round."""
    pairs = zip(peers.get(peer, []), peers.get(floor, []))
    return [a.get(metric) / b.get(metric) for a, b in pairs if a.get(metric) and b.get(metric)]


def shown(value, form):
    return "-" if value is None else form(value)


def faults(runs):
    """What must not be: lost, doubled, reordered, corrupted or leaked messages, lost connections."""
    names = ("lost", "duplicates", "reordered", "corrupted", "leaked", "disconnects", "connect_failures")
    found = [f"{name} {int(sum(run.get(name) or 0 for run in runs)):,}" for name in names]
    return ", ".join(text for text in found if not text.endswith(" 0")) or "none"


def validity(runs):
    return "valid" if not any(run.reasons for run in runs) else ",".join(sorted({r for run in runs for r in run.reasons}))


def overview(peers, floor=FLOOR):
    to_floor = "to floor" if floor == FLOOR else f"to {floor}"
    header = ["", "deliveries/s", "CPU/delivery", "user", "system", to_floor, "p50", "p99", "p99.9", "faults", "run"]
    rows = []
    for peer, runs in peers.items():
        ratio = ratios(peers, peer, "server.cpu_per_delivery", floor)
        rows.append(
            [
                peer,
                shown(median(runs, "rate"), lambda v: f"{v:,.0f}"),
                shown(median(runs, "server.cpu_per_delivery"), time),
                shown(median(runs, "server.user_per_delivery"), time),
                shown(median(runs, "server.system_per_delivery"), time),
                "-" if peer == floor or not ratio else f"{statistics.median(ratio):.2f} ({min(ratio):.2f}-{max(ratio):.2f})",
                shown(median(runs, "latency.p50"), time),
                shown(median(runs, "latency.p99"), time),
                shown(median(runs, "latency.p99.9"), time),
                faults(runs),
                validity(runs),
            ]
        )
    table(header, rows)


def tls_cost(peers):
    """wss to ws, round by round: at most 1.15 times as much CPU, plus 0.4 us."""
    cost = "server.cpu_per_delivery"
    pairs = [(a.get(cost), b.get(cost)) for a, b in zip(peers.get("roomcast-wss", []), peers.get("roomcast", []))]
    over = [a - (1.15 * b + 400) for a, b in pairs if a and b]
    if over:
        rounds = ", ".join(f"{time(a)} to {time(b)}" for a, b in pairs if a and b)
        goal("CPU per delivery over wss at most 1.15 x that over ws plus 400 ns", rounds, statistics.median(over) <= 0)


def below(peers, metric, text, limit, peer="roomcast"):
    value = median(peers.get(peer, []), metric)
    if value is not None:
        goal(f"{text} at most {time(limit)}", time(value), value <= limit)


def arena(directory):
    peers = load(directory)
    overview(peers)
    ratio = ratios(peers, "roomcast", "server.cpu_per_delivery")
    if ratio:
        middle = statistics.median(ratio)
        goal("CPU per delivery at most 1.10 x the floor", f"{middle:.3f} (rounds: {' '.join(f'{r:.3f}' for r in ratio)})", middle <= 1.10)
    tls_cost(peers)
    below(peers, "server.user_per_delivery", "user time per delivery", 300)
    below(peers, "latency.p50", "p50", 60 * US)
    below(peers, "latency.p99", "p99", 2.5 * MS)
    below(peers, "latency.p99.9", "p99.9", 7 * MS)


def burst(directory):
    peers = load(directory)
    overview(peers)
    below(peers, "server.cpu_per_delivery", "CPU per delivery", 200)
    below(peers, "server.cpu_per_delivery", "CPU per delivery over wss", 350, "roomcast-wss")
    below(peers, "latency.p99", "p99", 25 * MS)


def fifty(directory):
    peers = load(directory)
    overview(peers)
    below(peers, "latency.p99", "p99", 3 * MS)
    if "roomcast" in peers:
        lost = sum(run.get("lost") for run in peers["roomcast"])
        goal("nothing lost", f"{lost:,.0f} lost", lost == 0)


def within(peers, peer, base, metric, limit, text):
    """Whether a variant is at most so many times another one, in the middle of the rounds."""
    ratio = ratios(peers, peer, metric, base)
    if ratio:
        middle = statistics.median(ratio)
        figure = f"{middle:.3f} ({min(ratio):.2f}-{max(ratio):.2f})"
        goal(f"{text} at most {limit} x {base}", figure, middle <= limit)


def states(directory):
    peers = load(directory)
    overview(peers, "events")
    within(peers, "states", "events", "server.cpu_per_delivery", 1.05, "CPU for each delivery")


def ticks(directory):
    peers = load(directory)
    overview(peers, "floor")
    within(peers, "ticks", "floor", "server.cpu_per_delivery", 0.3, "CPU for each delivery")
    within(peers, "ticks", "floor-tick", "server.cpu_per_delivery", 1.2, "CPU for each delivery")
    below(peers, "latency_uncorrected.p50", "p50 from send to receipt", 5 * MS, "ticks")
    below(peers, "latency_uncorrected.p99", "p99 from send to receipt", 15 * MS, "ticks")


def groups(directory):
    peers = load(directory)
    overview(peers, "rooms")
    within(peers, "disjoint", "rooms", "server.cpu_per_delivery", 1.3, "CPU for each delivery, disjoint")
    within(peers, "grid", "rooms", "server.cpu_per_delivery", 1.6, "CPU for each delivery, grid")


def slow_reader(directory):
    peers = load(directory)
    overview(peers, "without")
    within(peers, "with", "without", "server.cpu_per_delivery", 1.05, "CPU for each delivery to the others")
    within(peers, "with", "without", "latency.p99", 1.25, "p99 of the others")


def carriers(directory):
    peers = load(directory)
    overview(peers, "ws")
    within(peers, "stream", "ws", "server.cpu_per_delivery", 1.15, "CPU for each delivery, stream")
    within(peers, "events", "ws", "server.cpu_per_delivery", 1.5, "CPU for each delivery, events")


def host_kills(directory):
    peers = load(directory)
    overview(peers, "kills")
    runs = peers["kills"]
    count = sum(run.report["connections"]["host_kills"] for run in runs)
    below(peers, "host.change.p99", f"p99 of {count:,} host changes", 100 * MS, "kills")


def held(run):
    """A step of the saturation run that the relay kept up with: all delivered, at the rate asked for."""
    # A saturated generator reads late, which only makes the latency look worse.
    offered = set(run.reasons) <= {"generator_saturated"}
    return offered and not run.get("lost") and not run.get("disconnects") and run.get("latency.p99") <= 50 * MS


def kept_up(directory):
    reports = sorted(pathlib.Path(directory).glob("*/report.json"), key=lambda path: int(path.parts[-2]))
    sys.exit(0 if reports and held(Run(reports[-1])) else 1)


def royale(directory):
    overview(load(directory))


def saturation_10(directory):
    steps(load(directory))


def saturation(directory):
    peers = load(directory)
    steps(peers)
    if "roomcast" in peers:
        best = max((run.get("rate") for run in peers["roomcast"] if held(run)), default=0)
        goal("at least 8 million deliveries/s with p99 under 50 ms", f"{best:,.0f}", best >= 8e6 * 0.99)


def steps(peers):
    header = ["", "asked for/s", "deliveries/s", "CPU/delivery", "p50", "p99", "faults", "generator", "run", "held"]
    rows = []
    for peer, runs in peers.items():
        for run in runs:
            rows.append(
                [
                    peer,
                    f"{int(run.path.name) * 1_000:,}",
                    f"{run.get('rate'):,.0f}",
                    shown(run.get("server.cpu_per_delivery"), time),
                    shown(run.get("latency.p50"), time),
                    shown(run.get("latency.p99"), time),
                    faults([run]),
                    shown(run.get("generator.occupied"), lambda v: f"{v:.0%}"),
                    validity([run]),
                    "yes" if held(run) else "no",
                ]
            )
    table(header, rows)


def recovery(run):
    """Seconds from SIGCONT to the start of the first interval from which p50 stays under 10 ms; None if never."""
    continued = float((run.path / "continued").read_text()) - run.report["measured_at_unix_ms"] / 1000
    back = None
    for interval in run.report["timeline"]:
        end = interval["start_s"] + interval["length_s"]
        if end <= continued or interval["start_s"] >= run.report["stages"]["measured_s"]:
            continue
        if interval["latency"]["p50_ns"] < 10 * MS:
            back = max(0.0, interval["start_s"] - continued) if back is None else back
        else:
            back = None
    return back


def stall(directory):
    peers = load(directory)
    header = ["", "p50 back under 10 ms after", "p50", "p99", "max", "faults", "run"]
    rows = []
    for peer, runs in peers.items():
        for run in runs:
            back = recovery(run)
            rows.append(
                [
                    peer,
                    "never" if back is None else f"{back:.2f} s",
                    *(shown(run.get(f"latency.{name}"), time) for name in ("p50", "p99", "max")),
                    faults([run]),
                    validity([run]),
                ]
            )
    table(header, rows)
    for peer, runs in peers.items():
        run = runs[-1]
        stopped = float((run.path / "stopped").read_text()) - run.report["measured_at_unix_ms"] / 1000
        near = [i for i in run.report["timeline"] if stopped - 0.5 <= i["start_s"] <= stopped + 2.5]
        print(f"  {peer}: p50 around the stall at {stopped:.2f} s")
        print("    " + "  ".join(f"{i['start_s']:.2f} s {time(i['latency']['p50_ns'])}" for i in near))
    if "roomcast" in peers:
        times = [recovery(run) for run in peers["roomcast"]]
        slowest = None if None in times else max(times)
        goal("p50 back under 10 ms within 1 s", shown(slowest, lambda v: f"{v:.2f} s"), slowest is not None and slowest <= 1)
        lost = sum(run.get("lost") for run in peers["roomcast"])
        goal("nothing lost", f"{lost:,.0f} lost", lost == 0)


def memory(directory):
    peers = load(directory)
    header = ["", "B/connection", "before", "10,000 idle", "faults"]
    rows = []
    for peer, runs in peers.items():
        server = runs[0].report["server"]
        rows.append(
            [
                peer,
                shown(median(runs, "server.memory_per_connection"), lambda v: f"{v:,.0f}"),
                f"{server['rss_before_bytes'] / 1024:,.0f} KiB",
                f"{server['rss_idle_bytes'] / 1024:,.0f} KiB",
                faults(runs),
            ]
        )
    table(header, rows)
    for peer, limit in (("roomcast", 450), ("roomcast-wss", 8192)):
        value = median(peers.get(peer, []), "server.memory_per_connection")
        if value is not None:
            goal(f"at most {limit} B per idle connection of {peer}", f"{value:,.0f} B", value <= limit)


def rooms(directory):
    peers = load(directory)
    header = ["", "fresh", "after 5,000 rooms", "full, 1st time", "full, last time", "after 100,000 rooms"]
    rows = []
    for peer, runs in peers.items():
        servers = [run.report["server"] for run in runs]
        after = float((pathlib.Path(directory) / peer / "rss_after").read_text())
        second = servers[min(1, len(servers) - 1)]["rss_before_bytes"]
        figures = (servers[0]["rss_before_bytes"], second, servers[0]["rss_end_bytes"], servers[-1]["rss_end_bytes"], after)
        rows.append([peer, *(f"{value / 1024:,.0f} KiB" for value in figures)])
        if peer == "roomcast":
            # An allocator keeps some of what was freed; what must not be is growth with the number of rooms.
            kept = (after - second) / 95_000
    table(header, rows)
    if "roomcast" in peers:
        goal("at most 16 B stay behind per room that was", f"{max(kept, 0):.1f} B", kept <= 16)


# --- micro benches ----------------------------------------------------------------------------------------------------


def micro(directory, stamp):
    since = pathlib.Path(stamp).stat().st_mtime
    groups = {}
    for path in pathlib.Path(directory).glob("**/new/benchmark.json"):
        estimates = path.with_name("estimates.json")
        if estimates.stat().st_mtime < since:
            continue
        bench = json.loads(path.read_text())
        # The fastest sample (each is the mean of many iterations): what else the machine does only ever adds time.
        sample = json.loads(path.with_name("sample.json").read_text())
        figure = min(took / iterations for took, iterations in zip(sample["times"], sample["iters"]))
        rows = groups.setdefault(bench["group_id"], {})
        rows.setdefault(bench["value_str"] or "", {})[bench["function_id"]] = (figure, estimates.stat().st_mtime)
    if not groups:
        sys.exit("bench-micro: nothing was measured")
    # Columns and rows in the order they ran.
    for group, rows in sorted(groups.items(), key=lambda item: min(t for row in item[1].values() for _, t in row.values())):
        columns = {}
        for row in rows.values():
            for name, (_, when) in row.items():
                columns[name] = min(when, columns.get(name, when))
        columns = sorted(columns, key=columns.get)
        print(f"\n{group}")
        ordered = sorted(rows, key=lambda size: min(when for _, when in rows[size].values()))
        table(
            ["", *columns],
            [[size, *(time(rows[size][name][0]) if name in rows[size] else "-" for name in columns)] for size in ordered],
        )
    print("\ngoals")
    micro_goals({group: {size: {name: v[0] for name, v in row.items()} for size, row in rows.items()} for group, rows in groups.items()})


def micro_goals(groups):
    for name in ("unmask_in_place", "unmask_copying"):
        rows = groups.get(name, {})
        row = rows.get("65536")
        if row and {"roomcast", "memcpy"} <= row.keys():
            ratio = row["roomcast"] / row["memcpy"]
            goal(f"{name} of 64 KiB within 1.2 x memcpy", f"{ratio:.2f}", ratio <= 1.2)
        for size, row in sorted(rows.items(), key=lambda item: int(item[0])):
            rivals = [v for who, v in row.items() if "fastwebsockets" in who]
            if rivals and "roomcast" in row:
                figure = f"{time(row['roomcast'])}, peer {time(min(rivals))}"
                # 3 % is what two runs of the same code differ by.
                goal(f"{name} of {size} B as fast as the fastest peer", figure, row["roomcast"] <= min(rivals) * 1.03)
    for size, row in groups.get("decode_binary", {}).items():
        if size.endswith(" x 64 B") and "roomcast" in row:
            goal(f"decode of {size} under 20 ns a frame", time(row["roomcast"]), row["roomcast"] < 20)
    for size, limit in (("10", 15), ("100", 3)):
        row = groups.get("fanout", {}).get(size, {})
        if "roomcast" in row:
            goal(f"fan-out in rooms of {size} under {limit} ns a delivery", time(row["roomcast"]), row["roomcast"] < limit)


SCENARIOS = {
    f.__name__.replace("_", "-"): f
    for f in (arena, burst, royale, saturation, saturation_10, stall, memory, fifty, rooms)
    + (states, ticks, groups, slow_reader, carriers, host_kills)
} | {"carriers-100": carriers}

if __name__ == "__main__":
    match sys.argv[1:]:
        case ["micro", directory, stamp]:
            micro(directory, stamp)
        case ["kept-up", directory]:
            kept_up(directory)
        case [name, directory] if name in SCENARIOS:
            print(f"\n{name}")
            SCENARIOS[name](directory)
        case _:
            sys.exit(__doc__)
