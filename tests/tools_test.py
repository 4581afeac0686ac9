#!/usr/bin/env python3
"""Tests of the Python tools that the scripts rely on: test_summary.py, memory_table.py, memory_plot.py,
same_pictures.py, prompt_pictures.py, bench/peers_table.py and bench/scene.

    tools_test.py SOURCE_ROOT
"""
import importlib.machinery
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(sys.argv.pop(1)).resolve()
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tools")]


def run(tool, *arguments):
    return subprocess.run([sys.executable, str(ROOT / tool), *map(str, arguments)], capture_output=True, text=True,
                          check=False)


def record(name, result, **more):
    return {"name": name, "result": result, "returncode": 0, "duration": 0.1, "stdout": "", "stderr": "", **more}


class TestSummary(unittest.TestCase):
    def summarise(self, tests, records, *arguments, log=None, left_out=""):
        """tests: [(name, suite)] as defined; records: what the log says of those that ran."""
        with tempfile.TemporaryDirectory() as folder:
            build = pathlib.Path(folder)
            (build / "meson-info").mkdir()
            (build / "meson-logs").mkdir()
            (build / "meson-info/intro-tests.json").write_text(
                json.dumps([{"name": name, "suite": [f"darkroom:{suite}"]} for name, suite in tests]))
            if log is None:
                log = "".join(json.dumps(item) + "\n" for item in records)
            (build / "meson-logs/testlog.json").write_text(log)
            done = run("tools/test_summary.py", f"release={build}{left_out}", *arguments)
        return done.stdout, done.stdout.splitlines()[-1], done.returncode

    def test_all_passed(self):
        _, last, code = self.summarise([("a", "base"), ("b", "mem")], [record("a", "OK"), record("b", "OK")])
        self.assertEqual((last, code), ("2 passed, 0 failed", 0))

    def test_skip_is_said_with_its_reason(self):
        out, last, code = self.summarise([("a", "base"), ("b", "base")], [
            record("a", "OK"), record("b", "SKIP", stdout="one\nskipped: no vocabulary here\n")])
        self.assertEqual((last, code), ("1 passed, 0 failed, 1 skipped", 0))
        self.assertIn("skipped: no vocabulary here", out)

    def test_skipped_cases_count_and_say_why(self):
        said = "ok   first\nskip second: no bfloat16 here\nskip third: no bfloat16 here\n3 cases, 0 failed checks, 2 skipped\n"
        out, last, code = self.summarise([("a", "base"), ("b", "base")], [
            record("a", "OK", stderr=said), record("b", "OK", stdout="skip Case.test: needs root\nskipping is not a case\n")])
        self.assertEqual((last, code), ("2 passed, 0 failed, 3 skipped", 0))
        self.assertIn("skipped 2 cases: no bfloat16 here\n  a/second, a/third", out)
        self.assertIn("skipped 1 case: needs root\n  b/Case.test", out)

    def test_cases_of_a_skipped_test_count_once(self):
        _, last, code = self.summarise([("a", "base"), ("b", "base")], [
            record("a", "OK"), record("b", "SKIP", stdout="skip only: needs root\n")])
        self.assertEqual((last, code), ("1 passed, 0 failed, 1 skipped", 0))

    def test_failures_of_every_kind(self):
        kinds = ["FAIL", "TIMEOUT", "ERROR", "INTERRUPT", "UNEXPECTEDPASS"]
        out, last, code = self.summarise([(kind, "base") for kind in kinds], [
            record(kind, kind, stdout="\n".join(f"line {number}" for number in range(200))) for kind in kinds])
        self.assertEqual((last, code), ("0 passed, 5 failed", 1))
        self.assertIn("line 199", out)
        self.assertNotIn("line 100\n", out)

    def test_what_did_not_run_failed(self):
        _, last, code = self.summarise([("a", "base"), ("b", "base"), ("c", "base")], [record("a", "OK")])
        self.assertEqual((last, code), ("1 passed, 2 failed", 1))

    def test_suites_left_out_are_not_missed(self):
        _, last, code = self.summarise([("a", "base"), ("b", "structure")], [record("a", "OK")],
                                       left_out=":end-to-end,structure")
        self.assertEqual((last, code), ("1 passed, 0 failed", 0))

    def test_nothing_ran(self):
        _, last, code = self.summarise([], [])
        self.assertEqual((last, code), ("0 passed, 0 failed", 1))

    def test_a_failed_build_counts(self):
        _, last, code = self.summarise([("a", "base")], [record("a", "OK")], "--stage-failed", "the build")
        self.assertEqual((last, code), ("1 passed, 1 failed", 1))

    def test_a_log_cut_short(self):
        whole = json.dumps(record("a", "OK")) + "\n"
        _, last, code = self.summarise([("a", "base"), ("b", "base")], [], log=whole + whole[:20])
        self.assertEqual((last, code), ("1 passed, 1 failed", 1))


