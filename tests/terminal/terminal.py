"""A terminal that is only memory: a program runs in it as in any other, and what it shows can be read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyte

# How long anything may take to come about; nothing should need it.
PATIENCE = 60.0

# Who reads the terminal's settings before and after is a shell, as for people. It says how the program ended;
# Ctrl-C is for the program alone.
SHELL = 'trap : INT; stty -g; "$@"; printf "\\nended with %s\\n" "$?"; stty -g; read -r _'


class Terminal:
    """A program in a terminal of a size, under a shell that stays."""

    def __init__(
        self, command: list[str], columns: int, lines: int, environment: dict[str, str] | None = None
    ) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._program = command[0]
        # All that the program wrote.
        self.written = bytearray()
        self._master, slave = os.openpty()
        self._size(columns, lines)

        def own() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        named = {name: text for name, text in os.environ.items() if name != "NO_COLOR"}
        named |= {"TERM": "xterm-256color", "TZ": "UTC", **(environment or {})}
        self._shell = subprocess.Popen(
            ["sh", "-c", SHELL, "sh", *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=named,
            start_new_session=True,
            preexec_fn=own,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _size(self, columns: int, lines: int) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._master, 65536):
                with self._lock:
                    self.written += data
                    self._stream.feed(data)

    def resize(self, columns: int, lines: int) -> None:
        """Changes the size, as when somebody pulls at the window."""
        with self._lock:
            self._screen.resize(lines, columns)
            self._size(columns, lines)

    def lines(self) -> list[str]:
        """What is shown. The second cell of a wide character holds no text."""
        return ["".join(cell.data for cell in line) for line in self.cells()]

    def text(self) -> str:
        """What is shown, as one text."""
        return "\n".join(self.lines())

    def cells(self) -> list[list[pyte.screens.Char]]:
        """What is shown, with its looks."""
        with self._lock:
            screen = self._screen
            return [
                [screen.buffer[y][x] for x in range(screen.columns)] for y in range(screen.lines)
            ]

    def press(self, keys: str) -> None:
        """Types."""
        os.write(self._master, keys.encode())

    def process(self) -> int:
        """The id of the program, and not of what the shell does before it."""
        shell = self._shell.pid
        children = Path(f"/proc/{shell}/task/{shell}/children")

        def program() -> int | None:
            for child in children.read_text().split():
                # It may have ended by now.
                with contextlib.suppress(OSError):
                    command = Path(f"/proc/{child}/cmdline").read_bytes()
                    if command.split(b"\0")[0] == self._program.encode():
                        return int(child)
            return None

        found: int = self.until("the program", program)
        return found

    def until(self, what: str, shown: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """Waits until something is so; its result."""
        deadline = time.monotonic() + patience
        while not (result := shown()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not come about:\n{self.text()}")
            time.sleep(0.02)
        return result

    def until_shown(self, text: str) -> None:
        """Waits until a text is on the screen."""
        self.until(repr(text), lambda: text in self.text())

    def ended(self) -> int:
        """Waits until the program has ended; the code that it ended with."""
        self.until("the end", lambda: b"ended with " in self.written and self.settings_after())
        return int(self.written.split(b"ended with ")[1].split()[0])

    def settings_before(self) -> bytes:
        """The terminal's settings before the program began."""
        return bytes(self.written.split()[0])

    def settings_after(self) -> bytes:
        """The terminal's settings after the program ended, once they have been written whole."""
        after = bytes(self.written).split(b"ended with ")[-1].split(b"\n")
        return after[1].strip() if len(after) > 2 else b""

    def close(self) -> None:
        """Ends whatever still runs in it."""
        with contextlib.suppress(OSError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait()
        os.close(self._master)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
