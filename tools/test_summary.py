#!/usr/bin/env python3
"""Add up what one or more `meson test` runs said.

    test_summary.py [--stage-failed WHAT]... [NAME=BUILD_FOLDER[:SUITE,SUITE...|:+SUITE]]...

NAME is what a run is called in the summary, BUILD_FOLDER the folder whose
meson-logs/testlog.json it wrote; the SUITEs were left out of it; +SUITE: it ran that suite
alone. A test that was to run, by
meson-info/intro-tests.json, and is not in the log (the run was cut off, or wrote no log) counts as
failed, so that silence never passes. A failed test's last lines are printed.

A test that ran may have cases that could not: each says so in a line "skip CASE: reason" (tests/check.h,
tests/cases.py). They count as skipped, and their reasons are listed with the cases that gave them.

The last line is `N passed, N failed` or, where tests or cases were skipped, `N passed, N failed, N skipped`.
The exit code is 1 where anything failed, or where nothing ran.
"""
import argparse
import collections
import json
import pathlib
import re
import sys

SKIPPED_CASE = re.compile(r"^skip (\S+): (.+)$", re.MULTILINE)
TAIL_LINES = 60
PASSED = {"OK", "EXPECTEDFAIL"}
SKIPPED = {"SKIP"}


def read_log(folder):
    """The records of a testlog.json, one JSON object a line; none where there is no such file."""
    path = pathlib.Path(folder) / "meson-logs" / "testlog.json"
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            print(f"test_summary: a line of {path} is not JSON (the run was cut off?)")
    return records


def expected_count(folder, selection):
    """How many tests the folder defines: all but those of the suites "A,B", or those of the suite "+A"."""
    path = pathlib.Path(folder) / "meson-info" / "intro-tests.json"
    tests = json.loads(path.read_text(encoding="utf-8"))
    # Meson names a suite PROJECT:SUITE.
    suites = [{suite.rpartition(":")[2] for suite in test["suite"]} for test in tests]
    if selection.startswith("+"):
        return sum(selection[1:] in names for names in suites)
    left_out = set(selection.split(","))
    return sum(not (names & left_out) for names in suites)


def tail(text):
    lines = (text or "").splitlines()
    cut = len(lines) - TAIL_LINES
    return ([f"... {cut} lines above"] if cut > 0 else []) + lines[-TAIL_LINES:]


def reason(record):
    """A test that skips itself says why in its last line."""
    lines = ((record.get("stdout") or "") + (record.get("stderr") or "")).split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no reason given")


def skipped_cases(record):
    """(case, reason) of each case of a test that did run to an end."""
    if record["result"] in SKIPPED:
        return []
    said = (record.get("stdout") or "") + "\n" + (record.get("stderr") or "")
    return [(f"{record['name']}/{case}", why) for case, why in SKIPPED_CASE.findall(said)]


def print_skipped_cases(run, cases):
    """A line for each reason, with the cases that gave it."""
    by_reason = collections.defaultdict(list)
    for case, why in cases:
        by_reason[why].append(case)
    for why, names in sorted(by_reason.items()):
        more = f" and {len(names) - 6} more" if len(names) > 6 else ""
        print(f"\n{run}: skipped {len(names)} {'case' if len(names) == 1 else 'cases'}: {why}\n  {', '.join(names[:6])}{more}")


def print_failure(run, record):
    print(f"\n---- {run}: {record['name']}: {record['result']}"
          f" (exit {record.get('returncode')}, {record.get('duration', 0):.1f} s)")
    for stream in ("stdout", "stderr"):
        for line in tail(record.get(stream)):
            print(f"  {line}")


def summarise_run(spec):
    """Returns (passed, failed, skipped) of one run and prints its failures and its line."""
    name, _, rest = spec.partition("=")
    folder, _, selection = rest.partition(":")
    expected = expected_count(folder, selection)
    records = read_log(folder)
    passed = sum(r["result"] in PASSED for r in records)
    skipped = sum(r["result"] in SKIPPED for r in records)
    failures = [r for r in records if r["result"] not in PASSED | SKIPPED]
    for record in failures:
        print_failure(name, record)
    for record in records:
        if record["result"] in SKIPPED:
            print(f"\n{name}: skipped {record['name']}: {reason(record)}")
    cases = [case for record in records for case in skipped_cases(record)]
    print_skipped_cases(name, cases)
    unseen = max(0, expected - len(records))
    if unseen:
        print(f"\n---- {name}: {unseen} of {expected} tests did not run to an end")
    seconds = sum(r.get("duration", 0) for r in records)
    print(f"\n{name}: {passed} passed, {len(failures) + unseen} failed, {skipped} skipped"
          f" and {len(cases)} cases of others ({seconds:.0f} s of tests)")
    for record in sorted(records, key=lambda r: -r.get("duration", 0))[:3]:
        if record.get("duration", 0) >= 10:
            print(f"  slow: {record['name']} {record['duration']:.0f} s")
    return passed, len(failures) + unseen, skipped + len(cases)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stage-failed", action="append", default=[], metavar="WHAT",
                        help="a step outside the tests that failed (a build): counts as one failure")
    parser.add_argument("runs", nargs="*", metavar="NAME=BUILD_FOLDER[:SUITE,...]")
    options = parser.parse_args()

    passed = failed = skipped = 0
    for spec in options.runs:
        run = summarise_run(spec)
        passed, failed, skipped = passed + run[0], failed + run[1], skipped + run[2]
    for stage in options.stage_failed:
        print(f"\nfailed outside the tests: {stage}")
        failed += 1
    print()
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