def memory(private, agree=True, **more):
    return {"ok": True, "command": "memory", "regions": [{}] * 3, "regions_agree": agree,
            "ledger": {"private_bytes": private, "mapped_bytes": 0}, "kernel": {"private_bytes": private + 1000},
            "residual": {"libc": {"heap_bytes": 1000}}, "components": [], **more}


class MemoryTable(unittest.TestCase):
    def show(self, answers, *labels):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as session:
            session.write("".join(json.dumps(answer) + "\n" for answer in answers))
            session.flush()
            return run("tools/memory_table.py", "--bytes", session.name, *labels)

    def test_columns_and_change(self):
        vae = {"name": "vae", "role": "override", "private_bytes": 234567, "mapped_bytes": 0}
        done = self.show([memory(1000000), memory(1234567, components=[vae]), memory(1000001)],
                         "before", "during", "after")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = {line.strip().split("  ")[0]: line.split() for line in done.stdout.splitlines()}
        self.assertEqual(rows["vae, override, private"][-4:], ["-", "234,567", "-", "0"])
        self.assertEqual(rows["libc heap"][-1], "0")
        self.assertIn("1,000,000  1,234,567  1,000,001            +1", done.stdout)
        widths = {len(line) for line in done.stdout.splitlines() if "," in line and line.startswith("  ")}
        self.assertEqual(len(widths), 1, done.stdout)

    def test_mebibytes_and_the_peak_of_all_commands(self):
        """Two commands between two answers: the first has the higher peak, which the ledger's own no longer has."""
        first, second = memory(1 << 20), memory(3 << 20)
        for answer in (first, second):
            answer["ledger"]["peak_private_bytes"] = 3 << 20
        log = [{"event": "opened", "private_bytes": 1 << 20}, {"event": "end", "command": "memory"},
               {"event": "opened", "private_bytes": 9 << 20}, {"event": "closed", "private_bytes": 3 << 20},
               {"event": "end", "command": "model"}, {"event": "end", "command": "memory"}]
        with tempfile.TemporaryDirectory() as folder:
            for name, lines in (("log", log), ("session", [first, second])):
                pathlib.Path(folder, name).write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
            done = run("tools/memory_table.py", "--log", folder + "/log", folder + "/session")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = {line.strip().split("  ")[0]: line.split()[-3:] for line in done.stdout.splitlines()}
        self.assertEqual(rows["private"], ["1.0", "3.0", "+2.0"])
        self.assertEqual(rows["peak private since the column before"], ["1.0", "9.0", "+8.0"])

    def test_disagreement_fails(self):
        done = self.show([memory(1), memory(2, agree=False)])
        self.assertEqual(done.returncode, 1)
        self.assertIn("NO", done.stdout)

    def test_what_the_kernel_does_not_tell_is_unknown(self):
        hidden = memory(1, agree=None, kernel={"private_bytes": None}, residual={"libc": {"heap_bytes": None}})
        done = self.show([memory(1), hidden])
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = {line.strip().split("  ")[0]: line.split() for line in done.stdout.splitlines()}
        self.assertEqual(rows["private"][-3:], ["1,001", "unknown", "unknown"])
        self.assertEqual(rows["libc heap"][-3:], ["1,000", "unknown", "unknown"])
        self.assertEqual(rows["ledger = kernel"][-2:], ["yes", "unknown"])

    def test_a_failed_command_is_named(self):
        done = self.show([{"ok": False, "command": "vae", "error": {"code": "not_found", "message": "no such VAE"}},
                          memory(1)])
        self.assertEqual(done.returncode, 1)
        self.assertIn("vae failed: no such VAE", done.stderr)

    def test_no_memory_answer(self):
        self.assertEqual(self.show([]).returncode, 1)


