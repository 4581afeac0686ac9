#!/usr/bin/env python3
"""Requests that schemathesis makes from /openapi.json, for every route of the own API: each answer has the status, type and
schema that the description promises, and no error is the server's."""
import json
import os
import pathlib
import subprocess
import sys

import server
import client_venv

client_venv.use("schemathesis", "schemathesis==4.32.5")

EXAMPLES = os.environ.get("DARKROOM_CASES", "10")  # for each route
SEED = os.environ.get("DARKROOM_SEED", "7")


class OwnApi(server.Case):
    def test_answers_are_as_they_are_described(self):
        program = [sys.executable, pathlib.Path(sys.executable).parent / "schemathesis"]
        # Small limits and defaults, so that jobs are short: what is over them is refused, as it is described.
        settings = self.folder / "config/darkroom/settings.json"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps({"size": "64x64", "steps": 1}), encoding="ascii")
        made = self.server("-m", "tiny.safetensors", "--max-pixels", "8K", "--max-steps", "2", "--max-batch", "1", "--queue", "8",
                           home=self.folder)
        job = made.post("/api/v1/jobs", {"prompt": "a", "width": 64, "height": 64, "steps": 1}).json()["id"]
        self.wait_for(lambda: made.get(f"/api/v1/jobs/{job}").json()["state"] == "done", "the job to end")
        # Streams of events have no end. What is right by its schema may be over a limit, and what is wrong by it may be one of the
        # looser types that clients send (null, numbers as text): whether a request is accepted is for other tests.
        done = subprocess.run([*program, "run", f"http://127.0.0.1:{made.port}/openapi.json", "--include-path-regex", "^/api/v1/",
                               "--exclude-path-regex", "events$", "--exclude-checks",
                               "positive_data_acceptance,negative_data_rejection",
                               "--phases", "coverage,fuzzing", "--seed", SEED, "--max-examples", EXAMPLES, "--workers", "1",
                               "--generation-database", "none", "--request-timeout", str(server.LIMIT_S), "--no-color"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self.folder, check=False)
        self.assertEqual(done.returncode, 0, done.stdout[-12000:] + done.stderr[-2000:])
        self.assertIn("Test cases:", done.stdout)
        self.assertEqual(made.get("/health").status, 200)
        self.assertEqual(made.stop(), 0)


if __name__ == "__main__":
    server.main()
