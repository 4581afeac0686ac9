#!/usr/bin/env python3
"""Tests of bench/peers_bars.py: draws invented figures and looks at what came out.

    peers_bars_test.py SOURCE_ROOT

Needs gnuplot; elsewhere it skips.
"""
import json
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

SKIPPED = 77  # what meson takes as a skip
ROOT = pathlib.Path(sys.argv.pop(1)).resolve()
FIGURES = ROOT / "tests/data/peers/peers.json"
PANELS = ("unet_ms", "vae_ms", "private_peak_bytes", "resident_peak_bytes", "switch_ms")
SVG = "{http://www.w3.org/2000/svg}"


class PeersBars(unittest.TestCase):
    def draw(self, record):
        """(the SVG's root, the PNG's bytes)"""
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "peers.json").write_text(json.dumps(record), encoding="utf-8")
            subprocess.run([sys.executable, "-B", str(ROOT / "bench/peers_bars.py"), f"{folder}/peers.json",
                            f"{folder}/bars"], check=True, capture_output=True)
            return (xml.etree.ElementTree.parse(f"{folder}/bars.svg").getroot(),
                    (pathlib.Path(folder) / "bars.png").read_bytes())

    def setUp(self):
        self.record = json.loads(FIGURES.read_text(encoding="utf-8"))

    def bars(self, root):
        """[[(y, width, colour)]]: by panel from the left, each from the top down."""
        panels = {}
        for shape in root.iter(SVG + "polygon"):
            points = [tuple(map(float, point.split(","))) for point in shape.get("points").split()]
            left, right = min(x for x, _ in points), max(x for x, _ in points)
            bar = (min(y for _, y in points), right - left, re.sub(r"\s", "", shape.get("fill")))
            panels.setdefault(left, []).append(bar)
        return [sorted(panels[left]) for left in sorted(panels)]

    def texts(self, root):
        return ["".join(text.itertext()) for text in root.iter(SVG + "text")]

    def test_bars_are_as_long_as_the_figures(self):
        panels = self.bars(self.draw(self.record)[0])
        self.assertEqual(len(panels), len(PANELS))
        for key, bars in zip(PANELS, panels):
            values = [row[key] for row in self.record["summary"] if row.get(key) is not None]
            self.assertEqual(len(bars), len(values), key)
            for (_, width, _), value in zip(bars, values):
                self.assertAlmostEqual(width / bars[0][1], value / values[0], delta=0.02, msg=key)

    def test_darkroom_alone_stands_out(self):
        for bars in self.bars(self.draw(self.record)[0]):
            self.assertEqual(bars[0][2], "rgb(228,87,46)")
            self.assertEqual({colour for _, _, colour in bars[1:]} - {"rgb(169,183,198)"}, set())

    def test_what_is_written(self):
        texts = self.texts(self.draw(self.record)[0])
        for row in self.record["summary"]:
            self.assertEqual(texts.count(row["engine"]), 1)
        for value in ("16.00 s", "7.50 s", "1.00 GB", "9.00 GB", "2.5 ms"):
            self.assertIn(value, texts)
        self.assertEqual(texts.count("not measured"), 3)
        self.assertTrue(any("torch-compile-f32 123 s" in text for text in texts))
        self.assertTrue(any("@ 2_0 GHz" in text for text in texts))

    def test_the_png_is_one(self):
        png = self.draw(self.record)[1]
        self.assertEqual(png[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(png[-8:-4], b"IEND")
        width, height = struct.unpack(">II", png[16:24])
        self.assertGreater(width, 1000)
        self.assertGreater(height, 200)

    def test_what_nobody_measured(self):
        for row in self.record["summary"]:
            row["switch_ms"] = None
        root = self.draw(self.record)[0]
        self.assertEqual(len(self.bars(root)), len(PANELS) - 1)
        self.assertEqual(self.texts(root).count("not measured"), 4)


if __name__ == "__main__":
    if not shutil.which("gnuplot"):
        print("skipped: gnuplot is missing: script/bootstrap gnuplot-nox")
        sys.exit(SKIPPED)
    unittest.main()