def change(event, ms, component, size, tag="weights", kind="private"):
    return {"event": event, "ms": ms, "component": component, "bytes": size, "tag": tag, "kind": kind}


class MemoryPlot(unittest.TestCase):
    log = [{"event": "begin", "ms": 1000, "command": "vae"},
           change("opened", 1100, "vae", 10), change("opened", 1200, "vae (override)", 20),
           change("opened", 1250, "vae", 7, tag="activations"), change("opened", 1260, "vae", 99, kind="mapped"),
           change("closed", 1300, "vae", 10), {"event": "end", "ms": 1500, "command": "vae", "ok": True}]

    def test_areas_are_the_regions(self):
        import memory_plot
        times, series, commands, left = memory_plot.replay(self.log)
        self.assertEqual(commands, [[0.0, 0.5, "vae"]])
        self.assertEqual(times[-1], 0.5)
        self.assertEqual(series["vae"], [0, 10, 10, 10, 10, 10, 10, 0, 0])
        self.assertEqual(series["vae (override)"], [0, 0, 0, 20, 20, 20, 20, 20, 20])
        self.assertEqual(series[None], [0, 0, 0, 0, 0, 7, 7, 7, 7])
        self.assertEqual(left, 27)

    def test_the_plot_names_what_was_there(self):
        import memory_plot
        times, series, _, _ = memory_plot.replay(self.log)
        lines, plot = memory_plot.script(times, series, [(0.3, 30 << 20, 2 << 20)], ["it's here"])
        self.assertIn("VAE chosen explicitly", plot)
        self.assertNotIn("UNet", plot)
        self.assertTrue(any("'it''s here'" in line for line in lines))
        self.assertTrue(any("program, heap and stacks, 2.0 to 2.0 MiB" in line for line in lines))

    def test_a_dot_is_the_kernels_figure_for_what_the_areas_show(self):
        import memory_plot
        own = {"image_bytes": 5, "heap_bytes": 6, "stack_bytes": 7, "jit_bytes": 0, "shmem_bytes": 0}
        answer = {"ok": True, "command": "memory", "kernel": {"private_bytes": 118}, "residual": own}
        self.assertEqual(memory_plot.kernel_points([[0, 2, "memory"]], [answer]), [(2, 100, 18)])
        answer["kernel"]["private_bytes"] = None
        self.assertEqual(memory_plot.kernel_points([[0, 2, "memory"]], [answer]), [(2, None, 0)])

    def test_a_log_without_regions(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as log:
            log.write(json.dumps(self.log[0]) + "\n")
            log.flush()
            done = run("tools/memory_plot.py", log.name, log.name, log.name + ".none")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no region", done.stderr)


# Stands for `darkroom` and for random_checkpoint: writes and answers always the same.
PROGRAM = """#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in
        -o) printf 'PICTURE' >"$2" ;;
        --memory-log) echo '{"event":"opened","component":"vae","tag":"weights","kind":"private","bytes":8192}' >"$2" ;;
    esac
    shift
done
echo '{"ok":true,"command":"generate","ms":1,"peak_private_bytes":PEAK,"a":1,"b":2,"c":3}'
"""


class SamePictures(unittest.TestCase):
    """What must be reported: the negative controls of same_pictures.py."""

    def difference(self, change, more=None, **settings):
        """What compare() says of two outcomes of which one is changed."""
        import same_pictures
        answer = {"ok": True, "command": "memory", "ms": 5, "ledger": {"private_bytes": 10, "peak_private_bytes": 20},
                  "regions": [{"start": 1, "tag": "weights", "component": "vae", "kind": "private", "bytes": 3},
                              {"start": 2, "tag": "weights", "component": "unet", "kind": "private", "bytes": 4}],
                  "reason": "as before", "budget": {"bytes": 7}, **(more or {})}
        outcome = {"code": 0, "answers": [answer], "files": {"a.png": b"0123456789"}, "errors": [],
                   "opened": [["vae", "weights", "private", 3]]}
        changed = json.loads(json.dumps({**outcome, "files": {}}))
        changed["files"] = dict(outcome["files"])
        change(changed)
        job = same_pictures.Job("job", "memory", **settings)
        return same_pictures.compare(job, same_pictures.Outcome(**outcome), same_pictures.Outcome(**changed))

    def check_reported(self, change, part, **more):
        differences = self.difference(change, **more).differences
        self.assertEqual(len(differences), 1, differences)
        self.assertIn(part, differences[0])

    def test_the_same(self):
        result = self.difference(lambda changed: None)
        self.assertEqual((result.differences, result.lost), ([], 0))
        self.assertGreater(result.figures, 10)

    def test_one_byte(self):
        self.check_reported(lambda changed: changed["files"].update({"a.png": b"0123x56789"}), "a.png: differs from byte 4")
        self.check_reported(lambda changed: changed["files"].update({"a.png": b"012345678"}), "a.png: differs from byte 9")
        self.check_reported(lambda changed: changed["files"].clear(), "a.png: only written before")

    def test_figures(self):
        def region(changed):
            changed["answers"][0]["regions"][1]["bytes"] = 5

        def state(changed):
            changed["answers"][0]["state"] = "released"

        self.check_reported(lambda changed: changed["answers"][0]["ledger"].update(private_bytes=11),
                            "answer 1 (memory).ledger.private_bytes: 10 before, 11 after")
        self.check_reported(region, "regions[0].bytes: 4 before, 5 after")
        self.check_reported(state, "state: 'resident' before", more={"state": "resident"})
        self.check_reported(lambda changed: changed.update(code=1), "exit code")
        self.check_reported(lambda changed: changed["opened"].append(["vae", "scratch", "private", 3]), "only after")

    def test_what_never_counts(self):
        def change(changed):
            answer = changed["answers"][0]
            answer.update(ms=9, reason="in other words", new_field=1)
            answer["regions"].reverse()
            for region in answer["regions"]:
                region["start"] += 4096

        self.assertEqual(self.difference(change).differences, [])

    def test_the_default_budget_does_not_count(self):
        def change(changed):
            changed["answers"][0]["budget"]["bytes"] = 8

        self.assertEqual(self.difference(change, budget=None).differences, [])
        self.check_reported(change, "budget.bytes")

    def test_too_little_to_compare(self):
        def change(changed):
            del changed["answers"][0]["regions"], changed["answers"][0]["ledger"]

        self.check_reported(change, "figures could be compared")

    def test_a_job_that_proves_nothing(self):
        self.check_reported(lambda changed: changed["errors"].append("generate: no such option"), "no such option")

    def run_with(self, **changes):
        """The tool with two builds whose programs are PROGRAM; that after differs in the changes."""
        with tempfile.TemporaryDirectory() as folder:
            for side, values in (("before", {}), ("after", changes)):
                tools = pathlib.Path(folder) / side / "tools"
                tools.mkdir(parents=True)
                text = PROGRAM
                for name, value in {"PICTURE": "a picture", "PEAK": "77", **values}.items():
                    text = text.replace(name, value)
                (tools / "random_checkpoint").write_text(text)
                (tools.parent / "darkroom").write_text(text)
                for program in (tools / "random_checkpoint", tools.parent / "darkroom"):
                    program.chmod(0o755)
            done = run("tools/same_pictures.py", f"{folder}/before", f"{folder}/after", "--jobs", "sd15-plain", "vae-path")
        return done.returncode, done.stdout + done.stderr

    def test_whole(self):
        code, said = self.run_with()
        self.assertEqual(code, 0, said)
        self.assertIn("2 jobs, 2 files", said)
        code, said = self.run_with(PICTURE="a pictury")
        self.assertEqual(code, 1, said)
        self.assertIn("DIFFERS  vae-path", said)
        self.assertIn("a.png: differs from byte 8 on", said)
        code, said = self.run_with(PEAK="78")
        self.assertEqual(code, 1, said)
        self.assertIn("peak_private_bytes: 77 before, 78 after", said)


class ManPages(unittest.TestCase):
    """The manual split by a program that has two commands."""

    PROGRAM = """#!/bin/sh
case $1:$2 in
    --complete:) echo draw; echo packs ;;
    --complete:draw) echo --width; echo -W ;;
    --complete:packs) echo --yes; echo "$MORE" ;;
    *) echo usage; echo; echo "summary of $1." ;;
esac
"""
    MANUAL = """.Dd today
.Sh SYNOPSIS
.Nm
.Cm draw
.Op Fl W Ar N
.Nm
.Cm packs
.Sh DESCRIPTION
.Nm
draws.
.Ss Commands
.Bl -tag
.It Cm draw
Draw with
.Nm .
.It Cm packs
See
.Sx PACKS .
.El
.Sh OPTIONS
Intro.
.Ss Sizes
.Bl -tag
.It Fl W , Fl -width Ar N
How wide.
.It Fl y , -yes
Agree.
.El
.Sh PACKS
What packs are.
.Sh EXAMPLES
Draw:
.Pp
.Dl darkroom draw -W 8
.Pp
List:
.Pp
.Dl darkroom packs
"""

    def split(self, manual, more="", commands=("draw", "packs")):
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, "program")
            program.write_text(self.PROGRAM.replace("$MORE", more), "utf-8")
            program.chmod(0o755)
            pathlib.Path(folder, "manual").write_text(manual, "utf-8")
            done = run("tools/man_pages.py", str(program), folder + "/manual", folder, *commands)
            return done, {path.name: path.read_text("utf-8") for path in pathlib.Path(folder).glob("*.1")}

    def test_each_command_has_what_is_its_own(self):
        done, pages = self.split(self.MANUAL)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(pages), ["darkroom-draw.1", "darkroom-packs.1", "darkroom.1"])
        draw, packs, whole = pages["darkroom-draw.1"], pages["darkroom-packs.1"], pages["darkroom.1"]
        self.assertIn(".Nd summary of draw\n.Sh SYNOPSIS\n.Nm darkroom\n.Cm draw\n.Op Fl W Ar N\n.Sh", draw)
        self.assertIn("Draw with\n.Nm darkroom .\n", draw)
        self.assertIn("How wide.", draw)
        self.assertIn(".Dl darkroom draw -W 8", draw)
        for other in ("Agree.", "What packs are.", ".Dl darkroom packs"):
            self.assertNotIn(other, draw)
            self.assertIn(other, packs)
        for own in ("How wide.", "What packs are."):
            self.assertNotIn(own, whole)
        self.assertIn("See\n.Xr darkroom-packs 1 .\n", whole)

    def test_what_the_manual_lacks_is_an_error(self):
        for message, arguments in (("packs has options that the manual does not describe: --more", {"more": "--more"}),
                                   ("the commands are draw packs, not draw", {"commands": ("draw",)})):
            done, _ = self.split(self.MANUAL, **arguments)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(message, done.stderr)
        done, _ = self.split(self.MANUAL.replace(".It Cm draw\n", ".It Cm paint\n"))
        self.assertIn("does not describe draw", done.stderr)


