#!/usr/bin/env python3
"""Print the `memory` answers of a `darkroom shell --json` session side by side.

    memory_table.py [--bytes] [--log MEMORY_LOG] SESSION.jsonl [LABEL...]

SESSION.jsonl is what the shell wrote on stdout. Each `memory` answer is a column, under its LABEL; the last
column is the last answer less the first. Figures are in MiB, and rows that are 0.0 throughout are left out; with
--bytes they are exact bytes, in every row.

The ledger's peak is that of the last command alone. With MEMORY_LOG, which --memory-log wrote, it is the
peak since the column before, over all commands.

Ends with 1, and says why, where a command of the session failed or where the ledger and the kernel did not agree on a
region.
"""
import argparse
import json
import sys

ABSENT, UNKNOWN = "-", "unknown"
AGREEMENT = {True: "yes", False: "NO", None: UNKNOWN}


def read_answers(path):
    with open(path, encoding="utf-8") as session:
        return [json.loads(line) for line in session if line.strip()]


def flatten(record, prefix=""):
    """The numbers of nested objects, as {"outer inner": number}, None where the kernel does not tell one; everything
    else left out."""
    numbers = {}
    for key, value in record.items():
        name = (prefix + " " + key).strip()
        if isinstance(value, dict):
            numbers |= flatten(value, name)
        elif value is None or isinstance(value, (int, float)) and not isinstance(value, bool):
            numbers[name] = value
    return numbers


def plain(name):
    """private_bytes -> private: the table says once that all are bytes."""
    return name.removesuffix("_bytes").replace("_", " ")


def component_rows(memory):
    rows = {}
    for component in memory.get("components", []):
        # A role that the name already says ("vae (override)", of role vae) is not said twice.
        name, role = component["name"], component.get("role") or ""
        name += "" if role in name else f", {role}"
        for kind in ("private", "mapped"):
            label = f"{name}, {kind}"
            rows[label] = rows.get(label, 0) + component.get(f"{kind}_bytes", 0)
    return rows


def sections(memory):
    """[(title, {row: bytes})] of one answer."""
    return [("components", component_rows(memory))] + [
        (title, {plain(name): number for name, number in flatten(memory.get(title, {})).items()})
        for title in ("ledger", "kernel", "residual")]


def peaks_between(log):
    """The highest private bytes of the ledger up to each `memory` command, from the one before."""
    peaks, highest, now = [], 0, 0
    for event in log:
        now = event.get("private_bytes", now)
        highest = max(highest, now)
        if event["event"] == "end" and event["command"] == "memory":
            peaks.append(highest)
            highest = now
    return peaks


class Unit:
    """How a number of bytes is written."""

    def __init__(self, exact):
        self.exact = exact
        self.name = "bytes" if exact else "MiB"

    def text(self, number):
        return f"{number:,}" if self.exact else f"{number / 2**20:,.1f}"

    def is_zero(self, number):
        return self.text(abs(number)) in ("0", "0.0")

    def cell(self, numbers, name):
        """A component may be absent; a figure that is there and None is one that the kernel does not tell."""
        if name not in numbers:
            return ABSENT
        return UNKNOWN if numbers[name] is None else self.text(numbers[name])

    def change(self, parts, name):
        first, last = (part.get(name, 0) for part in (parts[0], parts[-1]))
        if first is None or last is None:
            return UNKNOWN
        difference = last - first
        return "0" if self.is_zero(difference) else ("+" if difference > 0 else "") + self.text(difference)

    def is_shown(self, title, parts, name):
        """A component that never holds a byte of some kind needs no row for it, nor anything that rounds to nothing."""
        if self.exact and title != "components":
            return True
        return any(part.get(name, 0) is None or not self.is_zero(part.get(name, 0)) for part in parts)


TITLES = {"residual": "residual: private memory outside the ledger: the program, its heap and stacks"}


def table(memories, labels, unit, peaks=None):
    """The rows of the table, each a list of cells; a row of one cell is a section's title."""
    rows = [[unit.name] + labels + ["last - first"]]
    columns = [sections(memory) for memory in memories]
    for column, peak in zip(columns, peaks or []):
        ledger = dict(column)["ledger"]
        del ledger["peak private"]
        ledger["peak private since the column before"] = peak
    for index, (title, _) in enumerate(columns[0]):
        parts = [column[index][1] for column in columns]
        names = list(dict.fromkeys(name for part in parts for name in part))
        names = [name for name in names if unit.is_shown(title, parts, name)]
        if names:
            rows.append([TITLES.get(title, title)])
        for name in names:
            rows.append(["  " + name] + [unit.cell(part, name) for part in parts] + [unit.change(parts, name)])
    rows.append(["regions"] + [str(len(memory.get("regions", []))) for memory in memories] + [""])
    rows.append(["ledger = kernel"] + [AGREEMENT[memory["regions_agree"]] for memory in memories] + [""])
    return rows


def print_aligned(rows):
    full = [row for row in rows if len(row) > 1]
    widths = [max(len(row[column]) for row in full) for column in range(len(full[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [text.rjust(width) for text, width in zip(row[1:], widths[1:])]
        print("  ".join(cells).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", action="store_true", help="exact bytes")
    parser.add_argument("--log", help="what --memory-log wrote")
    parser.add_argument("session")
    parser.add_argument("labels", nargs="*")
    options = parser.parse_args()
    answers = read_answers(options.session)
    failures = [answer for answer in answers if not answer.get("ok")]
    for answer in failures:
        print(f"memory_table: {answer.get('command')} failed: {answer.get('error', {}).get('message')}", file=sys.stderr)
    memories = [answer for answer in answers if answer.get("ok") and answer.get("command") == "memory"]
    if not memories:
        print(f"memory_table: {options.session} holds no answer to `memory`", file=sys.stderr)
        return 1
    labels = options.labels + [f"memory {index + 1}" for index in range(len(options.labels), len(memories))]
    peaks = peaks_between(read_answers(options.log)) if options.log else None
    print_aligned(table(memories, labels[:len(memories)], Unit(options.bytes), peaks))
    agree = all(memory["regions_agree"] is not False for memory in memories)
    if not agree:
        print("memory_table: the ledger and the kernel do not agree", file=sys.stderr)
    return 0 if agree and not failures else 1


if __name__ == "__main__":
    sys.exit(main())
