"""What the tests of `darkroom serve` share: a server on tiny checkpoints, and requests to it.

Each test file is run as FILE BUILD_ROOT SOURCE_ROOT [TEST...] and ends with server.main(). A case names the rule or trap that
it holds: `test_T07_options_without_origin`.

    class Lists(server.Case):
        def test_T10_queue_status(self):
            answer = self.server().get("/queue/status")
            self.assertEqual(answer.status, 200)
            self.assertIsNotNone(answer.json())
"""
import base64
import http.client
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
sys.dont_write_bytecode = True
import cases

BUILD = pathlib.Path(sys.argv[1]).resolve()
SOURCE = pathlib.Path(sys.argv[2]).resolve()
DARKROOM = str(BUILD / "darkroom")
LIMIT_S = int(os.environ.get("LIMIT_S", 300))  # of one step: a busy machine takes its time
# A sanitizer holds memory of its own: what the kernel says is not looked at then.
IS_SANITIZED = "ASAN_OPTIONS" in os.environ and b"__asan_init" in pathlib.Path(DARKROOM).read_bytes()

# A folder for all that this file's tests write.
HOME = pathlib.Path(tempfile.mkdtemp(prefix="darkroom-service-"))


def checkpoint(*arguments):
    """A tiny checkpoint that the build has made (tests/checkpoints): only to be read."""
    words = ["--family", "sd15", *arguments] if "--family" not in arguments else list(arguments)
    if "--size" not in words:
        words = [*words[:2], "--size", "least", *words[2:]]
    path = BUILD / "tests/checkpoints" / ("-".join(words).replace("--", "") + ".safetensors")
    if not path.exists():
        sys.exit(f"{path} is not there: \"ninja checkpoints\" makes those that tests/checkpoints/meson.build lists")
    return path


def environment(home):
    kept = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LD_LIBRARY_PATH", "OMP_WAIT_POLICY", "GLIBC_TUNABLES")
    made = {key: os.environ[key] for key in kept if key in os.environ}
    made.update(HOME=str(home), XDG_DATA_HOME=str(home / "data"), XDG_CONFIG_HOME=str(home / "config"),
                XDG_CACHE_HOME=str(home / "cache"), DARKROOM_PACKS="off",
                DARKROOM_TOKENIZER=str(SOURCE / "tests/data/tiny-tokenizer"))
    return made


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:400]}"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Server:
    """`darkroom serve` with a home of its own: HOME/models has "tiny" and "other", HOME/vae has "sharp" and "soft"."""

    def __init__(self, *options, home=None, models=True, listen="127.0.0.1:0", more_environment=None, pass_fds=(), wrap=()):
        self.home = pathlib.Path(home or tempfile.mkdtemp(dir=HOME))
        self.data = self.home / "service"
        self.models, self.vaes = self.home / "models", self.home / "vae"
        self.options, self.listen, self.pass_fds, self.wrap = list(options), listen, pass_fds, list(wrap)
        self.environment = {**environment(self.home), **(more_environment or {})}
        self.models.mkdir(exist_ok=True)
        self.vaes.mkdir(exist_ok=True)
        if models:
            self.link(self.models / "tiny.safetensors", "--seed", "1")
            self.link(self.models / "other.safetensors", "--seed", "2")
            self.link(self.vaes / "sharp.safetensors", "--part", "vae", "--seed", "2")
            self.link(self.vaes / "soft.safetensors", "--part", "vae", "--seed", "3")
        self.process = self.host = self.port = self.unix = None
        self.said = ""

    @staticmethod
    def link(path, *arguments):
        if not path.exists():
            path.symlink_to(checkpoint(*arguments))

    # ---- its life ----

    def command(self):
        words = [*self.wrap, DARKROOM, "serve", "--models", str(self.models), "--vae-dir", str(self.vaes),
                 "--data", str(self.data), "--threads", "1"]
        if self.listen:
            words += ["--listen", self.listen]
        return words + [str(option) for option in self.options]

    def spawn(self):
        """Starts the program; wait_until_listening has to follow."""
        self.log = open(self.home / "serve.log", "ab")
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log,
                                        env=self.environment, cwd=self.home, pass_fds=self.pass_fds)
        return self

    def wait_until_listening(self):
        end = time.monotonic() + LIMIT_S
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 1) if ready else b""
            if not data:
                raise AssertionError(f"the service did not start: {line!r} {self.errors()[-2000:]}")
            line += data
        self.said = line.decode().strip()
        found = re.fullmatch(r"listening on (?:http://(\S+):(\d+)|unix:(\S+))", self.said)
        assert found, self.said
        self.host, self.port, self.unix = found[1], int(found[2] or 0), found[3]
        return self

    def start(self):
        return self.spawn().wait_until_listening()

    def stop(self, number=signal.SIGTERM):
        """The exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        return self.wait() if self.process else None

    def wait(self):
        code = self.process.wait(LIMIT_S)
        self.process.stdout.close()
        self.log.close()
        return code

    def errors(self):
        """What it wrote to standard error."""
        return (self.home / "serve.log").read_text(errors="replace")

    # ---- requests ----

    def connection(self, timeout=LIMIT_S):
        if self.unix:
            return UnixConnection(self.unix, timeout)
        return http.client.HTTPConnection(self.host.strip("[]"), self.port, timeout=timeout)

    def ask(self, method, path, body=None, connection=None, **headers):
        """headers: by their names with "_" for "-". A body that is no bytes is sent as JSON."""
        head = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            if not any(name.lower() == "content-type" for name in head):
                head["Content-Type"] = "application/json"
        used = connection or self.connection()
        try:
            used.request(method, path, body=body, headers=head)
            reply = used.getresponse()
            return Answer(reply.status, reply.headers, reply.read())
        finally:
            if not connection:
                used.close()

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.ask("POST", path, body=body, **more)

    def socket(self, timeout=LIMIT_S):
        """A connection without a request."""
        if self.unix:
            made = socket.socket(socket.AF_UNIX)
            made.settimeout(timeout)
            made.connect(self.unix)
            return made
        return socket.create_connection((self.host.strip("[]"), self.port), timeout=timeout)

    def raw(self, data, timeout=LIMIT_S):
        """Sends bytes as they are; all that comes until the connection is closed."""
        with self.socket(timeout) as made:
            got = b""
            try:
                made.sendall(data)
            except ConnectionError:
                pass  # it answered and closed before all was sent
            try:
                while piece := made.recv(65536):
                    got += piece
            except ConnectionError:
                pass
            return got


def basic(user, password):
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=HOME))

    def server(self, *options, **more):
        """A server that runs until the case has ended."""
        made = Server(*options, **more).start()
        self.addCleanup(made.kill)
        return made

    def wait_for(self, condition, what="it to happen"):
        end = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > end:
                self.fail(f"waited {LIMIT_S} s for {what}")
            time.sleep(0.02)

    def run_serve(self, *options, **more):
        """A service that is expected to refuse its options: the finished process."""
        return subprocess.run([DARKROOM, "serve", *map(str, options)], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, env={**environment(self.folder), **more}, cwd=self.folder, timeout=LIMIT_S,
                              check=False)


def main():
    try:
        del sys.argv[1:3]
        cases.main()
    finally:
        shutil.rmtree(HOME, ignore_errors=True)