class PeersTable(unittest.TestCase):
    def test_ratio_is_taken_within_a_round(self):
        import peers_table

        def engine(unet_ms, **more):
            return {"version": "1", "unet_ms": unet_ms, "vae_ms": [1], "private_peak_bytes": 1, "load_peak_bytes": 1,
                    "resident_peak_bytes": 1, **more}

        # The machine is twice as slow in the second round, and a repetition of the third was disturbed.
        rounds = [{"a": engine([100]), "b": engine([150])}, {"a": engine([200]), "b": engine([300])},
                  {"a": engine([100, 900], switch_ms=[9, 7]), "b": engine([700, 160], compile_s=60.0)}]
        rows = peers_table.summarise(rounds, ["a", "b"], "a")
        self.assertEqual(rows[1]["unet_ratio"], 1.5)
        self.assertEqual(rows[1]["unet_ms"], 150)
        self.assertEqual([(row["switch_ms"], row["compile_s"]) for row in rows], [(7, None), (None, 60.0)])

    def test_memory_of_a_process_of_ours(self):
        import peers_table
        import os
        private, resident = peers_table.memory_bytes(os.getpid())
        self.assertGreater(private, 1 << 20)
        self.assertGreater(resident, private)
        self.assertEqual(peers_table.memory_bytes(0x7FFFFFF0), (0, 0))


