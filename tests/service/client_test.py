#!/usr/bin/env python3
"""darkroom ps, stop and submit: the program as a client of a running service."""
import json
import socket
import subprocess
import threading

import server


class Client(server.Case):
    def run_client(self, made, *words, **more):
        host = made if isinstance(made, str) else f"unix:{made.unix}" if made.unix else f"127.0.0.1:{made.port}"
        return subprocess.run([server.DARKROOM, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self.folder,
                              env={**server.environment(self.folder), "DARKROOM_HOST": host, **more}, timeout=server.LIMIT_S, check=False)

    def answer(self, made, *words, **more):
        done = self.run_client(made, *words, "--json", **more)
        self.assertEqual(done.returncode, 0, done)
        return json.loads(done.stdout)

    def refused(self, made, *words, **more):
        """The exit code, and what is said."""
        done = self.run_client(made, *words, **more)
        self.assertNotEqual(done.returncode, 0, done)
        self.assertNotIn("secret", done.stderr)
        return done.returncode, done.stderr

    def wait_for_job(self, made, job):
        self.wait_for(lambda: made.get(f"/api/v1/jobs/{job}").json()["state"] not in ("queued", "running"), "the job to end")
        return made.get(f"/api/v1/jobs/{job}").json()

    def test_from_nothing_loaded_to_a_picture_and_back(self):
        made = self.server("-m", "tiny.safetensors")
        self.assertEqual(self.answer(made, "ps")["models"], [])
        self.assertIn("no model is loaded", self.run_client(made, "ps").stderr)
        given = self.answer(made, "submit", "-p", "a \"lighthouse\"", "-n", "fog", "-W", "64", "-H", "72", "--steps", "2", "--seed", "5",
                            "--batch", "2", "--cfg", "6", "--sampler", "euler", "-m", "tiny", "--vae", "none")
        self.assertEqual((given["command"], given["state"] in ("queued", "running", "done")), ("submit", True))
        job = self.wait_for_job(made, given["id"])
        self.assertEqual((job["state"], len(job["images"])), ("done", 2), job)
        request = job["request"]
        self.assertEqual([request[name] for name in ("prompt", "negative_prompt", "width", "height", "steps", "seed", "cfg_scale")],
                         ['a "lighthouse"', "fog", 64, 72, 2, 5, 6])
        model, = self.answer(made, "ps")["models"]
        self.assertTrue(model["model"].startswith("tiny.safetensors"), model)
        self.assertGreater(model["private_bytes"], 0)
        self.assertTrue(0 < model["expires_in_ms"] <= 300000, model)
        self.assertIn("tiny.safetensors", self.run_client(made, "ps").stdout)
        code, why = self.refused(made, "stop", "other")
        self.assertEqual(code, 3)
        self.assertIn('no model "other" loaded', why)
        self.assertEqual(len(self.answer(made, "ps")["models"]), 1)
        receipt = self.answer(made, "stop", "tiny")["receipt"]
        self.assertGreater(receipt["released_bytes"], 0)
        self.assertEqual(self.answer(made, "ps")["models"], [])
        self.assertEqual(self.run_client(made, "stop").returncode, 0)
        given = self.answer(made, "submit", "-p", "a", "-m", "tiny", "-W", "64", "-H", "64", "--steps", "1", "--variation-seed", "18446744073709551615",
                            "--variation-strength", "0.25", "--cfg-interval", "0.25,0.75", "--sampler", "euler-a", "--eta", "0.5", "--ensd", "31337",
                            "--seed-resize", "128x64", "--emphasis", "no-norm", "--pad-prompts")
        request = self.wait_for_job(made, given["id"])["request"]
        self.assertEqual([request[name] for name in ("subseed", "subseed_strength", "cfg_from", "cfg_to", "eta", "eta_noise_seed_delta",
                                                     "seed_resize_from_w", "seed_resize_from_h", "emphasis", "pad_prompts")],
                         ["18446744073709551615", 0.25, 0.25, 0.75, 0.5, 31337, 128, 64, "no-norm", True])
        said = self.run_client(made, "submit", "-p", "a", "-m", "tiny", "-W", "64", "-H", "64", "--steps", "1").stdout
        self.assertIn("state", said)
        self.assertNotIn("smallest budgets", said)  # that is the answer of `memory`

    def test_over_a_unix_socket(self):
        made = self.server("-m", "tiny.safetensors", listen=f"unix:{self.folder}/socket")
        self.assertEqual(self.answer(made, "ps")["models"], [])

    def test_names_of_the_service(self):
        made = self.server()
        for host in (f"localhost:{made.port}", f"http://127.0.0.1:{made.port}", f"HTTP://127.0.0.1:{made.port}/"):
            self.assertEqual(self.answer(host, "ps")["models"], [], host)
        for host in ("https://127.0.0.1", "/x", ":7860", "[::1", "a" * 300, "127.0.0.1:" + "7" * 40):
            self.assertEqual(self.refused(host, "ps")[0], 2, host)

    def test_credentials(self):
        users = self.folder / "users"
        users.write_text("ann:secret pass:word\nkey:secret-token\n", encoding="ascii")
        users.chmod(0o600)
        made = self.server("--auth-file", users)
        self.assertIn("asks for a user", self.refused(made, "ps")[1])
        self.refused(made, "ps", DARKROOM_AUTH="ann:wrong secret")
        self.refused(made, "ps", DARKROOM_AUTH="secret")
        for said in ("ann:secret pass:word", "key:secret-token"):
            self.assertEqual(self.answer(made, "ps", DARKROOM_AUTH=said)["models"], [])
        mine = self.folder / "mine"
        mine.write_text("# mine\n\nkey:secret-token\n", encoding="ascii")
        self.assertEqual(self.answer(made, "ps", DARKROOM_AUTH_FILE=str(mine))["models"], [])
        self.assertEqual(self.refused(made, "ps", DARKROOM_AUTH_FILE=str(self.folder / "none"))[0], 3)

    def test_what_the_service_refuses_is_said(self):
        made = self.server("-m", "tiny.safetensors")
        code, why = self.refused(made, "submit", "-p", "a", "-m", "nobody")
        self.assertEqual(code, 3, why)
        self.assertIn("the service says: ", why)
        self.assertIn("nobody", why)
        self.assertEqual(self.refused(made, "submit", "-p", "a", "-W", "100000", "-H", "100000")[0], 2)
        self.assertEqual(self.refused(made, "submit")[0], 2)
        self.assertEqual(self.refused(made, "submit", "-p", "a", "-o", "x.png")[0], 2)

    def test_no_service(self):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        code, why = self.refused(f"127.0.0.1:{port}", "ps")
        self.assertEqual(code, 9)
        self.assertIn("Connection refused; start one with darkroom serve", why)
        self.assertEqual(self.refused(f"unix:{self.folder}/none", "ps")[0], 9)
        self.assertEqual(self.refused(f"unix:{'a' * 200}", "ps")[0], 9)

    def test_others_that_answer(self):
        """What is no service is said to be none, whatever it sends."""
        for data in (b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n<html>",
                     b"HTTP/1.1 abc\r\n\r\n{}", b"HTTP/1.1 404 Not Found\r\n\r\n{\"error\":5}", b"\0" * 5000,
                     b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 3000):
            with socket.create_server(("127.0.0.1", 0)) as made:
                made.settimeout(server.LIMIT_S)

                def serve(made=made, data=data):
                    connection, _ = made.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(data)
                thread = threading.Thread(target=serve)
                thread.start()
                code, why = self.refused(f"127.0.0.1:{made.getsockname()[1]}", "ps")
                thread.join(server.LIMIT_S)
            self.assertEqual(code, 4, (data, why))


if __name__ == "__main__":
    server.main()
