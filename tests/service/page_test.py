#!/usr/bin/env python3
"""The web page, in chromium, on a real server with tiny checkpoints. W01 to W15 are the page's rules.

One browser does for all cases; each case has a server, and so an origin with a storage, of its own.
"""
import http.client
import http.server
import json
import pathlib
import re
import socket
import struct
import tempfile
import threading
import time
import unittest
import urllib.parse
import zlib

import browser
import server
import lora_file  # beside server.py's directory, which it makes known

LACKING = browser.missing()
SMALL = {"width": 64, "height": 64, "steps": 2}
LONG = {"width": 512, "height": 512, "steps": 200}  # it is stopped: nowhere is it over before
MARKUP = "<img src=nowhere onerror=\"window.hit=1\">"
page = None


def setUpModule():
    global page
    if not LACKING:
        page = browser.Browser(server.HOME)


def tearDownModule():
    if page:
        page.stop()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture(parameters=None, side=16):
    """A grey PNG that says `parameters` of itself."""
    rows = b"".join(b"\0" + bytes([128]) * 3 * side for _ in range(side))
    text = chunk(b"tEXt", b"parameters\0" + parameters.encode("latin-1")) if parameters else b""
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) + text +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


@unittest.skipIf(LACKING, LACKING)
class Case(server.Case):
    def setUp(self):
        super().setUp()
        page.call("POST", "/window", {"handle": page.call("GET", "/window/handles")[0]})
        page.size(1440, 900)
        page.complaints()

    def tearDown(self):
        for handle in page.call("GET", "/window/handles")[1:]:
            page.switch(handle)
            page.close_tab()
        page.switch(page.call("GET", "/window/handles")[0])
        page.go("about:blank")

    def open(self, *options, **more):
        made = self.server(*options, **more)
        self.address = f"http://{made.host}:{made.port}/"
        self.load()
        return made

    def load(self, path=""):
        page.go(self.address + path)
        self.wait_until_ready()

    def wait_until_ready(self):
        page.wait("document.getElementById('link-state').dataset.state === 'open' && !document.getElementById('generate').disabled")

    def fill(self, **fields):
        for name, text in {"prompt": "a cat", **SMALL, **fields}.items():
            page.type(name, text)

    def ids(self):
        """The gallery's pictures on the page."""
        return page.value("[...document.querySelectorAll('#tiles li')].map((item) => item.dataset.id)")

    def make(self, **fields):
        """A picture, from the fields to the gallery; its id."""
        before = self.ids()
        self.fill(**fields)
        page.click("generate")
        page.wait("document.querySelectorAll('#tiles li').length > arguments[0]", len(before))
        return self.ids()[0]

    def jobs(self, made):
        return made.get("/api/v1/jobs").json()["jobs"]

    def states(self, made):
        return sorted(job["state"] for job in self.jobs(made))

    def file(self, data, name="dropped.png"):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def nothing_is_cut_off(self):
        for width in (320, 375, 768, 1440):
            page.size(width, 800, width < 700)
            page.js("for (const part of document.querySelectorAll('details')) part.open = true")
            self.assertLessEqual(page.value("document.documentElement.scrollWidth"), width)
            outside = page.js("""
                return [...document.querySelectorAll("main *")].filter((element) => element.checkVisibility() && !element.closest(".scroll, .strip, .away, svg"))
                    .filter((element) => element.getBoundingClientRect().right > innerWidth + 1).map((element) => element.id || element.className)""")
            self.assertEqual(outside, [])

    def controls_are_large_enough(self):
        self.assertEqual(page.js("""
            return [...document.querySelectorAll("main button, main input:not([type=file], [type=checkbox]), main select")].filter((element) => element.checkVisibility())
                .filter((element) => element.getBoundingClientRect().height < 43.5).map((element) => element.id)"""), [])

    def contrast_is_enough(self):
        for theme in ("dark", "light"):
            page.theme(theme)
            page.js("for (const part of document.querySelectorAll('details')) part.open = true")
            self.assertEqual(page.js(CONTRAST), [], theme)

    def restore(self, parameters):
        page.choose_file("restore-file", self.file(picture(parameters)))
        page.wait("document.getElementById('restored').open || document.querySelector('.notice.bad')")


