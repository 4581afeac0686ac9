#!/usr/bin/env python3
"""Draw the private memory of a `darkroom shell` session over time, by component.

    memory_plot.py MEMORY_LOG SESSION.jsonl OUT_STEM [LABEL...]

MEMORY_LOG is what `--memory-log` wrote, SESSION.jsonl what `--json` answered. Writes OUT_STEM.svg and OUT_STEM.png.
Each LABEL names the next answer to `memory`, and is drawn where that command ran, with what the kernel said
then. The areas are the ledger's regions, to the byte; the dots are the kernel's figure for the same memory: its private
bytes less the program, its heap and stacks, which are left out of both. A region that was removed from the ledger but not
given back would lift a dot above the areas. The highest point is labelled.
Ends with 1 where the log says that something was still held when the session had ended.

Needs gnuplot (Debian: gnuplot-nox).
"""
import json
import sys

import plot_writer
from plot_writer import data_block, quoted

# From the bottom up. What the plot is about, a VAE of one's own choice, has the colour that stands out.
COMPONENTS = [
    ("text", "text encoder", "#4c6a92"),
    ("text2", "second text encoder", "#7d9cc4"),
    ("unet", "UNet", "#a9b7c6"),
    ("vae", "VAE of the checkpoint", "#6aa88a"),
    ("vae (override)", "VAE chosen explicitly", "#e4572e"),
    (None, "buffers of the running job", "#f2d16b"),
]


TITLE = "Private memory of weights and buffers, from when the kernel gave it until it was given back"
KERNEL = "the kernel's figure for the same memory"
# Of the residual: what the process has beside the ledger's regions.
OWN = ("image", "heap", "stack", "jit", "shmem")


def read_lines(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def name_of(event):
    """Weights count as their component; whatever a job reserves for itself as the job."""
    known = {component for component, _, _ in COMPONENTS}
    return event["component"] if event["tag"] == "weights" and event["component"] in known else None


def replay(events):
    """([seconds], {component: [bytes]}, [(begin, end, command)]): a point before and one after each change."""
    begin_ms = events[0]["ms"]
    held = {component: 0 for component, _, _ in COMPONENTS}
    times, series, commands = [], {component: [] for component in held}, []

    def note(seconds):
        times.append(seconds)
        for component, held_bytes in held.items():
            series[component].append(held_bytes)

    for event in events:
        seconds = (event["ms"] - begin_ms) / 1000
        if event["event"] in ("opened", "closed") and event["kind"] == "private":
            note(seconds)
            held[name_of(event)] += event["bytes"] * (1 if event["event"] == "opened" else -1)
            note(seconds)
        elif event["event"] == "begin":
            commands.append([seconds, seconds, event["command"]])
        elif event["event"] == "end":
            commands[-1][1] = seconds
            note(seconds)
    return times, series, commands, sum(held.values())


def kernel_points(commands, answers):
    """[(seconds, bytes, left out)]: the kernel's private bytes at each answer to `memory`, less the program, heap
    and stacks; bytes are None where it does not tell."""
    asked = [end for _, end, command in commands if command == "memory"]
    memories = [answer for answer in answers if answer.get("ok") and answer["command"] == "memory"]
    points = []
    for seconds, memory in zip(asked, memories):
        private, own = memory["kernel"]["private_bytes"], [memory["residual"][f"{kind}_bytes"] for kind in OWN]
        known = private is not None and None not in own
        points.append((seconds, private - sum(own) if known else None, sum(own) if known else 0))
    return points


def script(times, series, points, labels):
    """What gnuplot is told, but for where the picture goes."""
    present = [part for part in COMPONENTS if any(series[part[0]])]
    stacked, below = [], [0.0] * len(times)
    for component, _, _ in present:
        below = [low + held for low, held in zip(below, series[component])]
        stacked.append(below)
    unit, name = (1 << 30, "GiB") if max(below) >= 2 << 30 else (1 << 20, "MiB")
    told = [(at, held) for at, held, _ in points if held is not None]
    outside = [left_out / 2**20 for _, held, left_out in points if held is not None]
    peak = max(range(len(times)), key=lambda i: below[i])
    top = max([max(below)] + [held for _, held in told]) / unit
    lines = data_block("held", [[at, *(column[i] / unit for column in stacked)] for i, at in enumerate(times)])
    lines += data_block("kernel", [[at, held / unit] for at, held in told])
    lines += [
        f"set label {quoted(TITLE)} at graph 0,1.06 left",
        f"set label 'peak {below[peak] / unit:,.1f}' at {times[peak]:.6g},{below[peak] / unit:.6g} center offset 0,0.6 front",
        f"set xlabel 'seconds'; set ylabel 'private memory, {name}'",
        f"set xrange [0:{1.08 * times[-1]:.6g}]; set yrange [0:{1.18 * top:.6g}]",
        "set border 3 lc rgb '#55555a'; set tics nomirror out; set grid ytics lt 1 lw 0.5 lc rgb '#dddde0'",
        "set key outside below center horizontal samplen 1.6 width 2; set style fill solid noborder",
        "set lmargin 10; set rmargin 4; set tmargin 3",
    ]
    before = 0.0
    for (at, held, _), label in zip(points, labels):
        # Left of its line, or right of it where the one before is too near.
        side = "right offset -0.4" if at - before > 0.1 * times[-1] else "left offset 0.4"
        before = at
        lines += [f"set arrow from {at:.6g},0 to {at:.6g},{1.06 * top:.6g} nohead dt 3 lw 1 lc rgb '#55555a' front",
                  f"set label {quoted(label)} at {at:.6g},{1.10 * top:.6g} {side},0 front"]
        if held is not None:
            lines += [f"set label '{held / unit:,.1f}' at {at:.6g},{held / unit:.6g} {side},0.7 "
                      "tc rgb '#1b1b1e' front"]
    plots = [f"$held using 1:{index + 2} with filledcurves x1 lc rgb '{colour}' title {quoted(title)}"
             for index, (_, title, colour) in reversed(list(enumerate(present)))]
    if told:
        plots.append(f"$kernel using 1:2 with points pt 7 ps 0.8 lc rgb '#1b1b1e' title {quoted(KERNEL)}")
        lines.append(f"set label 'not shown: program, heap and stacks, {min(outside):.1f} to {max(outside):.1f} MiB' "
                     "at graph 1,1.06 right tc rgb '#55555a'")
    return lines, "plot " + ", ".join(plots)


def draw(times, series, points, labels, stem):
    lines, plot = script(times, series, points, labels)
    plot_writer.write(stem, 1100, 560, [*lines, plot])


def main():
    if len(sys.argv) < 4 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if "--help" in sys.argv or "-h" in sys.argv else 2
    events, answers = read_lines(sys.argv[1]), read_lines(sys.argv[2])
    if not any(event["event"] == "opened" for event in events):
        print(f"memory_plot: {sys.argv[1]} has no region in it", file=sys.stderr)
        return 1
    times, series, commands, left = replay(events)
    draw(times, series, kernel_points(commands, answers), sys.argv[4:], sys.argv[3])
    if left:
        print(f"memory_plot: {left:,} bytes were never closed", file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
