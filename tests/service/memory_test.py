#!/usr/bin/env python3
"""Memory of the service, by the kernel's figures: the scene over HTTP, what requests and switches leave, and that what is set
aside of the budget for the service itself is enough.

DARKROOM_REQUESTS and DARKROOM_SWITCHES: how many; 1000 and 500 are whole runs, the defaults are shorter.
"""
import base64
import os
import pathlib
import subprocess
import threading
import unittest

import server

REQUESTS = int(os.environ.get("DARKROOM_REQUESTS", "300"))
SWITCHES = int(os.environ.get("DARKROOM_SWITCHES", "120"))
MOST_GROWTH = 64 * 1024
MOST_FREE = 512 * 1024
SMALL = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 1, "cfg_scale": 1, "seed": 7}


def private_bytes(pid):
    """Pss_Anon + Pss_Shmem, as docs/MEMORY.md has it."""
    total = 0
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
            total += int(line.split()[1]) * 1024
    return total


def has_rollup():
    try:
        return private_bytes("self") > 0
    except OSError:
        return False


@unittest.skipIf(server.IS_SANITIZED, "a sanitizer holds memory of its own")
@unittest.skipUnless(has_rollup(), "the kernel does not report private memory here")
class Memory(server.Case):
    def server(self, *options, **more):
        made = server.Server(*options, **more)
        made.link(made.models / "xl.safetensors", "--family", "sdxl", "--seed", "3")
        made.link(made.vaes / "wide.safetensors", "--family", "sdxl", "--part", "vae", "--seed", "6")
        self.addCleanup(made.kill)
        return made.start()

    def apply(self, service, status=200, **options):
        answer = service.post("/sdapi/v1/options", options)
        self.assertEqual(answer.status == 200, status == 200, answer)

    def picture(self, service, **change):
        answer = service.post("/sdapi/v1/txt2img", {**SMALL, **change})
        self.assertEqual(answer.status, 200, answer)
        return base64.b64decode(answer.json()["images"][0], validate=True)

    def memory(self, service):
        answer = service.get("/api/v1/memory")
        self.assertEqual(answer.status, 200, answer)
        return answer.json()

    # ---- the scene ----

    def on_the_command_line(self, service, model, *more):
        path = self.folder / "out.png"
        subprocess.run([server.DARKROOM, "generate", "-m", service.models / f"{model}.safetensors", "-p", SMALL["prompt"], "-W", "64",
                        "-H", "64", "--steps", "1", "--cfg", "1", "--seed", "7", "--threads", "1", "--vae-dir", service.vaes, *more,
                        "-o", path], env=service.environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       timeout=server.LIMIT_S)
        return path.read_bytes()

    def test_the_scene_leaves_nothing_behind(self):
        service = self.server()
        self.apply(service, sd_model_checkpoint="xl", sd_vae="wide.safetensors")
        first = self.picture(service)
        self.apply(service, sd_model_checkpoint="tiny", sd_vae="None")
        second = self.picture(service)
        fresh = self.server()
        self.apply(fresh, sd_model_checkpoint="tiny", sd_vae="None")
        self.assertEqual(self.picture(fresh), second)
        self.assertEqual(first, self.on_the_command_line(service, "xl", "--vae", "wide"))
        self.assertEqual(second, self.on_the_command_line(service, "tiny", "--vae", "none"))
        switched, alone = self.memory(service), self.memory(fresh)
        for memory in (switched, alone):
            self.assertTrue(memory["regions_agree"], memory.get("disagreement"))
        # The ledger is the same to the byte; so are the components, and their files.
        self.assertEqual(switched["ledger"]["private_bytes"], alone["ledger"]["private_bytes"])
        self.assertEqual([(one["name"], one["private_bytes"], pathlib.Path(one["path"]).name) for one in switched["components"]],
                         [(one["name"], one["private_bytes"], pathlib.Path(one["path"]).name) for one in alone["components"]])
        kinds = ("image_bytes", "heap_bytes", "stack_bytes", "jit_bytes", "shmem_bytes", "other_bytes")
        rest = {kind: switched["residual"][kind] - alone["residual"][kind] for kind in kinds}
        self.assertEqual(sum(rest.values()), switched["residual"]["total_bytes"] - alone["residual"]["total_bytes"])
        more = private_bytes(service.process.pid) - private_bytes(fresh.process.pid)
        print(f"scene: {more} private bytes more than a fresh server; beside regions: {rest}", flush=True)
        self.assertLessEqual(more, 1 << 20, rest)
        # And back: the first picture again, byte for byte.
        self.apply(service, sd_model_checkpoint="xl", sd_vae="wide.safetensors")
        self.assertEqual(self.picture(service), first)

    def test_the_scene_sees_what_stays(self):
        """The control: a server that kept the SDXL model would be found out."""
        service = self.server()
        self.apply(service, sd_model_checkpoint="tiny", sd_vae="None")
        self.picture(service)
        alone = private_bytes(service.process.pid)
        self.picture(service, override_settings={"sd_model_checkpoint": "xl"})
        self.assertGreater(private_bytes(service.process.pid), alone + (1 << 20))

    # ---- slopes ----

    def rest_state(self, service):
        """With nothing loaded: private bytes, and those of them that are free pages of the heap, which malloc keeps between blocks."""
        self.assertEqual(service.post("/api/v1/unload", {"what": "all"}).status, 200)
        memory = self.memory(service)
        self.assertEqual(memory["ledger"]["private_bytes"], 0, memory["regions"])
        return private_bytes(service.process.pid), memory["residual"]["heap_retained_bytes"]

    def check_growth(self, service, do, first, count, what):
        """`count` more leave nothing, after `first` of them have filled all caches. What stacks hold differs by some pages from one
        moment to the next: before and after are three moments each. What the heap keeps free has a bound of its own."""
        def rest_states(numbers):
            found = []
            for part in (numbers[:-32], numbers[-32:-16], numbers[-16:]):
                for i in part:
                    do(service, i)
                found.append(self.rest_state(service))
            return found
        before, after = rest_states(range(first)), rest_states(range(count))
        growth = min(total - free for total, free in after) - max(total - free for total, free in before)
        print(f"{count} {what}: {growth} private bytes more; with what the heap keeps free: {before[-1]}, then {after[-1]}", flush=True)
        self.assertLessEqual(growth, MOST_GROWTH, self.memory(service)["residual"])
        self.assertLessEqual(min(free for _, free in after), MOST_FREE, self.memory(service)["residual"])

    def mixed(self, service, i):
        """One request of many kinds; some have to fail."""
        kind = i % 16
        if kind == 0:
            self.picture(service, seed=i)
        elif kind == 1:
            self.assertEqual(service.post("/api/v1/jobs", {**SMALL, "width": -1}).status, 422)
        elif kind == 2:
            self.assertEqual(service.get("/api/v1/models").status, 200)
        elif kind == 3:
            self.assertEqual(service.post("/sdapi/v1/txt2img", b"{" + b"[" * 500, Content_Type="application/json").status, 400)
        elif kind == 4:
            self.assertEqual(service.get("/sdapi/v1/progress").status, 200)
        elif kind == 5:
            self.assertEqual(service.post("/v1/images/generations", {"prompt": "a", "size": "64x64", "n": 1}).status, 200)
        elif kind == 6:
            self.assertEqual(service.get("/api/v1/images?limit=5").status, 200)
        elif kind == 7:
            self.apply(service, 404, sd_model_checkpoint="missing")
        elif kind == 8:
            image = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(50000)).decode()
            self.assertGreaterEqual(service.post("/sdapi/v1/img2img", {**SMALL, "init_images": [image]}).status, 400)
        elif kind == 9:
            self.assertEqual(service.get("/nowhere").status, 404)
        elif kind == 10:
            self.assertEqual(service.get("/sdapi/v1/options").status, 200)
        elif kind == 11:
            job = service.post("/api/v1/jobs", {**SMALL, "seed": i}).json()["id"]
            stream = service.get(f"/api/v1/jobs/{job}/events")
            self.assertIn(b'"done"', stream.body)
            shown = service.get(f"/api/v1/jobs/{job}").json()
            self.assertEqual(shown["state"], "done")
            for path in ("", "/thumbnail", "/parameters"):
                self.assertEqual(service.get(f"/api/v1/images/{shown['images'][0]}{path}").status, 200)
            self.assertEqual(service.ask("DELETE", f"/api/v1/jobs/{job}").status, 200)
        elif kind == 12:
            self.assertEqual(service.post("/api/v1/forecast", {**SMALL, "override_settings": {"sd_model_checkpoint": "xl"}}).status, 200)
        elif kind == 13:
            self.assertEqual(service.get("/api/v1/vaes?model=xl").status, 200)
        elif kind == 14:
            self.assertEqual(service.get("/api/v1/jobs").status, 200)
        else:
            self.memory(service)

    def test_many_requests_leave_private_memory_where_it_was(self):
        service = self.server("-m", "tiny")
        self.check_growth(service, self.mixed, 480, REQUESTS, "mixed requests")

    def switch(self, service, i):
        model, vae = (("tiny", "None"), ("xl", "wide"), ("tiny", "sharp"), ("other", "Automatic"), ("xl", "None"), ("other", "soft"))[i % 6]
        self.apply(service, sd_model_checkpoint=model, sd_vae=vae)
        if i % 5 == 0:
            self.apply(service, 404, sd_model_checkpoint="missing", sd_vae="sharp")
        if i % 5 == 1:
            self.apply(service, 404, sd_model_checkpoint="tiny", sd_vae="missing")
        if i % 5 == 2:
            self.apply(service, 422, sd_model_checkpoint="damaged")
        options = service.get("/sdapi/v1/options").json()
        self.assertTrue(options["sd_model_checkpoint"].startswith(model), options["sd_model_checkpoint"])
        if i % 3 == 0:
            picture = self.picture(service)
            self.assertEqual(self.pictures.setdefault((model, vae), picture), picture, (model, vae))

    def test_switches_and_failing_ones_leave_private_memory_where_it_was(self):
        service = self.server("-m", "tiny")
        (service.models / "damaged.safetensors").write_bytes((service.models / "tiny.safetensors").read_bytes()[:5000])
        self.pictures = {}
        self.check_growth(service, self.switch, 60, SWITCHES, "switches")

    # ---- what is set aside ----

    def test_what_is_set_aside_is_enough(self):
        """All connections at once, with bodies as large as they may be together."""
        service = self.server("--max-connections", 40, "--body-memory", "8M", "--max-body", "2M", "-m", "tiny")
        before, _ = self.rest_state(service)
        stated = self.memory(service)["service_bytes"]
        self.assertGreater(stated, 8 << 20)
        image = base64.b64encode(os.urandom(1 << 20)).decode()
        body = {**SMALL, "init_images": [image]}
        statuses, most, stop = [], [0], threading.Event()

        def watch():
            while not stop.is_set():
                most[0] = max(most[0], private_bytes(service.process.pid))

        def send():
            for _ in range(5):
                try:
                    statuses.append(service.post("/sdapi/v1/img2img", body).status)
                except OSError:
                    statuses.append(0)

        watcher = threading.Thread(target=watch)
        senders = [threading.Thread(target=send) for _ in range(40)]
        for thread in (watcher, *senders):
            thread.start()
        for thread in senders:
            thread.join()
        stop.set()
        watcher.join()
        self.assertTrue(any(status >= 400 for status in statuses), statuses)
        more = most[0] - before
        print(f"set aside: {stated} bytes; taken at most: {more}", flush=True)
        self.assertGreater(more, 2 << 20)  # the bodies were there
        self.assertLessEqual(more, stated)

    def test_a_budget_that_the_service_uses_up_is_refused(self):
        ended = self.run_serve("--listen", "127.0.0.1:0", "--data", self.folder / "data", "--budget", "150M")
        self.assertEqual(ended.returncode, 11, ended)
        self.assertIn("for the program around it", ended.stderr)
        small = self.server("--budget", "150M", "--body-memory", "16M", "--max-connections", "16", "-m", "tiny")
        self.assertEqual(self.memory(small)["budget"]["bytes"], 150 << 20)
        self.picture(small)
        memory = self.memory(small)
        self.assertLessEqual(memory["ledger"]["peak_private_bytes"] + memory["service_bytes"] + (49 << 20), 150 << 20)


if __name__ == "__main__":
    server.main()
