"""Chromium, driven through chromedriver by the WebDriver protocol (and its way to DevTools): no library is needed.

    with a Case: page = self.browser(); page.go(url); page.wait("document.title === 'darkroom'")
"""
import base64
import json
import pathlib
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

KEYS = {"ctrl": "\ue009", "alt": "\ue00a", "shift": "\ue008", "up": "\ue013", "down": "\ue015", "left": "\ue012", "right": "\ue014",
        "enter": "\ue007", "escape": "\ue00c", "tab": "\ue004", "delete": "\ue017", "end": "\ue010", "home": "\ue011"}
LIMIT_S = 120  # of one answer or wait: a busy machine takes its time


def missing():
    """What there is not, as a reason to skip; "" where all is there."""
    lacking = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    return f"{' and '.join(lacking)} not installed (script/bootstrap chromium chromium-driver)" if lacking else ""


class Browser:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(["chromedriver", f"--port={self.port}", "--silent"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.session = ""
        self.wait_for(lambda: self.answers("/status"), "chromedriver")
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--lang=en",
                            f"--user-data-dir={self.folder / 'chromium'}"]}
        made = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL"}, "goog:chromeOptions": options, "unhandledPromptBehavior": "ignore"}}})
        self.session = f"/session/{made['sessionId']}"
        self.size(1440, 900)

    def stop(self):
        try:
            self.call("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait(LIMIT_S)

    # ---- the protocol ----

    def answers(self, path):
        try:
            return self.call("GET", path)["ready"]
        except OSError:
            return False

    def call(self, method, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{self.session}{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode(), headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            said = json.load(error)["value"]
            raise AssertionError(f"{path}: {said['error']}: {said['message'][:600]}") from None

    def tool(self, command, **parameters):
        """A command of DevTools."""
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    # ---- pages ----

    def go(self, url):
        self.call("POST", "/url", {"url": url})

    def reload(self):
        self.call("POST", "/refresh", {})

    def js(self, text, *arguments):
        """Runs the text of a function; a promise is waited for."""
        return self.call("POST", "/execute/sync", {"script": text, "args": list(arguments)})

    def value(self, expression, *arguments):
        return self.js(f"return ({expression})", *arguments)

    def wait_for(self, condition, what):
        end = time.monotonic() + LIMIT_S
        while not (found := condition()):
            if time.monotonic() > end:
                raise AssertionError(f"waited {LIMIT_S} s for {what}")
            time.sleep(0.05)
        return found

    def wait(self, expression, *arguments):
        """Until an expression is true; its value."""
        return self.wait_for(lambda: self.value(expression, *arguments), expression)

    def text(self, name):
        return self.value("document.getElementById(arguments[0]).textContent.trim()", name)

    def click(self, name):
        """A press of a mouse or finger, as the protocol makes it: what is covered or off cannot be pressed."""
        selector = name if name[0] in "#.[" else f"#{name}"
        self.js("document.querySelector(arguments[0])?.scrollIntoView({block: 'center'})", selector)
        found = self.call("POST", "/element", {"using": "css selector", "value": selector})
        self.call("POST", f"/element/{next(iter(found.values()))}/click", {})

    def type(self, name, text):
        """The text in place of the field's value, as typing gives it."""
        self.js("const field = document.getElementById(arguments[0]); field.focus(); field.value = arguments[1];"
                "field.dispatchEvent(new Event('input', {bubbles: true}))", name, str(text))

    def choose_file(self, name, path):
        found = self.call("POST", "/element", {"using": "css selector", "value": f"#{name}"})
        self.call("POST", f"/element/{next(iter(found.values()))}/value", {"text": str(path)})

    def keys(self, *names):
        """Presses keys together, in order, and lets them go: keys("ctrl", "up")."""
        codes = [KEYS.get(name, name) for name in names]
        actions = [{"type": "keyDown", "value": code} for code in codes] + [{"type": "keyUp", "value": code} for code in reversed(codes)]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    # ---- windows ----

    def size(self, width, height, mobile=False):
        self.tool("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def theme(self, name):
        """The system's with an empty name. It is there when this returns: the browser takes it over at its next frame."""
        self.tool("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])
        if name:
            self.wait("matchMedia(`(prefers-color-scheme: ${arguments[0]})`).matches", name)

    def tab(self):
        """A new tab, which gets what follows; its handle."""
        handle = self.call("POST", "/window/new", {"type": "tab"})["handle"]
        self.switch(handle)
        return handle

    def handle(self):
        return self.call("GET", "/window")

    def switch(self, handle):
        self.call("POST", "/window", {"handle": handle})

    def close_tab(self):
        self.call("DELETE", "/window")

    def picture(self, path):
        pathlib.Path(path).write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def complaints(self):
        """Errors and warnings of the console since the last look."""
        return [line["message"] for line in self.call("POST", "/se/log", {"type": "browser"}) if line["level"] in ("SEVERE", "WARNING")]
