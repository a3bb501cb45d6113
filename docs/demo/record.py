"""Runs `longshore demo --exit` in a terminal of its own and draws two moments of it: the bays at work, and the end.

Usage: record.py PROGRAM PICTURE.svg [COLUMNS]
"""

import fcntl
import os
import pty
import struct
import sys
import termios
import time

import pyte
from rich.console import Console
from rich.text import Text

ROWS = 60
# The moment that is kept: one camera has no power, another is out of the dock.
MOMENT = ("no power", "pulled out")


def run(program, columns):
    """The screen at the moment, and at the end, as lists of lines of (text, style)."""
    screen = pyte.Screen(columns, ROWS)
    stream = pyte.ByteStream(screen)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(program, ["longshore", "demo", "--exit"])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    moment = None
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        stream.feed(data)
        if all(any(word in line for line in screen.display) for word in MOMENT):
            moment = moment or [time.monotonic(), None]
            if moment[1] is None and time.monotonic() - moment[0] > 1.2:
                moment[1] = lines(screen)
    _, status = os.waitpid(pid, 0)
    if status != 0 or moment is None or moment[1] is None:
        print("\n".join(screen.display), file=sys.stderr)
        sys.exit("the demo did not show what it should")
    return moment[1], lines(screen)


def lines(screen):
    shown = []
    for row in range(screen.lines):
        text = Text()
        for column in range(screen.columns):
            char = screen.buffer[row][column]
            colour = {"default": None, "brown": "yellow"}.get(char.fg, char.fg)
            colour = {"brightblack": "bright_black"}.get(colour, colour)
            style = " ".join(filter(None, ["bold" if char.bold else "", colour]))
            text.append(char.data, style or None)
        text.rstrip()
        shown.append(text)
    while shown and not shown[-1].plain:
        shown.pop()
    return shown


def main():
    program, picture = sys.argv[1:3]
    columns = int(sys.argv[3]) if len(sys.argv) > 3 else 100
    moment, end = run(program, columns)
    if os.environ.get("SHOW"):
        for line in moment + [Text("-" * columns)] + end:
            print(line.plain)
    begin = next(at for at, line in enumerate(end) if line.plain.startswith("BAY"))
    console = Console(record=True, width=columns, file=open(os.devnull, "w"), force_terminal=True)
    console.print(Text("$ longshore demo", style="bold"))
    for line in moment + [Text("")] + end[begin:]:
        console.print(line, soft_wrap=True)
    console.save_svg(picture, title="longshore demo")


main()
