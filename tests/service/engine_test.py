#!/usr/bin/env python3
"""What the own API says of the engine and changes in it: forecast, settings, unload, keep-alive, lists."""
import contextlib
import re
import threading
import time

import server

SMALL = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 2, "seed": 7}


class Engine(server.Case):
    def server(self, *options, **more):
        made = server.Server(*options, **more)
        made.link(made.models / "xl.safetensors", "--family", "sdxl", "--seed", "3")
        self.addCleanup(made.kill)
        return made.start()

    def get(self, service, path):
        answer = service.get(path)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()

    def run_job(self, service, **change):
        name = service.post("/api/v1/jobs", {**SMALL, **change}).json()["id"]
        self.wait_for(lambda: self.get(service, f"/api/v1/jobs/{name}")["state"] in ("done", "failed"), "a job to end")
        job = self.get(service, f"/api/v1/jobs/{name}")
        self.assertEqual(job["state"], "done", job)
        return job

    def loaded(self, service):
        return [one["model"] for one in self.get(service, "/api/v1/ps")["models"]]

    def ledger(self, service):
        return self.get(service, "/api/v1/memory")["ledger"]["private_bytes"]

    def test_a_forecast_is_what_the_job_takes(self):
        service = self.server("-m", "tiny")
        forecast = service.post("/api/v1/forecast", SMALL).json()
        self.assertTrue(forecast["forecast"]["fits"])
        self.assertNotIn("seconds", forecast)
        job = self.run_job(service)
        self.assertEqual(forecast["forecast"]["levels"][0]["peak_bytes"], job["planned_private_bytes"])
        self.assertGreater(service.post("/api/v1/forecast", SMALL).json()["seconds"], 0)

    def test_a_forecast_for_another_model_keeps_the_loaded_one(self):
        service = self.server("-m", "tiny")
        self.run_job(service)
        held = self.ledger(service)
        other = {**SMALL, "override_settings": {"sd_model_checkpoint": "xl"}}
        forecast = service.post("/api/v1/forecast", other).json()["forecast"]
        self.assertEqual(len([one for one in forecast["components"] if one["role"] == "text"]) +
                         len([one for one in forecast["components"] if one["role"] == "text2"]), 2)
        self.assertEqual((self.loaded(service), self.ledger(service)), (["tiny.safetensors"], held))
        job = self.run_job(service, override_settings={"sd_model_checkpoint": "xl"})
        self.assertEqual(forecast["levels"][0]["peak_bytes"], job["planned_private_bytes"])

    def test_a_model_is_unloaded_after_keep_alive(self):
        service = self.server("-m", "tiny", "--keep-alive", "1s")
        self.run_job(service)
        self.wait_for(lambda: self.loaded(service) == [], "the model to be unloaded")
        self.assertEqual(self.ledger(service), 0)
        self.run_job(service, keep_alive=-1)
        self.assertIsNone(self.get(service, "/api/v1/ps")["models"][0]["expires"])
        time.sleep(1.5)
        self.assertEqual(self.loaded(service), ["tiny.safetensors"])
        before = time.time()
        self.run_job(service, keep_alive="10m")
        self.assertAlmostEqual(self.get(service, "/api/v1/memory")["expires"], before + 600, delta=120)
        self.run_job(service, keep_alive=0)
        self.assertEqual((self.loaded(service), self.ledger(service)), ([], 0))
        what = [one["what"] for one in self.get(service, "/api/v1/memory")["receipts"]]
        self.assertEqual(what[0], "keep_alive")

    def test_unload_gives_the_memory_back_before_it_answers(self):
        service = self.server("-m", "tiny")
        self.run_job(service)
        held = self.ledger(service)
        receipt = service.post("/api/v1/unload", {"what": "vae"}).json()["receipt"]
        self.assertGreater(receipt["released_bytes"], 0)
        self.assertEqual(self.ledger(service), held - receipt["released_bytes"])
        receipt = service.post("/api/v1/unload").json()["receipt"]
        self.assertEqual((receipt["after"]["private_bytes"], self.ledger(service), self.loaded(service)), (0, 0, []))
        self.assertLess(receipt["after"]["kernel_private_bytes"], receipt["before"]["kernel_private_bytes"])
        self.assertEqual(service.post("/api/v1/unload", {"what": "unet"}).status, 400)
        self.run_job(service)

    @contextlib.contextmanager
    def watched(self, service):
        """Clients that ask for the memory all the time, so that there is always a fresh answer to share."""
        ended, failed = threading.Event(), []

        def watch(path):
            line = service.connection()
            while not ended.is_set():
                answer = service.get(path, connection=line)
                if answer.status != 200:
                    failed.append(answer)
            line.close()

        threads = [threading.Thread(target=watch, args=(path,)) for path in 2 * ("/api/v1/memory", "/sdapi/v1/memory", "/api/v1/ps")]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failed, [])

    def test_a_look_after_a_change_is_never_one_from_before(self):
        service = self.server("-m", "tiny")

        def held():
            own, a1111 = self.get(service, "/api/v1/memory"), self.get(service, "/sdapi/v1/memory")["darkroom"]
            for name in ("components", "regions", "regions_agree", "budget"):
                self.assertEqual(own[name], a1111[name])
            self.assertTrue(own["regions_agree"])
            return own

        def vae_of(memory):
            return [one["path"] for one in memory["components"] if one["role"] == "vae"][0]

        with self.watched(service):
            for turn in range(12):
                receipt = service.post("/sdapi/v1/reload-checkpoint").json()["receipt"]
                loaded = held()
                self.assertEqual(loaded["ledger"]["private_bytes"], receipt["after"]["private_bytes"])
                for vae in ("sharp", "None"):
                    self.assertEqual(service.post("/sdapi/v1/options", {"sd_vae": vae}).status, 200)
                    self.assertEqual("sharp" in vae_of(held()), vae == "sharp", turn)
                budget = (2 << 30) + (turn << 20)
                self.assertEqual(service.ask("PUT", "/api/v1/settings", {"budget": budget}).status, 200)
                self.assertEqual(held()["budget"]["bytes"], budget)
                receipt = service.post("/api/v1/unload", {"what": "vae"}).json()["receipt"]
                self.assertEqual(held()["ledger"]["private_bytes"], receipt["after"]["private_bytes"])
                receipt = service.post("/sdapi/v1/unload-checkpoint").json()["receipt"]
                self.assertEqual((held()["ledger"]["private_bytes"], receipt["after"]["private_bytes"], held()["regions"]), (0, 0, []))
                self.run_job(service, keep_alive=0)
                self.assertEqual((held()["regions"], self.loaded(service)), ([], []))

    def test_settings_change_together_or_not_at_all(self):
        service = self.server("-m", "tiny")
        put = lambda body: service.ask("PUT", "/api/v1/settings", body)
        answer = put({"model": "other", "vae": "sharp", "keep_alive": "2m", "samples_format": "jpg"})
        self.assertEqual(answer.status, 200, answer)
        for folder, path in ((service.models, "tiny.safetensors"), (service.vaes, "soft.safetensors")):
            whole = (folder / path).read_bytes()
            (folder / "torn.safetensors").write_bytes(whole[:len(whole) // 2])
        self.wait_for(lambda: "torn.safetensors" in str(self.get(service, "/sdapi/v1/sd-vae")), "the lists to change")
        before = self.get(service, "/api/v1/settings")
        self.assertEqual((before["model"], before["vae"], before["keep_alive"], before["samples_format"]),
                         ("other.safetensors", "sharp.safetensors", 120, "jpg"))
        for wrong in ({"model": "tiny", "vae": "missing"}, {"model": "missing", "vae": "soft"}, {"keep_alive": "soon", "vae": "soft"},
                      {"budget": "much", "model": "tiny"}, {"budget": "100M", "model": "tiny", "vae": "soft", "samples_format": "png"},
                      {"budget": "2G", "model": "missing"}, {"budget": "2G", "vae": "torn", "keep_alive": 5},
                      {"budget": "2G", "model": "torn", "vae": "soft"}):
            self.assertIn(put(wrong).status, (400, 404, 422), wrong)
            self.assertEqual(self.get(service, "/api/v1/settings"), before, wrong)
            self.assertEqual(self.get(service, "/api/v1/ps")["models"], [])
        job = self.run_job(service)
        self.assertEqual((job["vae"]["active"], job["vae"]["source"]), ("override", "setting"))
        self.assertEqual(put({"budget": "2G", "samples_format": "png"}).json(),
                         {**before, "budget_bytes": 2 << 30, "samples_format": "png"})
        self.assertEqual(put({"vae": "None"}).status, 200)
        self.assertEqual(self.run_job(service)["vae"]["active"], "base")
        # What was set is there after a restart.
        self.assertEqual(service.stop(), 0)
        again = server.Server(home=service.home).start()
        self.addCleanup(again.kill)
        self.assertEqual(self.get(again, "/api/v1/settings")["model"], "other.safetensors")

    def test_a_jobs_own_vae_is_for_this_job(self):
        service = self.server("-m", "tiny")
        own = self.run_job(service, override_settings={"sd_vae": "sharp"})
        self.assertEqual((own["vae"]["source"], own["vae"]["active"]), ("job", "override"))
        vae = [one for one in self.get(service, "/api/v1/memory")["components"] if one["role"] == "vae"]
        self.assertNotIn("override", vae[0]["name"])
        self.assertEqual(self.run_job(service)["vae"]["active"], "base")

    def test_a_budget_may_be_changed(self):
        service = self.server("-m", "tiny", "--budget", "1G")
        self.assertEqual(self.get(service, "/api/v1/settings")["budget_bytes"], 1 << 30)
        answer = service.ask("PUT", "/api/v1/settings", {"budget": "100M"})
        self.assertEqual((answer.status, answer.json()["error"]["field"]), (422, "budget"), answer)
        self.assertEqual(self.get(service, "/api/v1/settings")["budget_bytes"], 1 << 30)
        self.assertEqual(service.ask("PUT", "/api/v1/settings", {"budget": 900 << 20}).json()["budget_bytes"], 900 << 20)
        self.run_job(service)

    def test_what_does_not_fit_is_named(self):
        """The VAE, or the budget where that was given too."""
        service = self.server("-m", "tiny", "--budget", "1G")
        answer = service.ask("PUT", "/api/v1/settings", {"budget": "100M"})
        least = int(re.search(r"itself takes (\d+) bytes", answer.json()["error"]["message"])[1])
        self.assertEqual(service.ask("PUT", "/api/v1/settings", {"budget": least + (64 << 10), "vae": "sharp"}).status, 200)
        self.assertEqual(service.post("/sdapi/v1/txt2img", SMALL).status, 507)
        for body, field in (({"vae": "soft"}, "vae"), ({"vae": "soft", "budget": least + (32 << 10)}, "budget")):
            answer = service.ask("PUT", "/api/v1/settings", body)
            self.assertEqual((answer.status, answer.json()["error"]["field"]), (422, field), answer)

    def test_a_size_that_is_left_open_has_the_limit_too(self):
        service = self.server("-m", "tiny", "--max-pixels", "16K")  # the model's own size is 512x512
        for body in ({}, {"width": 64}, {"height": 64}, {"width": 128, "height": 129}):
            answer = service.post("/sdapi/v1/txt2img", {"prompt": "a", "steps": 1, **body})
            self.assertEqual(answer.status, 422, (body, answer))
            self.assertIn("at most 16384 pixels", answer.json()["detail"], body)
        self.assertEqual(service.post("/sdapi/v1/txt2img", {"prompt": "a", "steps": 1, "width": 128, "height": 128}).status, 200)
        job = service.post("/api/v1/jobs", {"prompt": "a", "steps": 1})
        self.assertEqual(job.status, 202, job)
        found = lambda: self.get(service, "/api/v1/jobs/" + job.json()["id"])
        self.wait_for(lambda: found()["state"] == "failed", "the job to fail")
        self.assertIn("width 512 and height 512 are too large", str(found()["error"]))

    def test_lists_say_what_there_is(self):
        service = self.server("-m", "tiny")
        models = {one["name"]: one for one in self.get(service, "/api/v1/models")["models"]}
        self.assertEqual({name: one["family"] for name, one in models.items()}, {"tiny": "sd15", "other": "sd15", "xl": "sdxl"})
        for model in ("tiny", "xl"):  # neither is loaded
            vaes = self.get(service, f"/api/v1/vaes?model={model}")
            self.assertEqual({one["choice"] for one in vaes["choices"]}, {"automatic", "none", "sharp", "soft"})
            self.assertTrue(all(one["reason"] for one in vaes["choices"]), vaes)
        self.run_job(service)
        self.assertEqual(self.get(service, "/api/v1/vaes")["choices"][0]["choice"], "automatic")
        self.assertEqual(service.get("/api/v1/vaes?model=missing").status, 404)
        for name in ("loras", "embeddings", "styles"):
            self.assertEqual(self.get(service, f"/api/v1/{name}")[name], [])

    def test_an_idle_service_leaves(self):
        service = self.server("--exit-idle", "1s")
        self.assertEqual(service.wait(), 0)


if __name__ == "__main__":
    server.main()
