"""A loss curve as a PNG: every step as a grey dot, the running mean as a line, the loss on a logarithmic scale."""
import numpy
from PIL import Image, ImageDraw

WIDTH, HEIGHT, MARGIN = 720, 400, 56


def draw(losses, path):
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(image)
    values = numpy.log10(numpy.maximum(losses, 1e-12))
    low, high = numpy.quantile(values, [0.0, 0.995])
    span = max(high - low, 1e-6)

    def place(step, value):
        x = MARGIN + (WIDTH - 2 * MARGIN) * step / max(len(values) - 1, 1)
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (min(value, high) - low) / span
        return x, y

    pen.rectangle((MARGIN, MARGIN, WIDTH - MARGIN, HEIGHT - MARGIN), outline="black")
    for step in range(0, len(values), max(1, len(values) // 2000)):
        pen.point(place(step, values[step]), fill=(190, 190, 190))
    window = max(1, len(values) // 50)
    means = numpy.convolve(values, numpy.ones(window) / window, mode="valid")
    pen.line([place(step + window // 2, value) for step, value in enumerate(means)], fill=(200, 40, 40), width=2)
    for value in (low, high):
        pen.text((4, place(0, value)[1] - 6), f"{10 ** value:.2g}", fill="black")
    pen.text((MARGIN, HEIGHT - MARGIN + 8), "step 0", fill="black")
    pen.text((WIDTH - MARGIN - 60, HEIGHT - MARGIN + 8), f"{len(values)}", fill="black")
    image.save(path)
