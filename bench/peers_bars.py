#!/usr/bin/env python3
"""Draw what bench/peers measured as bars.

    peers_bars.py PEERS_JSON OUT_STEM

Writes OUT_STEM.svg and OUT_STEM.png: a panel for each of time a step, VAE decode, peak of private memory, resident
memory and VAE switch. Each has a scale of its own that begins at zero, and a bar for each engine; less is better in
all. Where an engine was not measured it says so.

Needs gnuplot (Debian: gnuplot-nox).
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
import plot_writer
from plot_writer import data_block, quoted

# (key in the summary, title, unit, how much of it one unit is, decimals)
PANELS = [
    ("unet_ms", "time a step", "s", 1000, 2),
    ("vae_ms", "VAE decode", "s", 1000, 2),
    ("private_peak_bytes", "peak private", "GB", 1e9, 2),
    ("resident_peak_bytes", "peak resident", "GB", 1e9, 2),
    ("switch_ms", "VAE switch", "ms", 1, 1),
]
OURS, OTHERS = 0xE4572E, 0xA9B7C6
INK, FAINT = "#1b1b1e", "#77777c"

# Pixels.
NAMES, PANEL, GAP, ROW, ABOVE, BELOW = 200, 180, 14, 30, 84, 22
NOTE = 18
BAR_SHARE = 0.6  # of a panel's width; the value is written right of the bar


def notes_of(record):
    """What must be known to read the bars."""
    rows = record["summary"]
    compiled = [f"{row['engine']} {row['compile_s']:.0f} s" for row in rows if row.get("compile_s") is not None]
    notes = ["Private: anonymous and shared memory of the process. Resident: that and what it maps of files; "
             "darkroom's weights (packs) are mapped."]
    if compiled:
        notes.append(f"Compiling, before the first step and decode and not in their time: {', '.join(compiled)}.")
    lacking = [name for prefix, name in (("openvino", "OpenVINO's"), ("onnxruntime", "ONNX Runtime's"))
               if any(row["engine"].startswith(prefix) for row in rows)]
    if lacking:
        notes.append(f"{' and '.join(lacking)} memory lacks the text encoder.")
    if any(row.get("switch_ms") is not None for row in rows):
        notes.append("VAE switch: to one that was chosen before, or back to the checkpoint's own; the mean of the two.")
    return notes


def panel(index, rows, scale):
    """gnuplot's lines for one panel, the first engine on top."""
    key, title, unit, one, decimals = PANELS[index]
    values = [None if row.get(key) is None else row[key] / one for row in rows]
    longest = max((value for value in values if value is not None), default=0) or 1
    left = NAMES + index * (PANEL + GAP)
    lines = [f"set lmargin at screen {left / scale:.6f}; set rmargin at screen {(left + PANEL) / scale:.6f}",
             f"set xrange [0:{longest / BAR_SHARE:.6g}]",
             f"set label {quoted(title)} at graph 0,1 left offset 0,0.9 tc rgb '{INK}'"]
    for place, (row, value) in enumerate(zip(rows, values)):
        text, ink = ("not measured", FAINT) if value is None else (f"{value:,.{decimals}f} {unit}", INK)
        lines.append(f"set label {quoted(text)} at {value or 0:.6g},{-place} left offset 0.6,0 tc rgb '{ink}'")
        if index == 0:
            lines.append(f"set label {quoted(row['engine'])} at 0,{-place} right offset -0.8,0 tc rgb '{INK}'")
    lines += data_block(key, [[-place, value, row["engine"].startswith("darkroom")]
                              for place, (row, value) in enumerate(zip(rows, values)) if value is not None])
    # The line from which all bars begin.
    lines.append("set arrow 1 from 0,graph 0 to 0,graph 1 nohead lw 1 lc rgb '#55555a' front")
    # boxxyerror takes a point, a bar's ends, its edges and its colour.
    bars = f"${key} using (0):1:(0):2:($1-0.32):($1+0.32):($3 > 0 ? {OURS} : {OTHERS}) with boxxyerror lc rgb variable"
    return [*lines, f"plot {bars}" if any(value is not None for value in values) else "plot NaN",
            "unset label; unset arrow"]


def script(record):
    """(width, height, lines): what gnuplot is told, but for where the picture goes."""
    rows, notes = record["summary"], notes_of(record)
    width = NAMES + len(PANELS) * (PANEL + GAP)
    height = ABOVE + ROW * len(rows) + BELOW + NOTE * len(notes)
    machine = record["machine"]
    head = f"SD1.5's shapes, 512x512, random weights, {record['threads']} threads: {machine['processor']}"
    if record.get("avx2"):
        head += ", as if it had AVX2 alone"
    lines = ["set multiplot", "unset border; unset tics; unset key; set style fill solid noborder",
             f"set tmargin at screen {1 - ABOVE / height:.6f}",
             f"set bmargin at screen {1 - (ABOVE + ROW * len(rows)) / height:.6f}",
             f"set yrange [{0.5 - len(rows)}:0.5]"]
    texts = [(head, 24, INK), (f"bench/peers, {record['date'][:10]}; less is better", 44, FAINT)]
    texts += [(note, height - NOTE * (len(notes) - place) + 2, FAINT) for place, note in enumerate(notes)]
    for text, down, ink in texts:
        lines.append(f"set label {quoted(text)} at screen {12 / width:.6f},{1 - down / height:.6f} left noenhanced "
                     f"tc rgb '{ink}'")
    for index in range(len(PANELS)):
        lines += panel(index, rows, width)
    return width, height, [*lines, "unset multiplot"]


def main():
    if len(sys.argv) != 3 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if "--help" in sys.argv or "-h" in sys.argv else 2
    record = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    width, height, lines = script(record)
    plot_writer.write(sys.argv[2], width, height, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
