"""The shell in a pseudo-terminal, and what a person sees of it: a screen that obeys the sequences that an xterm obeys."""
import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from harness import DARKROOM, ENVIRONMENT

LIMIT_S = float(os.environ.get("DARKROOM_TERMINAL_S", "120"))  # of one wait
CSI = re.compile(r"\x1b\[([?>=]?)([\d;]*)([@-~])")


class Screen:
    """A terminal of rows and columns. A sequence that it does not know is an error: it would be seen."""

    def __init__(self, rows=24, columns=80):
        self.rows, self.columns = rows, columns
        self.lines = [[" "] * columns for _ in range(rows)]
        self.past = []  # lines that have left at the top
        self.y = self.x = 0
        self.inserts = False
        self.raw = self.rest = ""

    def text(self):
        return "\n".join([*self.past, *("".join(line).rstrip() for line in self.lines)]).rstrip("\n")

    def line(self):
        return "".join(self.lines[self.y]).rstrip()

    def feed(self, text):
        self.raw += text
        text, self.rest = self.rest + text, ""
        at = 0
        while at < len(text):
            match = CSI.match(text, at)
            if match:
                self.control(match[1], [int(n or 0) for n in match[2].split(";")], match[3])
                at = match.end()
            elif text[at] == "\x1b":
                if len(text) - at < 12:  # a sequence that is not complete
                    self.rest = text[at:]
                    return
                raise AssertionError(f"a sequence that no xterm knows: {text[at:at + 12]!r}")
            else:
                self.put(text[at])
                at += 1

    def put(self, c):
        if c == "\r":
            self.x = 0
        elif c == "\n":
            self.down()
        elif c == "\b":
            self.x = max(0, min(self.x, self.columns - 1) - 1)
        elif c == "\t":
            self.x = min(self.columns - 1, self.x // 8 * 8 + 8)
        elif c >= " " and c != "\x7f":
            if self.x == self.columns:  # it wraps when the next character comes
                self.x = 0
                self.down()
            if self.inserts:
                self.lines[self.y].insert(self.x, c)
                self.lines[self.y].pop()
            else:
                self.lines[self.y][self.x] = c
            self.x += 1
        elif c != "\a":
            raise AssertionError(f"a character that nobody can see: {c!r}")

    def down(self):
        self.y += 1
        if self.y == self.rows:
            self.past.append("".join(self.lines.pop(0)).rstrip())
            self.lines.append([" "] * self.columns)
            self.y -= 1

    def control(self, private, numbers, final):
        n, line = max(1, numbers[0]), self.lines[self.y]
        self.x = min(self.x, self.columns - 1) if final not in "hlm" else self.x
        if final == "K":
            line[self.x:] = [" "] * (self.columns - self.x)
        elif final == "J":
            line[self.x:] = [" "] * (self.columns - self.x)
            for below in range(self.y + 1, self.rows):
                self.lines[below] = [" "] * self.columns
        elif final in "AB":
            self.y = max(0, min(self.rows - 1, self.y + (n if final == "B" else -n)))
        elif final in "CD":
            self.x = max(0, min(self.columns - 1, self.x + (n if final == "C" else -n)))
        elif final == "G":
            self.x = min(self.columns, n) - 1
        elif final == "P":
            line[self.x:] = line[self.x + n:] + [" "] * min(n, self.columns - self.x)
        elif final == "@":
            line[self.x:] = ([" "] * n + line[self.x:])[:self.columns - self.x]
        elif final in "hl" and not private and numbers == [4]:
            self.inserts = final == "h"
        elif not (final == "m" or (final in "hl" and private)):
            raise AssertionError(f"a sequence that this screen does not know: {numbers} {final}")


class Terminal:
    """A person at `darkroom shell`: types, looks, and waits."""

    def __init__(self, folder, *arguments, rows=24, columns=80, environment=None):
        self.screen = Screen(rows, columns)
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.master, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen([DARKROOM, "shell", "--threads", "1", *map(str, arguments)], stdin=terminal,
                                        stdout=terminal, stderr=terminal, cwd=folder,
                                        env={**ENVIRONMENT, "TERM": "xterm", **(environment or {})},
                                        preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)))
        os.close(terminal)

    def type(self, keys):
        data = keys.encode() if isinstance(keys, str) else keys
        while data:  # a terminal holds 4 KiB of what nobody reads yet
            _, ready, _ = select.select([], [self.master], [], 0.1)
            if ready:
                data = data[os.write(self.master, data[:256]):]
            self.look(0.0)

    def look(self, seconds=0.05):
        """Takes in what came; false where the program is gone."""
        while select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 1 << 16)
            except OSError:  # the last user of the terminal has left
                return False
            if not data:
                return False
            self.screen.feed(self.decoder.decode(data))
            seconds = 0.0
        return True

    def wait_for(self, condition):
        """condition: a function of the screen, or text that is to be seen."""
        end = time.monotonic() + LIMIT_S
        check = condition if callable(condition) else lambda screen: condition in screen.text()
        while not check(self.screen):
            assert self.look() or check(self.screen), f"the program has ended:\n{self.screen.text()}"
            assert time.monotonic() < end, f"not seen: {condition}\n{self.screen.text()}"

    def prompt(self, line="darkroom>"):
        """Waits for a line that can be edited."""
        self.wait_for(lambda screen: screen.line() == line)

    def run(self, command):
        """Types a command; waits for the next prompt; returns what is new above it."""
        before = len(self.screen.text())
        self.type(command + "\r")
        self.wait_for(lambda screen: len(screen.text()) > before + len(command) and screen.line() == "darkroom>")
        return self.screen.text()[before:]

    def wait(self):
        """The exit code."""
        while self.look():
            if self.process.poll() is not None:
                self.look(0.0)
                break
        return self.process.wait(LIMIT_S)

    def resize(self, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", self.screen.rows, columns, 0, 0))
        self.screen.lines = [(line + [" "] * columns)[:columns] for line in self.screen.lines]
        self.screen.columns = columns

    def close(self):
        if self.master < 0:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.master)
        self.master = -1
