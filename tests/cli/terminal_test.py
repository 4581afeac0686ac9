#!/usr/bin/env python3
"""The shell as a person has it, in a pseudo-terminal: editing, history, completion, Ctrl-C and Ctrl-D, odd terminals."""
import os
import signal
import termios

import harness
from harness import HOME, LIMIT_S, Case
from terminal import Terminal

UP, DOWN, RIGHT, LEFT, DELETE = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[3~"
CTRL_A, CTRL_C, CTRL_D, CTRL_E, CTRL_K, CTRL_R, CTRL_U, CTRL_W = "\x01\x03\x04\x05\x0b\x12\x15\x17"
GENERATE = "generate -p x -W 64 -H 64 --steps 2 --seed 7 -o a.png"
LONG = "generate -p x -W 64 -H 64 --steps 900 --seed 1 -o long.png"


class TerminalCase(Case):
    def terminal(self, *arguments, **more):
        state = self.folder / "state"
        environment = {"XDG_STATE_HOME": str(state), **more.pop("environment", {})}
        terminal = Terminal(self.folder, *arguments, environment=environment, **more)
        self.addCleanup(terminal.close)
        terminal.prompt()
        return terminal

    def history(self):
        path = self.folder / "state/darkroom/history"
        return path.read_text().splitlines() if path.exists() else []

    def begin_long(self, terminal):
        terminal.type(LONG + "\r")
        terminal.wait_for(lambda screen: "/900" in screen.text())


class Editing(TerminalCase):
    def test_arrow_keys(self):
        terminal = self.terminal()
        self.assertRegex(terminal.screen.text(), r"^darkroom \S+: help lists the commands, Tab completes, exit ends the "
                                                 r"shell\ndarkroom>$")
        terminal.run("budget 500M")
        terminal.run("budget")
        terminal.type(UP)
        terminal.prompt("darkroom> budget")
        terminal.type(UP)
        terminal.prompt("darkroom> budget 500M")
        terminal.type(DOWN)
        terminal.prompt("darkroom> budget")
        terminal.type(DOWN)
        terminal.prompt()
        terminal.type(UP + UP + LEFT * 4 + "1" + CTRL_A + " " + CTRL_E + "\r")
        terminal.wait_for("1500 MiB")
        self.assertNotIn("^[", terminal.screen.raw)
        self.assertNotIn("[A", terminal.screen.text())

    def test_keys(self):
        terminal = self.terminal()
        for keys, line in [("memroy" + LEFT * 3 + DELETE + CTRL_E + LEFT + "r", "memory"), ("budget 2 3" + CTRL_W, "budget 2"),
                           ("abc" + LEFT + CTRL_K, "ab"), ("\x7f", ""), ("abc\x1b[Hx", "xabc"), ("abc\x1b[1~x\x1b[Fy", "xabcy")]:
            terminal.type(keys)
            terminal.prompt(f"darkroom> {line}".rstrip())
            terminal.type(CTRL_E + CTRL_U)
            terminal.prompt()

    def test_history(self):
        first = self.terminal()
        first.run("budget 500M")
        first.run("budget 500M")
        first.run(" budget 600M")
        first.run("vae '\u00e4 b'")
        first.type("exit\r")
        self.assertEqual(first.wait(), 0)
        self.assertEqual(self.history(), ["budget 500M", "vae '\u00e4 b'", "exit"])
        self.assertEqual((self.folder / "state/darkroom/history").stat().st_mode & 0o777, 0o600)
        second = self.terminal()
        second.type(UP + UP)
        second.prompt("darkroom> vae '\u00e4 b'")
        second.type(UP)
        second.prompt("darkroom> budget 500M")
        second.type(CTRL_U + CTRL_R + "600")
        second.look(0.3)
        self.assertNotIn("600M", second.screen.line())  # it began with a blank

    def test_search(self):
        terminal = self.terminal()
        for line in ("budget 500M", "vae none", "help"):
            terminal.run(line)
        terminal.type(CTRL_R + "500")
        terminal.wait_for(lambda screen: "budget 500M" in screen.line() or "budget 500M" in screen.text().splitlines()[-2])
        terminal.type("\r")
        terminal.wait_for(lambda screen: screen.text().count("500 MiB") == 2)

    def test_tab(self):
        (self.folder / "my models").mkdir()
        os.link(HOME / "tiny.safetensors", self.folder / "my models/tiny.safetensors")
        terminal = self.terminal()
        for keys, line in [("gen\t", "generate"), ("--samp\teu\t", "generate --sampler euler"), ("-a -o \t", None)]:
            terminal.type(keys)
            if line:
                terminal.wait_for(lambda screen: screen.line() == f"darkroom> {line}")
        terminal.type(CTRL_U + "generate --sampler e\t")
        terminal.prompt("darkroom> generate --sampler euler")
        terminal.type("\t")
        terminal.wait_for(lambda screen: "\neuler    euler-a\n" in screen.text())
        terminal.prompt("darkroom> generate --sampler euler")
        terminal.type(CTRL_U + "model my\tt\t")
        terminal.prompt("darkroom> model my\\ models/tiny.safetensors")
        terminal.type("\r")
        terminal.wait_for("family  sd15")
        terminal.prompt()
        terminal.type("un\t\t")
        terminal.wait_for(lambda screen: "model  vae" in screen.text())
        terminal.prompt("darkroom> unload")

    def test_utf8(self):
        for environment in ({}, {"LC_ALL": "C"}, {"LANG": "C.UTF-8"}):
            terminal = self.terminal(environment=environment)
            terminal.type("vae '\u00e4\u00f6\u00fcx" + LEFT + "\x7f" + CTRL_E + "\x7f'")
            terminal.prompt("darkroom> vae '\u00e4\u00f6'")
            terminal.type("\r")
            terminal.wait_for(lambda screen: screen.text().count("\u00e4\u00f6") > 1)  # the answer
            terminal.prompt()
            terminal.type(b"helx\xff\xc3( \x7f\x7f\x7fp\r")  # bytes that are no characters are passed over
            terminal.wait_for("switch to a checkpoint")
            terminal.prompt()
            terminal.close()

    def test_a_very_long_line(self):
        terminal = self.terminal(rows=10, columns=40)
        text = "word " * 1200
        terminal.type(f"vae '{text}'\r")
        terminal.wait_for(lambda screen: screen.line() == "darkroom>" and "word word" in screen.text())
        self.assertEqual([len(line) for line in self.history()], [len(text) + 6])
        terminal.type(UP)
        terminal.wait_for(lambda screen: "word" in screen.line() or "'" in screen.line())
        terminal.type(CTRL_U)
        terminal.prompt()  # drawn anew, however long that takes
        terminal.run("budget 500M")
        self.assertIn("500 MiB", terminal.screen.text())

    def test_a_line_that_wraps(self):
        terminal = self.terminal(columns=30)
        terminal.type("budget 500M # " + "x" * 40 + CTRL_A + "help #")
        terminal.look(0.3)
        terminal.type("\r")
        terminal.wait_for(lambda screen: "switch to a checkpoint" in screen.text().replace("\n", ""))
        terminal.prompt()

    def test_the_window_changes(self):
        terminal = self.terminal()
        terminal.resize(132)
        terminal.type("budget # " + "y" * 100)
        terminal.prompt("darkroom> budget # " + "y" * 100)


class Signals(TerminalCase):
    def test_ctrl_c_cancels_the_command(self):
        terminal = self.terminal("-m", "../tiny.safetensors")
        self.begin_long(terminal)
        terminal.wait_for("s/step")
        self.assertIn("unet   [", terminal.screen.text())
        terminal.type(CTRL_C)
        terminal.wait_for("generate: cancelled")
        terminal.prompt()
        self.assertNotIn("s/step", terminal.screen.text())  # the progress line has cleared itself
        terminal.run(GENERATE)
        self.assertIn("\na.png  seed 7\n", terminal.screen.text())
        self.assertNotIn("[#", terminal.screen.text())
        terminal.type("exit\r")
        self.assertEqual(terminal.wait(), 0)  # what was cancelled has not failed
        self.assertEqual({path.name for path in self.folder.iterdir()}, {"a.png", "state"})

    def test_ctrl_c_clears_the_line(self):
        terminal = self.terminal()
        terminal.type("budget 1")
        terminal.prompt("darkroom> budget 1")
        terminal.type(CTRL_C)
        terminal.wait_for(lambda screen: screen.text().endswith("darkroom> budget 1\ndarkroom>"))
        terminal.run("budget 500M")
        self.assertIn("500 MiB", terminal.screen.text())
        self.assertEqual(self.history(), ["budget 500M"])

    def test_ctrl_c_on_an_empty_line_ends(self):
        for word, key, code in (("", "", 0), ("x", CTRL_C, 0), ("x", "\x7f", 0), ("nonsense", "\r", 1)):
            terminal = self.terminal()
            terminal.type(word)
            terminal.prompt(f"darkroom> {word}".rstrip())
            terminal.type(key)
            terminal.prompt()
            terminal.type(CTRL_C)
            self.assertEqual(terminal.wait(), code)
            terminal.close()

    def test_ctrl_c_as_a_command_ends_it(self):
        """Whoever comes late with it does not end the shell."""
        terminal = self.terminal("-m", "../tiny.safetensors")
        for _ in range(3):
            terminal.type(GENERATE)
            terminal.prompt("darkroom> " + GENERATE)
            terminal.type("\r")
            terminal.look(0.05)
            terminal.type(CTRL_C)
            terminal.prompt()
            terminal.run("budget")

    def test_ctrl_d(self):
        terminal = self.terminal()
        terminal.type("ab" + CTRL_A + CTRL_D)
        terminal.prompt("darkroom> b")
        terminal.type(CTRL_E + "\x7f")
        terminal.prompt()
        terminal.type(CTRL_D)
        self.assertEqual(terminal.wait(), 0)
        self.assertRegex(terminal.screen.text(), r"darkroom>( \^D)?$")

    def test_termination_and_a_terminal_that_goes(self):
        terminal = self.terminal()
        terminal.type("budget")
        terminal.prompt("darkroom> budget")
        terminal.process.send_signal(signal.SIGTERM)
        self.assertEqual(terminal.wait(), 0)
        terminal = self.terminal()
        os.close(terminal.master)
        terminal.master = -1
        self.assertIn(terminal.process.wait(LIMIT_S), (0, -signal.SIGHUP))


    def test_stopped_and_continued(self):
        """Whoever had the terminal in between may have left it in any mode."""
        terminal = self.terminal()
        terminal.type("budget 50")
        terminal.prompt("darkroom> budget 50")
        terminal.process.send_signal(signal.SIGSTOP)
        mode = termios.tcgetattr(terminal.master)
        mode[3] |= termios.ICANON | termios.ECHO
        termios.tcsetattr(terminal.master, termios.TCSANOW, mode)
        terminal.process.send_signal(signal.SIGCONT)
        terminal.wait_for(lambda screen: not termios.tcgetattr(terminal.master)[3] & termios.ICANON)
        terminal.type("M" + LEFT + "0")
        terminal.prompt("darkroom> budget 500M")
        terminal.type("\r")
        terminal.wait_for("500 MiB")


class Kinds(TerminalCase):
    def test_dumb(self):
        terminal = self.terminal("-m", "../tiny.safetensors", environment={"TERM": "dumb"})
        terminal.run("budget 500M")
        terminal.run(GENERATE)
        self.assertIn("a.png  seed 7", terminal.screen.text())
        self.assertNotIn("\x1b", terminal.screen.raw)
        self.assertEqual(self.history(), [])
        self.begin_long(terminal)
        terminal.type(CTRL_C)
        terminal.wait_for("generate: cancelled")
        terminal.prompt()
        terminal.type("budg")
        terminal.prompt("darkroom> budg")
        terminal.type(CTRL_C)
        terminal.prompt()
        terminal.run("budget 600M")
        self.assertIn("600 MiB", terminal.screen.text())
        terminal.type(CTRL_C)
        terminal.wait_for(lambda screen: screen.text().splitlines()[-2:] == ["darkroom> ^C", "darkroom>"])
        terminal.type(CTRL_C)
        self.assertEqual(terminal.wait(), 0)

    def test_json(self):
        terminal = Terminal(self.folder, "--json", environment={"XDG_STATE_HOME": str(self.folder / "state")})
        self.addCleanup(terminal.close)
        terminal.type("budget 500M\r")
        terminal.wait_for('"command":"budget"')
        self.assertNotIn("darkroom>", terminal.screen.text())
        self.assertNotIn("\x1b", terminal.screen.raw)
        self.assertEqual(self.history(), [])
        terminal.type(CTRL_C)
        self.assertEqual(terminal.wait(), 0)

    def test_an_unknown_terminal_and_no_home(self):
        for environment in ({"TERM": "no-such-terminal"}, {"TERM": ""}, {"XDG_STATE_HOME": "/dev/null/no", "HOME": "/dev/null"}):
            terminal = self.terminal(environment=environment)
            self.assertIn("500 MiB", terminal.run("budget 500M"))
            terminal.type(CTRL_D)
            self.assertEqual(terminal.wait(), 0)
            terminal.close()


if __name__ == "__main__":
    harness.main()
