#!/usr/bin/env python3
"""Split man/darkroom.1, the whole manual, into darkroom(1) and a page for each command.

    man_pages.py DARKROOM MANUAL DIR COMMAND...

DARKROOM is the program: it says which options a command has. Writes DIR/darkroom.1 and a DIR/darkroom-COMMAND.1 for each
COMMAND; these have to be all commands of the program. A command's page has its synopsis, what it does, its options,
the sections that are about it alone (PAGES) and the examples that use it. darkroom.1 has the rest.
"""
import pathlib
import re
import subprocess
import sys

# Sections that belong to the page of one command.
PAGES = {"THE SHELL": "shell", "THE SERVICE": "serve", "PACKS": "packs", "SETTINGS": "settings"}


def sections(text):
    """[(title, lines)]; what comes before the first title is under ""."""
    parts = [("", [])]
    for line in text.splitlines():
        if line.startswith(".Sh "):
            parts.append((line[4:], []))
        else:
            parts[-1][1].append(line)
    return parts


def items(lines):
    """The items of the first list: [(heads, body)], where heads are the .It lines of one body."""
    found, depth = [], 0
    for line in lines:
        if line.startswith(".Bl "):
            depth += 1
            if depth == 1:
                continue
        elif line.startswith(".El"):
            depth -= 1
            if depth == 0:
                break
        if depth == 1 and line.startswith(".It "):
            if found and not found[-1][1]:
                found[-1][0].append(line)
            else:
                found.append(([line], []))
        elif depth:
            found[-1][1].append(line)
    return found


def subsections(lines):
    parts = [("", [])]
    for line in lines:
        if line.startswith(".Ss "):
            parts.append((line[4:], []))
        else:
            parts[-1][1].append(line)
    return parts


def option_names(heads):
    """The long options of .It lines: `.It Fl W , Fl -width Ar PIXELS` and `.It Fl W , -width` have --width."""
    return {"--" + name for head in heads for name in re.findall(r" -([a-z][a-z0-9-]*)", head)}


def described(lines, command):
    """What the list of commands says of one."""
    for heads, body in items(lines):
        if command in re.findall(r"[a-z]+", heads[0].removeprefix(".It Cm ")):
            return body
    raise SystemExit(f"man_pages: the manual does not describe {command}")


def synopsis(lines, command):
    blocks = re.split(r"(?m)^\.Nm$\n?", "\n".join(lines))
    found = [block.strip() for block in blocks if block.startswith(f".Cm {command}\n") or block.strip() == f".Cm {command}"]
    if not found:
        raise SystemExit(f"man_pages: the manual has no synopsis of {command}")
    return [".Nm darkroom\n" + block for block in found]


def examples(lines, command):
    """The examples that run the command, each with the sentence before it."""
    found, sentence = [], []
    for block in "\n".join(lines).split("\n.Pp\n"):
        if block.endswith(":"):
            sentence = [block]
            continue
        if re.search(rf"darkroom {command}\b", block):
            found += [*sentence, ".Pp", block, ".Pp"]
        sentence = []
    return found[:-1]


def refer(lines, here):
    """.Nm is the program on every page, and a section of another page is referred to by that page."""
    out = []
    for line in lines:
        line = re.sub(r"^\.Nm(?= |$)(?! darkroom)", ".Nm darkroom", line)
        for title, page in PAGES.items():
            if page != here:
                line = re.sub(rf"^\.Sx {title}", f".Xr darkroom-{page} 1", line)
        if here and not line.startswith(".Sx OPTIONS"):
            line = re.sub(r"^\.Sx ([A-Z ]+?)(?= [,.;)]|$)",
                          lambda match: match[0] if PAGES.get(match[1]) == here else ".Xr darkroom 1", line)
        out.append(line)
    return out


class Manual:
    def __init__(self, program, path):
        self.program = program
        self.parts = sections(pathlib.Path(path).read_text("utf-8"))
        self.by_title = dict(self.parts)
        self.date = next(line for line in self.by_title[""] if line.startswith(".Dd "))

    def ask(self, *words):
        return subprocess.run([self.program, *words], check=True, capture_output=True, text=True).stdout

    def commands(self):
        return self.ask("--complete").split()

    def options(self, command):
        """The lines of OPTIONS that are about the command's options."""
        has = set(self.ask("--complete", command).split())
        parts = subsections(self.by_title["OPTIONS"])
        out, told = [], set()
        for title, lines in parts[1:]:
            kept = [(heads, body) for heads, body in items(lines) if option_names(heads) & has]
            if not kept:
                continue
            out += [".Ss " + title, ".Bl -tag -width Ds"]
            for heads, body in kept:
                told |= option_names(heads)
                out += heads + body
            out.append(".El")
        missing = {name for name in has if name.startswith("--")} - told
        if missing:
            raise SystemExit(f"man_pages: {command} has options that the manual does not describe: {', '.join(sorted(missing))}")
        return out

    def page(self, command):
        summary = self.ask(command, "--help").splitlines()[2].rstrip(".")
        body = described(next(lines for title, lines in subsections(self.by_title["DESCRIPTION"]) if title == "Commands"),
                         command)
        lines = [self.date, f".Dt DARKROOM-{command.upper()} 1", ".Os", ".Sh NAME", f".Nm darkroom-{command}",
                 f".Nd {summary}", ".Sh SYNOPSIS", *synopsis(self.by_title["SYNOPSIS"], command), ".Sh DESCRIPTION", *body]
        options = self.options(command)
        if options:
            lines += [".Sh OPTIONS", *options]
        for title, page in PAGES.items():
            if page == command:
                lines += [".Sh " + title, *self.by_title[title]]
        shown = examples(self.by_title["EXAMPLES"], command)
        if shown:
            lines += [".Sh EXAMPLES", *shown]
        return refer(lines + [".Sh SEE ALSO", ".Xr darkroom 1"], command)

    def overview(self):
        lines = []
        for title, part in self.parts:
            if title in PAGES:
                continue
            if title == "OPTIONS":
                part = [*subsections(part)[0][1], "The page of a command describes its options:",
                        ".Xr darkroom-generate 1", "and so on."]
            lines += ([".Sh " + title] if title else []) + part
        pages = sorted(self.commands())
        lines += [".Sh SEE ALSO"] + [f".Xr darkroom-{name} 1{' ,' if name != pages[-1] else ''}" for name in pages]
        return refer(lines, None)


def main():
    if len(sys.argv) < 4 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if "--help" in sys.argv or "-h" in sys.argv else 2
    manual, directory, given = Manual(sys.argv[1], sys.argv[2]), pathlib.Path(sys.argv[3]), sys.argv[4:]
    if sorted(given) != sorted(manual.commands()):
        raise SystemExit(f"man_pages: the commands are {' '.join(manual.commands())}, not {' '.join(given)}: "
                         "name them in meson.build")
    for name, lines in [("darkroom", manual.overview())] + [("darkroom-" + name, manual.page(name)) for name in given]:
        (directory / f"{name}.1").write_text("\n".join(lines) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
