#!/usr/bin/env python3
"""How long clients of the service wait for what they ask often: lists of many models, options, progress.

    bench/service_lists.py [BUILD [MODELS]]

MODELS (5000) links to a tiny checkpoint in 50 directories. Times are of whole requests on one kept connection.
"""
import pathlib
import statistics
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
build = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "build")
count = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
sys.argv[1:] = [build, str(ROOT)]
sys.path.append(str(ROOT / "tests/service"))
import server  # reads sys.argv


def timed(what, ask, times=1):
    spent = []
    for _ in range(times):
        begin = time.perf_counter()
        answer = ask()
        spent.append((time.perf_counter() - begin) * 1e3)
        assert answer.status == 200, answer
    spent.sort()
    more = f", 95 % below {spent[int(0.95 * times)]:.2f}" if times > 1 else ""
    print(f"{what}: {statistics.median(spent):.2f} ms{more}")
    return answer


def main():
    made = server.Server("-m", "tiny", "--max-steps", "1000")
    for i in range(count):
        folder = made.models / f"folder{i % 50}"
        folder.mkdir(exist_ok=True)
        (folder / f"model-{i:05d}.safetensors").symlink_to(server.checkpoint("--seed", "1"))
    begin = time.perf_counter()
    made.start()
    print(f"start, with {count} models to read: {time.perf_counter() - begin:.1f} s")
    connection = made.connection()

    def get(path):
        return lambda: made.get(path, connection=connection)
    timed("GET sd-models", get("/sdapi/v1/sd-models"), 10)
    timed("GET options", get("/sdapi/v1/options"), 200)
    timed("POST refresh-checkpoints", lambda: made.post("/sdapi/v1/refresh-checkpoints", connection=connection), 5)
    timed("GET progress, idle", get("/sdapi/v1/progress"), 500)
    job = threading.Thread(target=made.post, args=("/sdapi/v1/txt2img", {"steps": 1000, "width": 256, "height": 256}))
    job.start()
    while get("/sdapi/v1/progress")().json()["state"]["sampling_step"] == 0:
        time.sleep(0.05)
    for path in ("progress?skip_current_image=true", "progress", "options", "memory"):
        timed(f"GET {path}, while a job runs", get("/sdapi/v1/" + path), 100)
    made.post("/sdapi/v1/interrupt")
    job.join()
    used = get("/sdapi/v1/memory")().json()["ram"]["used"]
    print(f"resident: {used / 2**20:.1f} MiB")
    connection.close()
    made.stop()


try:
    main()
finally:
    server.shutil.rmtree(server.HOME, ignore_errors=True)
