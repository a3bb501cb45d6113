"""Runs `longshore demo --exit` in a terminal of its own and draws two moments of it: the bays at work, and the end.

Usage: record.py PROGRAM PICTURE.svg
"""

import fcntl
import html
import os
import pty
import re
import struct
import sys
import termios
import time

import pyte
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

COLUMNS, ROWS = 100, 60
# What the screen shows at the moment that is drawn: one camera has no power, another is out of the dock.
MOMENT = ("no power", "pulled out")
# What is drawn of the news after it.
BACK = ("has power again", "is put in again", "resumes at")
# Seconds from the first sight of it to the picture.
AFTER = 1.2
# No font comes from elsewhere: whoever looks has one of these.
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
THEME = TerminalTheme(
    (13, 17, 23),
    (201, 209, 217),
    [(72, 79, 88), (255, 123, 114), (63, 185, 80), (210, 153, 34),
     (88, 166, 255), (188, 140, 255), (57, 197, 207), (177, 186, 196)],
    [(72, 79, 88), (255, 161, 152), (86, 211, 100), (227, 179, 65),
     (121, 192, 255), (210, 168, 255), (86, 212, 221), (240, 246, 252)],
)


def run(program):
    """The screen at the moment, and at the end."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.execve(program, ["longshore", "demo", "--exit"], {**os.environ, "TERM": "xterm-256color"})
    seen = moment = None
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # The terminal is gone: the demo has ended.
            break
        stream.feed(data)
        if moment is None and all(any(words in line for line in screen.display) for words in MOMENT):
            seen = seen or time.monotonic()
            if time.monotonic() - seen > AFTER:
                moment = lines(screen)
    _, status = os.waitpid(pid, 0)
    if status != 0 or moment is None:
        sys.exit("\n".join([*screen.display, "the demo did not show what it should"]))
    return moment, lines(screen)


def lines(screen):
    shown = [Text("").join(part(char) for char in row(screen, number)) for number in range(screen.lines)]
    for text in shown:
        text.rstrip()
    while shown and not shown[-1].plain:
        shown.pop()
    return shown


def row(screen, number):
    return (screen.buffer[number][column] for column in range(screen.columns))


def part(char):
    colour = {"default": None, "brown": "yellow", "brightblack": "bright_black"}.get(char.fg, char.fg)
    if colour and re.fullmatch("[0-9a-f]{6}", colour):
        colour = f"#{colour}" if colour != "7f7f7f" else "bright_black"
    return Text(char.data, style=" ".join(filter(None, ["bold" if char.bold else None, colour])))


def in_words(svg):
    """Every word group begins where its column is: renderers differ in what they make of blanks, and in their fonts."""

    def split(found):
        before, x, after, length, rest, content = found.groups()
        content = html.unescape(content)
        wide = float(length) / len(content)
        words = []
        for word in re.finditer(r"[^\xa0]+(?:\xa0[^\xa0]+)*", content):
            at, long = float(x) + wide * word.start(), wide * len(word[0])
            text = html.escape(word[0], quote=False)
            words.append(f'<text{before}x="{at:.1f}"{after}textLength="{long:.1f}"{rest}>{text}</text>')
        return "".join(words)

    return re.sub(r'<text([^>]*)x="([^"]*)"([^>]*)textLength="([^"]*)"([^>]*)>([^<]*)</text>', split, svg)


def main():
    program, picture = sys.argv[1:]
    moment, end = run(program)
    begin = next(at for at, line in enumerate(end) if line.plain.startswith("BAY"))
    back = [line for line in end[:begin] if any(words in line.plain for words in BACK)]
    left_out = Text("    …", style="bright_black")
    shown = [Text("$ longshore demo", style="bold"), *moment, left_out, *back, left_out, Text(""), *end[begin:]]
    nowhere = open(os.devnull, "w")
    console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
    for line in shown:
        console.print(line, soft_wrap=True)
    form = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    form = form.replace("Fira Code, monospace", FONTS)
    svg = console.export_svg(title="longshore demo", theme=THEME, code_format=form, unique_id="demo")
    with open(picture, "w") as file:
        file.write(in_words(svg))


main()
