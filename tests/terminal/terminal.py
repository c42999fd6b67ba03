"""A terminal in memory: a program runs in it as in any other, and tests can read the screen."""

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

# Deadline of every wait; no wait should need it.
PATIENCE = 60.0

# A shell reads the terminal's settings before and after the program, as for people. It prints the exit code;
# Ctrl-C is only for the program.
SHELL = 'trap : INT; stty -g; "$@"; printf "\\nended with %s\\n" "$?"; stty -g; read -r _'


class Terminal:
    """A program in a terminal of a size, under a shell that outlives it."""

    def __init__(
        self, command: list[str], columns: int, lines: int, environment: dict[str, str] | None = None
    ) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._program = command[0]
        # The whole output of the program.
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
        """Changes the size, as when a person resizes the window."""
        with self._lock:
            self._screen.resize(lines, columns)
            self._size(columns, lines)

    def lines(self) -> list[str]:
        """Returns the screen. The second cell of a wide character has no text."""
        return ["".join(cell.data for cell in line) for line in self.cells()]

    def text(self) -> str:
        """Returns the screen as one text."""
        return "\n".join(self.lines())

    def cells(self) -> list[list[pyte.screens.Char]]:
        """Returns the screen with its styles."""
        with self._lock:
            screen = self._screen
            return [
                [screen.buffer[y][x] for x in range(screen.columns)] for y in range(screen.lines)
            ]

    def press(self, keys: str) -> None:
        """Types."""
        os.write(self._master, keys.encode())

    def process(self) -> int:
        """Returns the process id of the program, not of the shell's earlier commands."""
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
        """Waits until a condition holds, and returns its result."""
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
        """Waits until the program has ended, and returns its exit code."""
        self.until("the end", lambda: b"ended with " in self.written and self.settings_after())
        return int(self.written.split(b"ended with ")[1].split()[0])

    def settings_before(self) -> bytes:
        """Returns the terminal's settings before the program began."""
        return bytes(self.written.split()[0])

    def settings_after(self) -> bytes:
        """Returns the terminal's settings after the program ended, once they are complete."""
        after = bytes(self.written).split(b"ended with ")[-1].split(b"\n")
        return after[1].strip() if len(after) > 2 else b""

    def close(self) -> None:
        """Ends the processes in it."""
        with contextlib.suppress(OSError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait()
        os.close(self._master)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
