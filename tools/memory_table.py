#!/usr/bin/env python3
"""Print the `memory` answers of a `darkroom shell --json` session side by side.

    memory_table.py SESSION.jsonl [LABEL...]

SESSION.jsonl is what the shell wrote on stdout. Each `memory` answer is a column, under its LABEL; the last
column is what the last answer has more than the first. Bytes are exact. Ends with 1, and says why, where a command
of the session failed or where the ledger and the kernel did not agree on a region.
"""
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


def cell(numbers, name):
    """A component may be absent; a figure that is there and None is one that the kernel does not tell."""
    if name not in numbers:
        return ABSENT
    return UNKNOWN if numbers[name] is None else f"{numbers[name]:,}"


def change(parts, name):
    first, last = (part.get(name, 0) for part in (parts[0], parts[-1]))
    if first is None or last is None:
        return UNKNOWN
    difference = last - first
    return f"{difference:+,}" if difference else "0"


def table(memories, labels):
    """The rows of the table, each a list of cells; a row of one cell is a section's title."""
    rows = [["bytes"] + labels + ["last - first"]]
    columns = [sections(memory) for memory in memories]
    for index, (title, _) in enumerate(columns[0]):
        parts = [column[index][1] for column in columns]
        names = list(dict.fromkeys(name for part in parts for name in part))
        # A component that never holds a byte of some kind needs no row for it.
        names = [name for name in names if title != "components" or any(part.get(name) for part in parts)]
        if names:
            rows.append([title])
        for name in names:
            rows.append(["  " + name] + [cell(part, name) for part in parts] + [change(parts, name)])
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
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if len(sys.argv) > 1 else 2
    answers = read_answers(sys.argv[1])
    failures = [answer for answer in answers if not answer.get("ok")]
    for answer in failures:
        print(f"memory_table: {answer.get('command')} failed: {answer.get('error', {}).get('message')}", file=sys.stderr)
    memories = [answer for answer in answers if answer.get("ok") and answer.get("command") == "memory"]
    if not memories:
        print(f"memory_table: {sys.argv[1]} holds no answer to `memory`", file=sys.stderr)
        return 1
    labels = sys.argv[2:] + [f"memory {index + 1}" for index in range(len(sys.argv) - 2, len(memories))]
    print_aligned(table(memories, labels[:len(memories)]))
    agree = all(memory["regions_agree"] is not False for memory in memories)
    if not agree:
        print("memory_table: the ledger and the kernel do not agree", file=sys.stderr)
    return 0 if agree and not failures else 1


if __name__ == "__main__":
    sys.exit(main())
