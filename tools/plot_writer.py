"""What the plots share: gnuplot writes each as SVG and as PNG.

Needs gnuplot (Debian: gnuplot-nox).
"""
import pathlib
import subprocess


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def data_block(name, rows):
    return [f"${name} << END"] + [" ".join(f"{number:.6g}" for number in row) for row in rows] + ["END"]


def write(stem, width, height, lines):
    """Write STEM.svg of so many pixels, and STEM.png, 1.3 times as large. lines: what to draw, for gnuplot."""
    terminals = {"svg": f"svg size {width},{height} dynamic enhanced font 'DejaVu Sans,13'",
                 "png": f"pngcairo size {round(1.3 * width)},{round(1.3 * height)} font 'DejaVu Sans,12'"}
    for ending, terminal in terminals.items():
        program = [f"set terminal {terminal} background '#ffffff'", f"set output {quoted(f'{stem}.{ending}')}", *lines,
                   "unset output"]
        subprocess.run(["gnuplot"], input="\n".join(program) + "\n", text=True, check=True)
    svg = pathlib.Path(f"{stem}.svg")  # gnuplot ends some lines with blanks
    svg.write_text("\n".join(line.rstrip() for line in svg.read_text("utf-8").splitlines()) + "\n", "utf-8")