class Rules(Case):
    def test_W01_the_page_needs_nothing_but_its_own_origin(self):
        made = self.open()
        answer = made.get("/", Accept="text/html")
        self.assertEqual(answer.headers["Content-Security-Policy"],
                         "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
                         "frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
        self.make()
        page.click(".tile")
        page.wait("document.getElementById('viewer-facts').children.length > 5")
        self.assertEqual(page.complaints(), [])
        loaded = page.value("performance.getEntriesByType('resource').map((entry) => entry.name)")
        self.assertGreater(len(loaded), 30)
        self.assertEqual([name for name in loaded if not name.startswith((self.address, "blob:", "data:"))], [])
        sources = pathlib.Path(server.SOURCE / "src/service/page")
        for source in sources.iterdir():
            text = source.read_text().replace("http://www.w3.org/2000/svg", "")
            self.assertIsNone(re.search(r"https?://|\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write\b", text), source.name)

    def test_W01_the_policy_stops_what_is_not_its_own(self):
        self.open()
        stopped = page.js("""
            return new Promise((resolve) => {
                const seen = [];
                document.addEventListener("securitypolicyviolation", (event) => { seen.push(event.effectiveDirective); if (seen.length === 3) resolve(seen.sort()); });
                new Image().src = "http://127.0.0.2:1/x.png";
                fetch("http://127.0.0.2:1/").catch(() => {});
                const script = document.createElement("script"); script.textContent = "window.hit = 1"; document.head.append(script);
            })""")
        self.assertEqual(stopped, ["connect-src", "img-src", "script-src-elem"])
        self.assertIsNone(page.value("window.hit ?? null"))

    def test_W02_an_address_a_message_or_a_file_runs_nothing(self):
        made = self.open()
        self.load("?prompt=x&q=x&generate=1&autorun=1#generate")
        page.js("postMessage({prompt: 'x', generate: true}, '*'); location.hash = 'submit'")
        self.restore("a dog\nSteps: 3, Sampler: Euler, CFG scale: 7, Seed: 5, Size: 64x64")
        self.assertEqual(page.value("document.getElementById('prompt').value"), "a dog")
        page.click("restored-close")
        time.sleep(1)  # nothing happens, for a while
        self.assertEqual(self.jobs(made), [])

    def test_W03_markup_in_texts_and_names_is_shown_as_it_is(self):
        models = self.folder / "models"
        models.mkdir()
        made = server.Server(home=self.folder)
        made.link(models / f"{MARKUP.replace('/', '')}.safetensors", "--seed", "1")
        made.start()
        self.addCleanup(made.kill)
        self.address = f"http://{made.host}:{made.port}/"
        self.load()
        labels = page.value("[...document.getElementById('model').options].map((option) => option.textContent)")
        self.assertTrue(any("onerror" in label for label in labels), labels)
        self.make(prompt=MARKUP)
        self.assertIn(MARKUP, page.text("caption"))
        page.click(".tile")
        page.wait("document.getElementById('viewer-facts').children.length > 5")
        self.assertEqual(page.text("viewer-prompt"), MARKUP)
        page.click("viewer-close")
        self.restore(f"{MARKUP}\nSteps: 3, Sampler: Euler, CFG scale: 7, Seed: 5, Size: 64x64, Odd thing: {MARKUP}")
        self.assertIn(MARKUP, page.text("restored-body"))
        self.assertIsNone(page.value("window.hit ?? null"))
        self.assertEqual(page.value("document.querySelectorAll('img[src=nowhere]').length"), 0)

    def test_W04_behind_a_prefix(self):
        proxy = Proxy()
        self.addCleanup(proxy.stop)
        proxy.made = self.server("--allowed-host", f"127.0.0.1:{proxy.port}")
        self.address = f"http://127.0.0.1:{proxy.port}/some/place/"
        self.load()
        self.make()
        page.click(".tile")
        page.wait("document.getElementById('viewer-picture').naturalWidth === 64")
        self.assertEqual(proxy.strays, [])

    def test_W04_a_login_is_asked_for_once_and_goes_in_a_header(self):
        users = self.folder / "users"
        users.write_text("ada:open sésame\nkey:0123456789abcdef\n", encoding="utf-8")
        users.chmod(0o600)
        made = self.server("--auth-file", users)
        self.address = f"http://{made.host}:{made.port}/"
        page.go(self.address)
        page.wait("document.getElementById('login').open")
        page.type("login-user", "ada")
        page.type("login-secret", "wrong")
        page.click("#login-form button")
        page.wait("document.getElementById('login').open && document.getElementById('login-problem').textContent")
        page.type("login-user", "ada")
        page.type("login-secret", "open sésame")
        page.click("#login-form button")
        self.wait_until_ready()
        self.make()
        self.assertFalse(page.value("document.getElementById('login').open"))
        page.wait("document.querySelector('#tiles img').naturalWidth > 0 && document.getElementById('shown-picture').naturalWidth === 64")
        self.assertTrue(page.value("document.getElementById('shown-picture').src.startsWith('blob:')"))
        secret = server.basic("ada", "open sésame").split()[1]
        self.assertIn(secret, page.value("JSON.stringify({...sessionStorage})"))
        self.assertNotIn(secret, page.value("JSON.stringify({...localStorage}) + location.href + performance.getEntries().map((entry) => entry.name).join()"))
        page.reload()
        self.wait_until_ready()
        self.assertFalse(page.value("document.getElementById('login').open"))

    def test_W05_a_reload_finds_the_same_job_and_stop_ends_it(self):
        made = self.open()
        self.fill(**LONG)
        page.click("generate")
        page.wait("document.getElementById('progress-text').textContent.startsWith('Step ')")
        job = self.jobs(made)[0]["id"]
        page.reload()
        page.wait("document.querySelector('.job.running') && document.getElementById('progress-text').textContent.startsWith('Step ')")
        self.assertEqual(page.value("document.querySelector('.job.running').dataset.job"), job)
        self.assertGreater(page.value("document.getElementById('progress').value"), 0)
        page.go("about:blank")
        time.sleep(0.5)
        self.assertEqual(self.states(made), ["running"], "leaving the page stopped the job")
        self.load()
        page.wait("!document.getElementById('stop').disabled")
        page.click("stop")
        page.wait("document.getElementById('stop').disabled")
        self.wait_for(lambda: self.states(made) == ["cancelled"], "the job to be cancelled")

    def test_W05_the_fields_survive_a_reload(self):
        self.open()
        self.fill(prompt="a cat\non a mat", negative="dogs", steps=3, cfg="6.5", seed="18446744073709551615")
        page.js("const sampler = document.getElementById('sampler'); sampler.selectedIndex = 2; sampler.dispatchEvent(new Event('input'))")
        shown = "['prompt', 'negative', 'width', 'height', 'steps', 'cfg', 'seed', 'sampler', 'model', 'vae'].map((id) => document.getElementById(id).value)"
        before = page.value(shown)
        self.assertNotIn("", [before[7], before[8]])
        page.choose_file("init-file", self.file(picture()))
        page.wait("!document.getElementById('init-picture').hidden")
        page.reload()
        self.wait_until_ready()
        self.assertEqual(page.value(shown), before)
        page.wait("document.getElementById('init-picture').naturalWidth === 16")

    def test_W06_two_tabs_do_not_mix_their_pictures(self):
        made = self.open()
        first = page.handle()
        self.fill(prompt="first tab", steps=30)
        page.click("generate")
        second = page.tab()
        self.load()
        self.fill(prompt="second tab", steps=2)
        page.click("generate")
        self.wait_for(lambda: self.states(made) == ["done", "done"], "both jobs")
        for handle, words in ((first, "first tab"), (second, "second tab")):
            page.switch(handle)
            page.wait("document.querySelectorAll('#tiles li').length === 2")
            page.wait("document.getElementById('caption').textContent.startsWith(arguments[0])", words)
            image = next(job["images"][0] for job in self.jobs(made) if job["request"]["prompt"] == words)
            self.assertTrue(page.value("document.getElementById('shown-picture').dataset.path").endswith(image))

    def log_in(self, user, password):
        page.go(self.address)
        page.wait("document.getElementById('login').open")
        page.type("login-user", user)
        page.type("login-secret", password)
        page.click("#login-form button")
        self.wait_until_ready()

    def test_W06_two_users_do_not_see_each_others_pictures(self):
        users = self.folder / "users"
        users.write_text("ada:first secret\nbob:second secret\n", encoding="utf-8")
        users.chmod(0o600)
        made = self.server("--auth-file", users)
        self.address = f"http://{made.host}:{made.port}/"
        self.log_in("ada", "first secret")
        first = page.handle()
        self.make(prompt="of ada")
        page.tab()
        self.log_in("bob", "second secret")
        self.assertEqual(self.ids(), [])
        self.assertTrue(page.value("document.getElementById('shown-picture').hidden"))
        mine = self.make(prompt="of bob")
        self.assertEqual(self.ids(), [mine])
        page.switch(first)
        page.reload()
        self.wait_until_ready()
        page.wait("document.querySelectorAll('#tiles li').length === 1 && document.getElementById('caption').textContent.startsWith('of ada')")

    def test_W07_previews_are_few_small_and_only_for_a_page_that_is_seen(self):
        made = self.open()
        self.fill(**LONG)
        page.click("generate")
        previews = "performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/preview'))"
        page.wait(f"{previews}.length >= 3")
        starts = page.value(f"{previews}.map((entry) => entry.startTime)")
        self.assertGreaterEqual(min(b - a for a, b in zip(starts, starts[1:])), 850)
        page.wait("document.getElementById('shown-picture').classList.contains('preview') && document.getElementById('shown-picture').naturalWidth > 0")
        self.assertLessEqual(page.value("document.getElementById('shown-picture').naturalWidth"), 256)
        page.js("Object.defineProperty(document, 'hidden', {get: () => true, configurable: true}); document.dispatchEvent(new Event('visibilitychange'))")
        count = page.value(f"{previews}.length")
        time.sleep(3)
        self.assertEqual(page.value(f"{previews}.length"), count)
        self.assertEqual(self.states(made), ["running"], "the job was over before the page was hidden for long")
        page.js("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
        page.wait(f"{previews}.length > arguments[0]", count)

    def test_W08_generate_while_busy_adds_to_the_queue(self):
        made = self.open()
        self.fill(**LONG)
        page.click("generate")
        page.wait("document.getElementById('generate').textContent === 'Add to the queue (1)'")
        page.js("document.getElementById('prompt').focus()")
        page.keys("ctrl", "enter")
        page.wait("document.getElementById('generate').textContent === 'Add to the queue (2)'")
        page.click("generate")
        page.wait("document.querySelectorAll('.job').length === 3")
        page.wait("[...document.querySelectorAll('.job-place')].map((place) => place.textContent).join() === 'now,1.,2.'")
        page.click(".job.queued button")
        page.wait("document.querySelectorAll('.job').length === 2")
        page.click("cancel-all")
        self.wait_for(lambda: self.states(made) == ["cancelled"] * 3, "all to be cancelled")
        page.wait("document.getElementById('generate').textContent === 'Generate'")

    def test_W09_every_control_has_a_label_and_is_reached_by_tab(self):
        self.open()
        self.make()
        page.js("for (const part of document.querySelectorAll('details')) part.open = true")
        unlabelled = page.js("""
            const named = (element) => element.labels?.length || element.getAttribute("aria-label") || element.textContent.trim();
            return [...document.querySelectorAll("button, input, select, textarea, summary, a, progress")].filter((element) => !named(element)).map((element) => element.id)""")
        self.assertEqual(unlabelled, [])
        left = page.js("""
            window.wanted = new Set([...document.querySelectorAll("button, input, select, textarea, summary, a")].filter((element) =>
                element.checkVisibility() && !element.disabled && !element.closest("dialog")));
            document.activeElement.blur();
            scrollTo(0, 0);
            return wanted.size""")
        self.assertGreater(left, 30)
        for _ in range(left + 20):  # parts that scroll are reached too
            page.keys("tab")
            left = page.js("wanted.delete(document.activeElement); return [...wanted].map((element) => element.id || element.textContent)")
            if not left:
                break
        self.assertEqual(left, [])

    def test_W09_nothing_is_cut_off_at_320_pixels(self):
        self.open()
        self.make(prompt="averyveryverylongwordwithoutanyblankinitthatgoesonandonandon")
        self.nothing_is_cut_off()
        page.size(320, 640, True)
        page.js("scrollTo(0, 0)")
        seen = page.js("""
            const inWindow = (id) => { const box = document.getElementById(id).getBoundingClientRect(); return box.top >= 0 && box.bottom <= innerHeight; };
            return [inWindow("shown"), inWindow("generate")]""")
        self.assertEqual(seen, [True, True], "the picture and Generate are not both in view")
        self.controls_are_large_enough()

    def test_W09_contrast_is_enough_in_both_themes(self):
        self.open()
        self.make()
        self.contrast_is_enough()
        grounds = page.value("getComputedStyle(document.body).backgroundColor")
        page.click("theme")
        self.assertNotEqual(page.value("getComputedStyle(document.body).backgroundColor"), grounds)
        page.theme("")

    def test_W10_an_a1111_client_that_sends_the_same_gets_the_same_picture(self):
        made = self.open()
        image = self.make(seed="7", sampler="Euler")
        page.click("show-request")
        page.wait("document.getElementById('request-json').textContent")
        body = json.loads(page.text("request-json"))
        self.assertEqual(body.pop("kind"), "txt2img")
        answer = made.post("/sdapi/v1/txt2img", body)
        self.assertEqual(answer.status, 200, answer)
        import base64
        self.assertEqual(base64.b64decode(answer.json()["images"][0]), made.get(f"/api/v1/images/{image}").body)
        described = made.get("/openapi.json").json()["paths"]
        patterns = [re.compile(re.sub(r"\{\w+\}", "[^/]+", path)) for path in described]
        asked = page.value("performance.getEntriesByType('resource').map((entry) => new URL(entry.name).pathname)")
        own = [path for path in asked if not path.startswith(("/page/", "/favicon"))]
        self.assertGreater(len(own), 8)
        self.assertEqual([path for path in own if not any(pattern.fullmatch(path) for pattern in patterns)], [])

    def test_W11_a_server_that_went_away_is_said_and_found_again(self):
        made = self.open()
        self.fill(prompt="kept")
        made.kill()
        page.wait("!document.getElementById('banner').hidden && document.getElementById('link-state').dataset.state === 'gone'")
        self.assertIn("does not answer", page.text("banner"))
        page.type("negative", "typed meanwhile")
        again = self.server(home=made.home, listen=f"127.0.0.1:{made.port}")
        page.wait("document.getElementById('banner').hidden && document.getElementById('link-state').dataset.state === 'open'")
        self.assertEqual(page.value("['prompt', 'negative'].map((id) => document.getElementById(id).value)"), ["kept", "typed meanwhile"])
        page.click("generate")
        page.wait("document.querySelectorAll('#tiles li').length === 1")
        self.assertEqual(self.states(again), ["done"])

    def test_W12_a_full_queue_is_said_with_its_numbers(self):
        made = self.open("--queue", "1")
        self.fill(**LONG)
        page.click("generate")
        page.wait("document.querySelector('.job.running')")
        page.click("generate")
        page.wait("document.querySelector('.job.queued')")
        page.click("generate")
        page.wait("!document.getElementById('problem').hidden")
        self.assertRegex(page.text("problem"), r"\b1\b.*Try again in \d+ s")
        self.assertNotIn("Error", page.text("problem"))
        page.click("cancel-all")
        self.wait_for(lambda: "running" not in self.states(made), "the jobs to end")

    def test_W12_a_budget_that_is_too_small_is_said_with_its_numbers(self):
        self.open("--budget", "300M")
        self.fill(width=2048, height=2048)
        page.wait("document.getElementById('forecast').classList.contains('over')")
        self.assertRegex(page.text("forecast-text"), r"Does not fit: needs [\d.]+ [MG]iB · budget 300 MiB")
        page.click("generate")
        page.wait("!document.getElementById('problem').hidden || document.querySelector('.job.failed')")
        said = page.text("problem") or page.value("document.querySelector('.job.failed .job-about').textContent")
        self.assertRegex(said, r"[\d.]+ [MG]iB")
        self.assertRegex(said, r"a budget of \d+ bytes is sufficient")

    def test_W13_what_a_picture_says_is_reported_and_the_model_is_not_switched(self):
        self.open()
        self.fill()
        page.wait("document.getElementById('model').options.length === 2")
        chosen = page.value("document.getElementById('model').value")
        other = page.value("[...document.getElementById('model').options].find((option) => !option.selected).textContent")
        self.restore(f"a dog\nNegative prompt: fur\nSteps: 12, Sampler: DPM++ 2M Karras, CFG scale: 5.5, Seed: 18446744073709551615, Size: 96x80, "
                     f"Model: {other}, VAE: sharp.safetensors, Hires upscale: 2, Lora hashes: \"a: 1, b: 2\"")
        body = page.text("restored-body")
        for part in ("Hires upscale", "Lora hashes", "a: 1, b: 2", "2 of "):
            self.assertIn(part, body)
        values = page.value("['prompt', 'negative', 'steps', 'cfg', 'seed', 'width', 'height', 'sampler', 'scheduler', 'model', 'vae']"
                            ".map((id) => document.getElementById(id).value)")
        self.assertEqual(values[:7], ["a dog", "fur", "12", "5.5", "18446744073709551615", "96", "80"])
        self.assertEqual([value.lower() for value in values[7:9]], ["dpm++ 2m", "karras"])
        self.assertEqual(values[9:], [chosen, "Automatic"])
        page.click("#restored-body button")
        self.assertNotEqual(page.value("document.getElementById('model').value"), chosen)

    def test_W14_weight_keys(self):
        self.open()
        table = [  # text with | for the caret, or the ends of the selection; keys; the text after them
            ("ca|t", "u", "(cat:1.1)"), ("ca|t", "uu", "(cat:1.2)"), ("ca|t", "uudd", "cat"), ("ca|t", "d", "(cat:0.9)"),
            ("| a cat |", "u", " (a cat:1.1) "), ("((c|at))", "u", "(cat:1.3)"), ("[c|at]", "u", "cat"), ("[c|at]", "d", "(cat:0.8)"),
            ("(c|at:1.9)", "u", "(cat:2.0)"), ("<lora|:x:1>", "u", "<lora:x:1.05>"), ("<lora|:x:1>", "dd", "<lora:x:0.9>"),
            ("(a <lora|:x:1>)", "u", "(a <lora:x:1.05>)"), ("a , | , b", "u", "a ,  , b"), ("a (big c|at:1.1), b", "d", "a big cat, b"),
        ]
        for text, presses, after in table:
            self.place_caret(text)
            for press in presses:
                page.keys("ctrl", "up" if press == "u" else "down")
            self.assertEqual(page.value("document.getElementById('prompt').value"), after, text)
        self.place_caret("ca|t")
        page.keys("ctrl", "up")
        page.keys("ctrl", "up")
        page.keys("ctrl", "z")
        self.assertEqual(page.value("document.getElementById('prompt').value"), "(cat:1.1)")
        self.place_caret("red| cat, dog")
        page.keys("alt", "right")
        self.assertEqual(page.value("document.getElementById('prompt').value"), "dog, red cat")

    def place_caret(self, text):
        ends = [part.start() - index for index, part in enumerate(re.finditer(r"\|", text))]
        page.js("const field = document.getElementById('prompt'); field.focus(); field.value = arguments[0]; field.setSelectionRange(arguments[1], arguments[2])",
                text.replace("|", ""), ends[0], ends[-1])

    def test_W15_a_seed_of_64_bits_stays_as_it_is(self):
        made = self.open()
        seed = "18446744073709551615"
        self.make(seed=seed)
        self.assertIn(seed.encode(), made.get("/api/v1/images").body)
        self.assertIn(f"seed {seed}", page.text("caption"))
        page.click("seed-random")
        self.assertEqual(page.value("document.getElementById('seed').value"), "")
        page.click("seed-reuse")
        self.assertEqual(page.value("document.getElementById('seed').value"), seed)
        self.assertEqual(page.value("JSON.parse(localStorage.getItem('darkroom.fields')).seed"), seed)
        page.click("show-request")
        page.wait("document.getElementById('request-json').textContent")
        self.assertIn(f'"seed": "{seed}"', page.text("request-json"))


class Work(Case):
    def test_from_a_prompt_to_a_picture_that_can_be_made_again(self):
        made = self.open()
        image = self.make(prompt="a whole job", seed="11")
        page.wait("document.getElementById('shown-picture').naturalWidth === 64")
        self.assertTrue(page.value("document.getElementById('shown-picture').dataset.path").endswith(image))
        self.assertEqual(page.text("caption"), "a whole job · seed 11")
        page.click("reset")
        self.assertEqual(page.value("document.getElementById('prompt').value"), "")
        page.click(".tile")
        page.wait("document.getElementById('viewer-facts').children.length > 5")
        page.click("viewer-reuse")
        page.wait("document.getElementById('restored').open")
        page.click("restored-close")
        page.click("generate")
        page.wait("document.querySelectorAll('#tiles li').length === 2")
        first, second = (made.get(f"/api/v1/images/{name}").body for name in self.ids())
        self.assertEqual(first, second)

    def test_a_batch_is_in_the_strip_and_in_the_gallery(self):
        self.open()
        self.fill(seed="5")
        page.type("batch-size", 3)
        page.click("generate")
        page.wait("document.querySelectorAll('#tiles li').length === 3 && document.querySelectorAll('#strip button').length === 3")
        page.click("#strip button:last-child")
        self.assertEqual(page.value("document.querySelectorAll('#strip [aria-pressed=true]').length"), 1)

    def test_image_to_image(self):
        made = self.open()
        page.choose_file("init-file", self.file(picture(side=64)))
        page.wait("!document.getElementById('init-picture').hidden")
        image = self.make(seed="5", steps=4, strength="0.5")
        job = self.jobs(made)[0]
        self.assertEqual((job["kind"], job["request"]["denoising_strength"]), ("img2img", 0.5))
        page.click("init-clear")
        self.assertNotEqual(made.get(f"/api/v1/images/{image}").body, made.get(f"/api/v1/images/{self.make(seed='5', steps=4)}").body)

    def hand_over(self, event, target, data=None, kind="image/png"):
        """A file as the browser hands it over: a drop on an element, or a paste."""
        page.js("""
            const [event, target, bytes, kind] = arguments;
            const transfer = new DataTransfer();
            transfer.items.add(new File([Uint8Array.from(bytes)], "handed", {type: kind}));
            const options = {bubbles: true, cancelable: true};
            document.querySelector(target).dispatchEvent(event === "paste" ? new ClipboardEvent("paste", {...options, clipboardData: transfer})
                : new DragEvent(event, {...options, dataTransfer: transfer}))""", event, target, list(data or picture()), kind)

    def test_a_picture_that_is_dropped_or_pasted(self):
        made = self.open()
        self.hand_over("dragenter", "#prompt")
        self.assertFalse(page.value("document.getElementById('drop-zone').hidden"))
        self.hand_over("drop", "#prompt", picture("a dog\nSteps: 3, Sampler: Euler, CFG scale: 7, Seed: 5, Size: 64x64"))
        page.wait("document.getElementById('dropped').open && document.getElementById('drop-zone').hidden")
        page.click("dropped-restore")
        page.wait("document.getElementById('restored').open")
        self.assertEqual(page.value("document.getElementById('prompt').value"), "a dog")
        page.click("restored-close")
        self.hand_over("paste", "#prompt")
        page.wait("document.getElementById('dropped').open")
        page.click("dropped-init")
        page.wait("!document.getElementById('init-picture').hidden")
        page.click("init-clear")
        self.hand_over("drop", "#init-place")
        page.wait("!document.getElementById('init-picture').hidden")
        self.assertFalse(page.value("document.getElementById('dropped').open"))
        self.hand_over("paste", "#prompt", b"words", "text/plain")
        page.wait("document.querySelector('.notice.bad')")
        self.hand_over("paste", "#prompt", picture())
        page.wait("document.getElementById('dropped').open")
        page.click("dropped-restore")
        page.wait("[...document.querySelectorAll('.notice.bad')].some((notice) => notice.textContent.includes('says nothing of how it was made'))")
        self.assertEqual(self.jobs(made), [])

    def test_the_gallery_searches_deletes_and_answers_keys(self):
        made = self.open()
        self.make(prompt="a red cat", seed="1")
        self.make(prompt="a blue dog", seed="2")
        page.type("search", "cat")
        page.wait("document.querySelectorAll('#tiles li').length === 1")
        page.type("search", "zebra")
        page.wait("!document.getElementById('gallery-empty').hidden")
        page.type("search", "")
        page.wait("document.querySelectorAll('#tiles li').length === 2")
        page.click(".tile")
        page.wait("document.getElementById('viewer-prompt').textContent === 'a blue dog'")
        page.keys("right")
        page.wait("document.getElementById('viewer-prompt').textContent === 'a red cat'")
        page.keys("left")
        page.wait("document.getElementById('viewer-prompt').textContent === 'a blue dog'")
        page.keys("+")
        self.assertTrue(page.value("document.getElementById('viewer-place').classList.contains('zoomed')"))
        page.keys("0")
        page.keys("delete")
        page.wait("document.querySelectorAll('#tiles li').length === 1")
        self.assertEqual([image["prompt"] for image in made.get("/api/v1/images").json()["images"]], ["a red cat"])
        page.keys("escape")
        page.wait("!document.getElementById('viewer').open")

    def test_two_pictures_are_compared(self):
        self.open()
        self.make(seed="1")
        self.make(seed="1")
        self.make(seed="2")
        for first, second, verdict in ((2, 1, "Every pixel is the same."), (0, 0, " % of the pixels differ")):
            self.compare(first, second + 1 if first == second else second)
            page.wait("document.getElementById('compare-verdict').textContent.includes(arguments[0])", verdict)
            page.click("compare-close")
        self.compare(0, 1)
        page.keys("right")
        self.assertNotEqual(page.value("document.getElementById('compare-place').style.getPropertyValue('--at')"), "50%")

    def compare(self, first, second):
        for index in (first, second):
            page.js("document.querySelectorAll('.tile')[arguments[0]].click()", index)
            page.wait("document.getElementById('viewer').open")
            page.click("viewer-compare")
        page.wait("document.getElementById('compare').open")

    def test_the_same_picture_with_another_vae(self):
        made = self.open()
        self.make(seed="4")
        page.click(".tile")
        page.wait("!document.getElementById('viewer-again').disabled")
        page.js("document.getElementById('viewer-vae').value = [...document.getElementById('viewer-vae').options].find((option) => option.value.includes('soft')).value")
        page.click("viewer-again")
        page.wait("document.getElementById('compare').open || document.querySelector('.job.failed')")
        newest, oldest = made.get("/api/v1/images").json()["images"]
        self.assertEqual(newest["seed"], oldest["seed"])
        self.assertNotEqual(newest["vae"], oldest["vae"])
        page.wait("document.getElementById('compare-verdict').textContent.includes('of the pixels differ')")

    def test_the_vae_that_will_decode_is_named_with_the_reason(self):
        made = self.open()
        page.wait("document.getElementById('vae-reason').textContent !== ''")
        self.assertEqual(page.text("vae-tag"), "built in")
        choices = made.get("/api/v1/vaes?model=" + urllib.parse.quote(page.value("document.getElementById('model').value"))).json()["choices"]
        self.assertEqual(page.text("vae-reason"), next(choice["reason"] for choice in choices if choice["choice"] == "automatic"))
        page.js("const vae = document.getElementById('vae'); vae.value = [...vae.options].find((option) => option.value.includes('sharp')).value;"
                "vae.dispatchEvent(new Event('input'))")
        page.wait("document.getElementById('vae-tag').textContent === 'chosen file'")
        self.assertIn("sharp", page.text("vae-name"))

    def test_no_model_says_where_to_put_one(self):
        made = self.server(models=False)
        page.go(f"http://{made.host}:{made.port}/")
        page.wait("!document.getElementById('no-model').hidden && document.getElementById('link-state').dataset.state === 'open'")
        self.assertIn(str(made.models), page.text("no-model"))
        self.assertTrue(page.value("document.getElementById('generate').disabled"))
        made.link(made.models / "tiny.safetensors", "--seed", "1")
        page.click("look-again")
        page.wait("document.getElementById('no-model').hidden && !document.getElementById('generate').disabled")


class Networks(Case):
    """What prompts can name: LoRAs, embeddings and styles, and how long they are."""

    def open_with_networks(self, *more):
        home = self.folder / "home"
        home.mkdir()
        made = server.Server("-m", "tiny", *more, home=home)
        loras, embeddings = home / "lora", home / "embeddings"
        loras.mkdir()
        embeddings.mkdir()
        model = home / "models/tiny.safetensors"
        lora_file.lora(loras / "ink.safetensors", model, 1, ss_base_model_version="sd_v1", ss_tag_frequency=json.dumps({"x": {"ink": 4, "wet paper": 2}}))
        lora_file.lora(loras / "wash.safetensors", model, 2, ss_sd_model_name=MARKUP)
        lora_file.lora(loras / "xl.safetensors", model, 3, ss_base_model_version="sdxl_base_v1-0")
        (loras / "broken.safetensors").write_bytes(b"hello")
        lora_file.write(embeddings / "soft.safetensors", {"emb_params": ([2, 768], [0.25] * 1536)})
        (home / "styles.csv").write_text('name,prompt,negative_prompt\nInk,"drawing of {prompt}, ink",photo\nNight,dark,\n')
        made.options += ["--lora-dir", loras, "--embedding-dir", embeddings, "--styles", home / "styles.csv"]
        made.start()
        self.addCleanup(made.kill)
        self.address = f"http://{made.host}:{made.port}/"
        self.load()
        page.wait("document.getElementById('model').value !== ''")
        page.click("#networks summary")
        page.wait("document.querySelectorAll('#loras li').length === 4")
        return made

    def prompt(self, name="prompt"):
        return page.value("document.getElementById(arguments[0]).value", name)

    def test_a_lora_is_put_into_the_prompt_weighed_and_taken_out(self):
        made = self.open_with_networks()
        page.type("prompt", "a cat")
        page.click("#loras [data-name=ink] button.small")
        self.assertEqual(self.prompt(), "a cat <lora:ink:1>")
        page.click("#loras [data-name=ink] button.word:last-child")
        self.assertEqual(self.prompt(), "a cat, wet paper <lora:ink:1>")
        page.js("const field = document.querySelector('#loras [data-name=ink] input'); field.value = '0.65'; field.dispatchEvent(new Event('change'))")
        self.assertEqual(self.prompt(), "a cat, wet paper <lora:ink:0.65>")
        self.assertEqual(page.text("networks-tag"), "1 in use")
        self.assertEqual(page.value("[...document.querySelectorAll('#loras li.chosen')].map((item) => item.dataset.name)"), ["ink"])
        self.assertEqual(page.value("document.querySelectorAll('#loras [aria-pressed=true]').length"), 1)
        # What is typed is shown too, and Ctrl+Z takes a press back.
        page.type("prompt", "a dog <lora:wash:0.4>")
        self.assertEqual(page.value("document.querySelector('#loras [data-name=wash] input').value"), "0.4")
        page.click("#loras [data-name=wash] button.small")
        self.assertEqual(self.prompt(), "a dog")
        page.js("document.getElementById('prompt').focus()")
        page.keys("ctrl", "z")
        self.assertEqual(self.prompt(), "a dog <lora:wash:0.4>")
        self.fill(prompt="a dog <lora:wash:0.4>")
        page.click("generate")
        page.wait("document.querySelectorAll('#tiles li').length === 1")
        self.assertEqual(self.jobs(made)[0]["request"]["prompt"], "a dog <lora:wash:0.4>")

    def test_W09_the_lists_are_for_every_screen_and_every_reader(self):
        self.open_with_networks()
        page.type("prompt", "1 " * 80 + "<lora:ink:1>")
        page.click("#styles [data-name=Ink] input")
        page.wait("document.querySelectorAll('#prompt-tokens .chunk').length === 2")
        self.nothing_is_cut_off()
        page.size(320, 640, True)
        self.controls_are_large_enough()
        page.size(1440, 900)
        self.contrast_is_enough()
        page.theme("")
        named = page.value("[...document.querySelectorAll('#networks button, #networks input')].map((element) => element.ariaLabel || element.labels?.[0]?.textContent || element.textContent)")
        self.assertEqual([name for name in named if not name.strip()], [])
        self.assertIn("Remove the LoRA ink", named)
        self.assertEqual(page.value("document.getElementById('prompt').getAttribute('aria-describedby')"), "prompt-tokens")
        # A key that is pressed on a button leaves the focus there, though the list is made anew.
        page.js("document.querySelector('#loras [data-name=ink] button.word').focus()")
        page.keys("enter")
        self.assertEqual(page.value("document.activeElement.dataset.key"), "word prompt ink")
        self.assertEqual(page.value("document.activeElement.ariaPressed"), "true")

    def test_what_does_not_go_with_the_model_cannot_be_added(self):
        self.open_with_networks()
        self.assertTrue(page.value("document.querySelector('#loras [data-name=xl] button').disabled"))
        self.assertIn("does not go with this model", page.value("document.querySelector('#loras [data-name=xl]').textContent"))
        self.assertEqual(page.value("document.querySelectorAll('#loras [data-name=broken] button').length"), 0)
        self.assertNotEqual(page.value("document.querySelector('#loras [data-name=broken] .bad').textContent.trim()"), "")
        # W03: what a file says is shown as it is.
        self.assertIn(MARKUP, page.value("document.querySelector('#loras [data-name=wash]').textContent"))
        self.assertEqual((page.value("document.querySelectorAll('img[src=nowhere]').length"), page.value("window.hit ?? null")), (0, None))

    def test_the_lists_are_searched_and_looked_at_again(self):
        made = self.open_with_networks()
        page.type("networks-search", "WET")
        self.assertEqual(page.value("[...document.querySelectorAll('#loras li')].map((item) => item.dataset.name)"), ["ink"])
        page.type("networks-search", "nothing of this kind")
        self.assertEqual(page.text("loras-empty"), "No LoRA is called so.")
        page.type("networks-search", "")
        (made.home / "lora/new.safetensors").write_bytes((made.home / "lora/wash.safetensors").read_bytes())
        page.click("networks-refresh")
        page.wait("document.querySelector('#loras [data-name=new]')")

    def test_embeddings_and_styles(self):
        made = self.open_with_networks()
        page.type("prompt", "a cat")
        page.click("#embeddings [data-name=soft] .word:last-child")
        self.assertEqual((self.prompt(), self.prompt("negative")), ("a cat", "soft"))
        page.click("#embeddings [data-name=soft] .word:last-child")
        self.assertEqual(self.prompt("negative"), "")
        page.click("#styles [data-name=Ink] input")
        page.click("#styles [data-name=Night] input")
        self.assertEqual(page.text("networks-tag"), "2 in use")
        page.reload()
        self.wait_until_ready()
        self.assertEqual(page.text("networks-tag"), "2 in use")
        self.fill()
        page.click("generate")
        page.wait("document.querySelectorAll('#tiles li').length === 1")
        self.assertEqual(self.jobs(made)[0]["request"]["prompt"], "drawing of a cat, ink, dark")
        # The picture's prompt has the styles' words: they are not put there twice.
        page.click(".tile")
        page.wait("document.getElementById('viewer-facts').children.length > 5")
        page.click("viewer-reuse")
        page.wait("document.getElementById('restored').open")
        self.assertEqual((self.prompt(), page.value("document.getElementById('style-names').value")), ("drawing of a cat, ink, dark", ""))

    def test_a_prompts_tokens_are_counted_and_chunks_have_borders(self):
        made = self.open()
        page.type("prompt", "1, " * 50)
        page.wait("document.getElementById('prompt-tokens').textContent.startsWith('100 / 150 tokens')")
        self.assertEqual(page.value("document.querySelectorAll('#prompt-tokens .chunk').length"), 2)
        answer = made.post("/api/v1/prompt", {"prompt": "1, " * 50}).json()
        words = " ".join(word["word"] for word in [word for word in answer["words"] if word["chunk"] == 2][:3])
        self.assertIn(f"chunk 2 begins with “{words}”", page.text("prompt-tokens"))
        page.type("prompt", "[1:2:0.5] AND 3")
        page.wait("document.getElementById('prompt-tokens').textContent.includes('2 parts · changes while it is made')")
        page.type("negative", "1 AND 2")
        page.wait("document.getElementById('negative-tokens').textContent.includes('/ 75 tokens')")
        self.assertNotIn("parts", page.text("negative-tokens"))
        page.type("prompt", "(1:2.3.4)")
        page.wait("document.getElementById('prompt-tokens').classList.contains('bad') && document.getElementById('prompt-tokens').textContent.includes('2.3.4')")
        page.type("prompt", "")
        page.wait("document.getElementById('prompt-tokens').textContent === ''")

    def test_a_lora_that_is_not_there_is_said_and_no_job_is_made(self):
        made = self.open()
        self.fill(prompt="a cat <lora:nothing:1>")
        page.click("generate")
        page.wait("!document.getElementById('problem').hidden")
        self.assertIn("nothing", page.text("problem"))
        self.assertEqual(self.jobs(made), [])

    def test_the_texts_of_networks(self):
        self.open()
        read = page.js("""
            return import("/page/prompt_network.js").then(({lorasOf, withLora, withoutLora, withWords, withoutWords, hasWords}) => [
                lorasOf("a <lora:ink:0.5> b <lora:wash> <lora:x:1:0.2> <hypernet:y:1>").map(({name, weight}) => [name, weight]),
                withLora("", "ink", 1), withLora("a ", "ink", "0.850001"), withLora("a <lora:Ink:1:0.2>, b", "ink", 0.5), withLora("<lora:ink>", "ink", 2),
                withoutLora("a <lora:ink:1> b <lora:ink:0.2>", "INK"), withWords("", "red"), withWords("a, ", "red hat"), withWords("a <lora:x:1>", "red"),
                withWords("a, Red <lora:x:1>", "red"), withoutWords("a, red, b", "red"), withoutWords("red", "red"), withoutWords("a, red <lora:x:1>", "red"),
                hasWords("a, red <lora:x:1>", "RED"), hasWords("a, reds", "red")])""")
        self.assertEqual(read, [
            [["ink", 0.5], ["wash", 1], ["x", 1]], "<lora:ink:1>", "a <lora:ink:0.85>", "a <lora:Ink:0.5:0.2>, b", "<lora:ink:2>",
            "a b", "red", "a, red hat", "a, red <lora:x:1>", "a, Red <lora:x:1>", "a, b", "", "a <lora:x:1>", True, False])

    def test_noise_and_guidance_are_sent_and_restored(self):
        made = self.open()
        page.click("#noise summary")
        fields = {"subseed": "18446744073709551615", "subseed-strength": "0.25", "cfg-rescale": "0.7", "cfg-from": "0.2", "cfg-to": "0.8",
                  "s-min-uncond": "0.5", "eta": "0.5", "ensd": "31337", "s-noise": "1.5", "resize-w": "128", "resize-h": "64",
                  "emphasis": "No norm", "pads": "1", "sampler": "Euler a"}
        self.fill(prompt="a (cat:1.2)", seed="7", **fields)
        self.assertEqual(page.text("noise-tag"), "13 set")
        page.click("generate")
        page.wait("document.querySelectorAll('#tiles li').length === 1")
        first = self.ids()[0]
        request = self.jobs(made)[0]["request"]
        self.assertEqual([request[name] for name in ("subseed", "subseed_strength", "cfg_rescale", "cfg_from", "cfg_to", "s_min_uncond", "eta", "eta_noise_seed_delta",
                                                     "s_noise", "seed_resize_from_w", "seed_resize_from_h", "emphasis", "pad_prompts")],
                         ["18446744073709551615", 0.25, 0.7, 0.2, 0.8, 0.5, 0.5, 31337, 1.5, 128, 64, "no-norm", True])
        page.click("reset")
        self.assertTrue(page.value("document.getElementById('noise-tag').hidden"))
        page.click(".tile")
        page.wait("document.getElementById('viewer-facts').children.length > 5")
        page.click("viewer-reuse")
        page.wait("document.getElementById('restored').open")
        self.assertIn("settings were read", page.text("restored-body"))
        page.click("restored-close")
        self.assertEqual({name: page.value("document.getElementById(arguments[0]).value", name) for name in fields}, fields)
        page.click("generate")
        page.wait("document.querySelectorAll('#tiles li').length === 2")
        again = next(name for name in self.ids() if name != first)
        self.assertEqual(made.get(f"/api/v1/images/{again}").body, made.get(f"/api/v1/images/{first}").body)
        # What the prompt names and this server does not have is said.
        self.restore("a dog <lora:gone:1>\nSteps: 3, Sampler: Euler, CFG scale: 7, Seed: 5, Size: 64x64, TI hashes: \"old: 12, other: 34\"")
        self.assertIn("this server has no LoRA gone", page.text("restored-body"))
        self.assertIn("this server has no embedding old, other", page.text("restored-body"))
        page.click("restored-close")
        # A picture without them puts them back.
        self.restore("a dog\nSteps: 3, Sampler: Euler, CFG scale: 7, Seed: 5, Size: 64x64")
        self.assertTrue(page.value("document.getElementById('noise-tag').hidden"))
        page.click("restored-close")
        page.type("cfg-to", "2")
        page.click("#noise summary")
        page.click("generate")
        page.wait("!document.getElementById('problem').hidden")
        self.assertIn("Guide to", page.text("problem"))
        self.assertTrue(page.value("document.getElementById('noise').open && document.activeElement.id === 'cfg-to'"))


class Memory(Case):
    def figure(self, part):
        """The exact bytes that the legend has for a component."""
        title = page.value("document.querySelector(`#memory-legend [data-part=${arguments[0]}] [data-kind=private]`)?.title ?? '0'", part)
        return int(title.split()[0].replace(",", ""))

    def test_the_view_has_the_servers_figures(self):
        made = self.open()
        self.make()
        page.wait("document.querySelector('#memory-legend [data-part=unet]')")
        page.wait("document.querySelectorAll('.job').length === 0")
        memory = made.get("/api/v1/memory").json()
        for component in memory["components"]:
            self.assertEqual(self.figure(component["role"]), component["private_bytes"])
            self.assertGreater(component["private_bytes"], 0)
        accounts = page.value("[...document.querySelectorAll('#accounts tr')].map((row) => row.lastChild.textContent)")
        self.assertEqual(accounts[0].replace(",", ""), str(memory["ledger"]["private_bytes"]))
        self.assertIs(memory["regions_agree"], True)
        self.assertIn("agrees with the kernel", page.text("agree"))
        self.assertEqual(page.value("document.querySelectorAll('#regions tr').length"), len(memory["regions"]))
        widths = page.value("[...document.querySelectorAll('#memory-bar [data-part]')].map((part) => part.dataset.part)")
        self.assertIn("unet", widths)
        self.assertIn("vae", widths)

    def test_colours_are_those_of_the_theme_also_for_the_canvas(self):
        self.open()
        seen = []
        for theme in ("dark", "light"):
            page.theme(theme)
            page.wait("document.documentElement.dataset.theme === arguments[0]", theme)
            seen.append(page.value("['--unet', '--vae', '--job'].map((name) => getComputedStyle(document.documentElement).getPropertyValue(name))"))
        page.theme("")
        for colours in seen:
            self.assertTrue(all(re.match(r"rgb|#", colour) for colour in colours), colours)
        self.assertNotEqual(seen[0], seen[1])

    def test_what_a_job_takes_is_said_before_it_is_pressed(self):
        made = self.open()
        self.fill()
        page.wait("document.getElementById('forecast-text').textContent.startsWith('Takes ') && document.getElementById('forecast-text').textContent.includes('64×64')")
        small = page.text("forecast-text")
        page.type("width", 512)
        page.wait("document.getElementById('forecast-text').textContent.includes('512×64')")
        self.assertNotEqual(page.text("forecast-text"), small)
        self.assertEqual(self.jobs(made), [])
        self.assertIn("fits", page.text("plan"))

    def test_unloading_gives_the_memory_back_and_shows_the_receipt(self):
        made = self.open()
        self.make()
        page.wait("!document.getElementById('unload-all').disabled")
        held = made.get("/api/v1/memory").json()["ledger"]["private_bytes"]
        self.assertGreater(held, 0)
        page.click("unload-all")
        page.wait("document.getElementById('unload-all').disabled")
        after = made.get("/api/v1/memory").json()
        self.assertLess(after["ledger"]["private_bytes"], held)
        receipt = after["receipts"][0]["receipt"]
        self.assertGreater(receipt["released_bytes"], 0)
        self.assertIn(f"{receipt['released_bytes']:,} bytes", page.value("[...document.querySelectorAll('#receipt [title]')].map((part) => part.title).join()"))
        self.assertEqual(self.figure("unet"), 0)

    def test_regions_that_do_not_agree_are_said(self):
        """The view, given an answer in which a region is not what the kernel says."""
        self.open()
        said = page.js("""
            return import("/page/memory.js").then(async ({Memory}) => {
                const answer = await (await fetch("api/v1/memory")).json();
                new Memory().show({...answer, regions_agree: false, disagreement: "region 0x7f00 has 4096 bytes, the kernel 0"});
                return [document.getElementById("agree").textContent, document.getElementById("agreement").textContent];
            })""")
        self.assertEqual(said, ["✕ does not agree", "region 0x7f00 has 4096 bytes, the kernel 0"])


class Modules(Case):
    """Functions of the page's modules, in the browser that runs them."""

    def test_parameters_of_a_picture(self):
        self.open()
        read = page.js("""
            return import("/page/parameters.js").then(({parseParameters, restoreValues}) => {
                const lists = {samplers: [{name: "DPM++ 2M", aliases: ["k_dpmpp_2m"]}], schedulers: [{name: "karras", label: "Karras"}]};
                return [parseParameters(arguments[0]), restoreValues(parseParameters(arguments[0]), lists), parseParameters("only a prompt: yes, it is")];
            })""", "a cat,\n(dog:1.2)\nNegative prompt: fur\nclaws\nSteps: 20, Sampler: k_dpmpp_2m, Schedule type: Odd, CFG scale: 7, Seed: 1, Size: 64x64, Note: \"a, \\\"b\\\": c\"")
        self.assertEqual(read[0]["prompt"], "a cat,\n(dog:1.2)")
        self.assertEqual(read[0]["negative"], "fur\nclaws")
        self.assertIn(["Note", 'a, "b": c'], read[0]["pairs"])
        self.assertEqual(read[1]["values"]["sampler"], "DPM++ 2M")
        self.assertEqual([key for key, _, _ in read[1]["unknown"]], ["Schedule type", "Note"])
        self.assertEqual(read[2], {"prompt": "only a prompt: yes, it is", "negative": "", "pairs": []})

    def test_events_and_numbers(self):
        self.open()
        read = page.js("""
            return Promise.all([import("/page/event_stream.js"), import("/page/exact_json.js"), import("/page/units.js"), import("/page/compare.js")]).then(
                ([{parseEvent}, {parseExact}, {bytesText, durationText}, {differenceOf}]) => [
                    parseEvent("id: 7\\nevent: state\\ndata: {\\"a\\":\\ndata: 1}"), parseEvent(": ping"),
                    parseExact('{"seed":18446744073709551615,"text":"\\\\"seed\\\\":18446744073709551615","small":12}'),
                    [0, 1023, 1024, 5476083302, null].map(bytesText), [0.25, 9.5, 59.7, 3600, 7500].map(durationText),
                    differenceOf([1, 2, 3, 255, 9, 9, 9, 255], [1, 2, 3, 255, 9, 19, 9, 255])])""")
        self.assertEqual(read[0], {"id": "7", "type": "state", "data": '{"a":\n1}'})
        self.assertIsNone(read[1])
        self.assertEqual(read[2], {"seed": "18446744073709551615", "text": '"seed":18446744073709551615', "small": 12})
        self.assertEqual(read[3], ["0 B", "1023 B", "1.00 KiB", "5.10 GiB", "unknown"])
        self.assertEqual(read[4], ["0.25 s", "9.5 s", "1 min", "1 h 0 min", "2 h 5 min"])
        self.assertEqual((read[5]["pixels"], read[5]["most"]), (1, 10))


# Every text that is seen against what lies behind it: 4.5, or 3 where it is large (WCAG AA). Those that have less.
CONTRAST = """
    const parse = (text) => (text.match(/[\\d.]+/g) ?? [0, 0, 0]).map(Number);
    const light = (rgb) => { const [r, g, b] = rgb.slice(0, 3).map((c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const ground = (element) => { for (let at = element; at; at = at.parentElement) { const rgb = parse(getComputedStyle(at).backgroundColor); if ((rgb[3] ?? 1) > 0.99) return rgb; }
        return [255, 255, 255]; };
    const poor = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest("dialog, script, .away, :disabled, option, optgroup")) continue;
        const style = getComputedStyle(element);
        const [a, b] = [light(parse(style.color)), light(ground(element))].sort((x, y) => y - x);
        const least = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
        if ((a + 0.05) / (b + 0.05) < least) poor.push(`${element.id || element.className}: ${((a + 0.05) / (b + 0.05)).toFixed(2)} "${walker.currentNode.data.trim().slice(0, 30)}"`);
    }
    return poor;
"""


class Proxy:
    """A proxy that has the service under /some/place/, with the client's Host, as nginx with proxy_set_header Host has."""

    def __init__(self):
        proxy = self
        self.made = None  # the service
        self.strays = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def relay(self):
                if not self.path.startswith("/some/place/"):
                    proxy.strays.append(self.path)
                    self.send_error(404)
                    return
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length) if length else None
                inner = http.client.HTTPConnection(proxy.made.host, proxy.made.port, timeout=server.LIMIT_S)
                inner.request(self.command, self.path[len("/some/place"):], body=body,
                              headers={key: value for key, value in self.headers.items() if key.lower() != "connection"})
                answer = inner.getresponse()
                self.send_response(answer.status)
                for key, value in answer.getheaders():
                    if key.lower() not in ("connection", "transfer-encoding", "date"):
                        self.send_header(key, value)
                self.send_header("Connection", "close")
                self.end_headers()
                try:
                    while piece := answer.read1(65536):
                        self.wfile.write(piece)
                        self.wfile.flush()
                except (OSError, http.client.HTTPException):
                    pass
                self.close_connection = True
                inner.close()

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = relay

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # the service was stopped
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


if __name__ == "__main__":
    server.main()
