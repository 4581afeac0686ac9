"""What the tests of the A1111 API share: one server for a file's cases, requests that are small, and pictures to send."""
import base64
import json
import threading
import zlib

import server

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"

# A job that runs until it is interrupted, or for minutes.
LONG = {"prompt": "a lighthouse", "steps": 1000, "width": 256, "height": 256}
LONG_OPTIONS = ("--max-steps", "1000")


def decode(text):
    """An image of an answer: strict base64, nothing before it."""
    return base64.b64decode(text, validate=True)


def encode(data):
    return base64.b64encode(data).decode()


def size(data):
    """Width and height of a PNG."""
    assert data.startswith(PNG), data[:16]
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def chunk(name, data):
    body = name + data
    return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


# Adam7: where each pass begins and how far it steps, across and down.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def png(width=64, height=64, colour=2, bits=8, interlaced=False, shade=None):
    """A picture with a pattern: colour 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""
    def sample(x, y, channel):
        value = shade if shade is not None else (x * 5 + y * 3 + channel * 40) % 251
        return 255 if channel == {4: 1, 6: 3}.get(colour) else value

    def row(y, xs):
        samples = [sample(x, y, channel) for x in xs for channel in range(CHANNELS[colour])]
        return b"\0" + (bytes(samples) if bits == 8 else b"".join(bytes((value, value)) for value in samples))

    passes = PASSES if interlaced else ((0, 0, 1, 1),)
    rows = b"".join(row(y, range(x0, width, dx)) for x0, y0, dx, dy in passes if x0 < width for y in range(y0, height, dy))
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((bits, colour, 0, 0, int(interlaced)))
    palette = chunk(b"PLTE", bytes(i for i in range(256) for _ in range(3))) if colour == 3 else b""
    return PNG + chunk(b"IHDR", head) + palette + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Case(server.Case):
    """Cases share a server: each leaves the settings as they were."""
    options = ("-m", "tiny")

    @classmethod
    def setUpClass(cls):
        cls.made = server.Server(*cls.options).start()

    @classmethod
    def tearDownClass(cls):
        assert cls.made.stop() == 0, cls.made.errors()

    def get(self, path, **more):
        answer = self.made.get("/sdapi/v1/" + path, **more)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()

    def post(self, path, body=None, status=200, **more):
        """What an answer of this status says."""
        answer = self.made.post("/sdapi/v1/" + path, body, **more)
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        return answer.json()

    def set_options(self, **values):
        """Until the case has ended."""
        before = self.get("options")
        self.addCleanup(self.post, "options", {name: before[name] for name in values})
        return self.post("options", values)

    # ---- pictures ----

    def make(self, route="txt2img", **fields):
        """Makes small pictures of seed 5: the whole answer."""
        return self.post(route, {"prompt": "a lighthouse", "steps": 2, "width": 64, "height": 64, "seed": 5, **fields})

    def picture(self, route="txt2img", **fields):
        """The bytes of the first picture of such a request."""
        return decode(self.make(route, **fields)["images"][0])

    def info(self, route="txt2img", **fields):
        return json.loads(self.make(route, **fields)["info"])

    def refused(self, part, status, route="txt2img", **fields):
        """A request that is refused with this status (or one of several), and a message that has the part."""
        statuses = status if isinstance(status, tuple) else (status,)
        answer = self.made.post("/sdapi/v1/" + route,
                                {"prompt": "a lighthouse", "steps": 2, "width": 64, "height": 64, **fields})
        self.assertIn(answer.status, statuses, answer)
        error = answer.json()
        self.assertIn(part.lower(), error["detail"].lower())
        for name in ("error", "body", "errors", "message"):
            self.assertIn(name, error)
        return error

    def head(self, path, body, more=b""):
        """The beginning of a POST by hand."""
        return (f"POST /sdapi/v1/{path} HTTP/1.1\r\nHost: 127.0.0.1:{self.made.port}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n").encode() + more + b"\r\n"

    # ---- jobs ----

    def start(self, route="txt2img", **fields):
        """A request whose answer is waited for by a thread: the list that gets it, and the thread."""
        answers = []
        patient = self.made.connection(timeout=4 * server.LIMIT_S)
        thread = threading.Thread(target=lambda: answers.append(self.made.post("/sdapi/v1/" + route, fields, connection=patient)))
        thread.start()
        self.addCleanup(patient.close)
        self.addCleanup(thread.join)
        return answers, thread

    def progress(self, query=""):
        return self.get("progress" + query)

    def runs(self):
        """Has a job begun to sample?"""
        return self.progress()["state"]["sampling_step"] > 0

    def is_idle(self):
        now = self.progress()
        return now["progress"] == 0 and now["state"]["job_count"] == 0 and now["state"]["job"] == ""

    def interrupt(self):
        self.assertEqual(self.post("interrupt"), {})

    def regions(self, component=None):
        """Address and size of what the engine holds: they stay while nothing is loaded again."""
        return [(region["component"], region["start"], region["bytes"]) for region in self.get("memory")["darkroom"]["regions"]
                if component in (None, region["component"])]