class Scene(unittest.TestCase):
    """bench/scene's judge: a scene that holds, and each way in which one does not."""

    @classmethod
    def setUpClass(cls):
        loader = importlib.machinery.SourceFileLoader("scene", str(ROOT / "bench/scene"))
        cls.scene = importlib.util.module_from_spec(importlib.util.spec_from_loader("scene", loader))
        loader.exec_module(cls.scene)

    def rows(self):
        def row(start, size):
            region = {"start": start, "bytes": size, "tag": "weights", "component": "vae"}
            return {"agree": True, "regions": [region], "ledger": size, "kernel": size + 5000, "residual": 5000,
                    "image": 1000, "heap": 1000, "stack": 1000, "jit": 1000, "other": 1000, "rss": size + 9000,
                    "anonymous": size + 5000, "rest": [[0x1000, 0x2000, 4096]], "picture": b"picture"}

        return {"started": row(0x10000, 0), "SDXL": row(0x100000, 0x8000), "SD1.5": row(0x200000, 0x4000),
                "alone": row(0x300000, 0x4000)}

    def failures(self, rows):
        return [promise for promise, holds, _ in self.scene.judge(rows) if not holds]

    def test_a_scene_that_holds(self):
        self.assertEqual(self.failures(self.rows()), [])

    def test_every_way_in_which_it_does_not(self):
        changes = {
            "the ledger's regions": {"agree": False},
            "SDXL's and the VAE's": {"rest": [[0x104000, 0x106000, 0x2000]]},
            "the regions hold": {"ledger": 0x5000},
            "private bytes": {"kernel": 0x4000 + 5000 + (1 << 20) + 1},
            "resident anonymous": {"anonymous": 0x4000 + 5000 + (1 << 20) + 1},
            "residual, heap": {"heap": 1001 + (1 << 20)},
            "the SD1.5 picture": {"picture": b"another"},
        }
        for promise, change in changes.items():
            rows = self.rows()
            rows["SD1.5"].update(change)
            self.assertEqual([failure[:len(promise)] for failure in self.failures(rows)], [promise])

    def test_a_region_that_is_still_held(self):
        rows = self.rows()
        rows["SD1.5"]["regions"] += rows["SDXL"]["regions"]
        self.assertEqual(len(self.failures(rows)), 1)


class PromptPictures(unittest.TestCase):
    """The pictures of docs/PROMPTS.md are those that the tool makes: all there, shown, and small. What is on them, people look at."""

    PICTURE, GAP, MOST_BYTES = 128, 4, 400_000

    def test_each_figure_is_there_and_shown(self):
        figures = json.loads(run("tools/prompt_pictures.py", "--json").stdout)
        page, folder, total = (ROOT / "docs/PROMPTS.md").read_text(encoding="utf-8"), ROOT / "docs/prompts", 0
        self.assertEqual({path.stem for path in folder.iterdir()}, set(figures))
        for name, several in figures.items():
            head = (folder / f"{name}.png").read_bytes()
            count = sum(int(words[words.index("--batch") + 1]) if "--batch" in words else 1 for words in several)
            width = count * (self.PICTURE + self.GAP) - self.GAP
            self.assertEqual((int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")), (width, self.PICTURE), name)
            self.assertIn(f'<img src="prompts/{name}.png" width="{width}"', page)
            total += len(head)
        self.assertLess(total, self.MOST_BYTES)


if __name__ == "__main__":
    unittest.main()
