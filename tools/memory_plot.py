#!/usr/bin/env python3
"""Draw the private memory of a `darkroom shell` session over time, by component.

    memory_plot.py MEMORY_LOG SESSION.jsonl OUT_STEM [LABEL...]

MEMORY_LOG is what `--memory-log` wrote, SESSION.jsonl what `--json` answered. Writes OUT_STEM.svg and OUT_STEM.png.
Each LABEL names the next answer to `memory`, and is drawn where that command ran, with what the kernel said
then. The areas are the ledger's regions, to the byte; the dots are all of the kernel's private bytes less what the
process held when the engine opened. A dot lies above the areas by what libraries keep; a region that was
struck off but not given back would show there too.
Ends with 1 where the log says that something was still held when the session had ended.

Needs matplotlib (Debian: python3-matplotlib).
"""
import json
import sys

# From the bottom up. What the plot is about, a VAE of one's own choice, has the colour that stands out.
COMPONENTS = [
    ("text", "text encoder", "#4c6a92"),
    ("text2", "second text encoder", "#7d9cc4"),
    ("unet", "UNet", "#a9b7c6"),
    ("vae", "VAE of the checkpoint", "#6aa88a"),
    ("vae (override)", "VAE chosen explicitly", "#e4572e"),
    (None, "buffers of the running job", "#f2d16b"),
]


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
    """[(seconds, bytes)]: what the kernel said at each answer to `memory`, less the process's own at the start."""
    asked = [end for _, end, command in commands if command == "memory"]
    memories = [answer for answer in answers if answer.get("ok") and answer["command"] == "memory"]
    return [(seconds, memory["kernel"]["private_bytes"] - memory["residual"]["baseline_bytes"])
            for seconds, memory in zip(asked, memories)]


def draw(times, series, commands, points, labels, stem):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 10, "svg.hashsalt": "darkroom"})
    present = [part for part in COMPONENTS if any(series[part[0]])]
    largest = max(sum(column) for column in zip(*(series[component] for component, _, _ in present)))
    unit, name = (1 << 30, "GiB") if largest >= 2 << 30 else (1 << 20, "MiB")

    figure, axes = pyplot.subplots(figsize=(11, 5.2), layout="constrained")
    axes.stackplot(times, *([held / unit for held in series[component]] for component, _, _ in present),
                   colors=[colour for _, _, colour in present], labels=[title for _, title, _ in present], linewidth=0)
    axes.plot([at for at, _ in points], [held / unit for _, held in points], "o", color="#1b1b1e", markersize=5,
              label="what the kernel says", zorder=5)
    top = largest / unit
    for (at, held), label in zip(points, labels):
        axes.axvline(at, color="#1b1b1e", linewidth=0.8, linestyle=(0, (3, 3)), zorder=4)
        axes.annotate(label, (at, top * 1.04), rotation=0, ha="right", va="bottom", fontsize=9,
                      xytext=(-3, 0), textcoords="offset points")
        axes.annotate(f"{held / unit:,.1f}", (at, held / unit), ha="right", va="bottom", fontsize=8,
                      xytext=(-5, 2), textcoords="offset points")
    axes.set(xlabel="seconds", ylabel=f"private memory, {name}", xlim=(0, times[-1]), ylim=(0, top * 1.16))
    axes.set_title("What darkroom's memory holds: each region, from the moment the kernel gave it", loc="left",
                   fontsize=12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#00000018")
    axes.set_axisbelow(True)
    handles, titles = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], titles[::-1], loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.savefig(f"{stem}.svg", metadata={"Date": None})
    figure.savefig(f"{stem}.png", dpi=130)


def main():
    if len(sys.argv) < 4 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if "--help" in sys.argv or "-h" in sys.argv else 2
    events, answers = read_lines(sys.argv[1]), read_lines(sys.argv[2])
    if not any(event["event"] == "opened" for event in events):
        print(f"memory_plot: {sys.argv[1]} has no region in it", file=sys.stderr)
        return 1
    times, series, commands, left = replay(events)
    draw(times, series, commands, kernel_points(commands, answers), sys.argv[4:], sys.argv[3])
    if left:
        print(f"memory_plot: {left:,} bytes were never closed", file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
