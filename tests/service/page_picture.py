#!/usr/bin/env python3
"""Make docs/page.png: the page after three pictures of the demo models, the last one after a switch of model and VAE.

    page_picture.py BUILD_ROOT SOURCE_ROOT OUT [--size WIDTHxHEIGHT] [--theme light|dark]

By hand, when the page has changed; it needs chromium, chromium-driver and python3-pil.
"""
import argparse
import pathlib
import sys

import browser
import server

from PIL import Image

PROMPT, SEED = "a yellow star above a purple ring", 7


def choose(page, name, words):
    """The choice of a list whose value has these words."""
    page.wait("[...document.getElementById(arguments[0]).options].some((option) => option.value.includes(arguments[1]))", name, words)
    page.js("const field = document.getElementById(arguments[0]); field.value = [...field.options].find((option) => option.value.includes(arguments[1])).value;"
            "field.dispatchEvent(new Event('input', {bubbles: true}))", name, words)


def make(page, count):
    page.wait("document.getElementById('forecast-text').textContent.startsWith('Takes ')")
    page.click("generate")
    page.wait("document.querySelectorAll('#tiles li').length === arguments[0] && document.querySelectorAll('.job').length === 0", count)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--size", default="1440x1000")
    parser.add_argument("--theme", default="dark")
    options = parser.parse_args(sys.argv[3:])
    home = server.HOME
    made = server.Server(models=False, home=home)
    for name in ("demo-sd15.safetensors", "demo-sdxl.safetensors", "tokenizer"):
        (made.models / name).symlink_to(server.SOURCE / "models" / name)
    (made.vaes / "framed.safetensors").symlink_to(server.SOURCE / "models/demo-sdxl-vae.safetensors")
    made.environment.pop("DARKROOM_TOKENIZER")
    page = browser.Browser(home)
    try:
        made.start()
        page.size(*map(int, options.size.split("x")))
        page.theme(options.theme)
        page.go(f"http://{made.host}:{made.port}/")
        page.type("prompt", PROMPT)
        page.type("seed", SEED)
        choose(page, "model", "sdxl")
        make(page, 1)
        choose(page, "vae", "framed")
        make(page, 2)
        choose(page, "model", "sd15")
        choose(page, "vae", "None")
        make(page, 3)
        page.wait("document.querySelector('.change-head') && [...document.images].every((image) => !image.src || image.complete)")
        page.js("document.activeElement.blur(); scrollTo(0, 0); document.querySelector('.ask').scrollTop = 0")
        page.picture(options.out)
        Image.open(options.out).convert("RGB").save(options.out, optimize=True)
        print(f"{options.out}: {pathlib.Path(options.out).stat().st_size} bytes")
    finally:
        page.stop()
        made.kill()


if __name__ == "__main__":
    main()
