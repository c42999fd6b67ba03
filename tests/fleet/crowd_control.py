"""Controls the crowd of a run: many watchers of one cart, which measure the time until all are back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from server import Failed, with_parent
from trial import PATIENCE

# The goal for the time until all watchers of a fleet have the writes after a kill. It is measured and not
# checked, because it does not apply to a debug build with the crowd in one process.
BACK_WITHIN = 2.0


class Crowd:
    """The process of the crowd."""

    def __init__(self, folder: Path, seed: str, count: int) -> None:
        self.count = count
        self.rounds: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("crowd.py"), folder, seed, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=with_parent,
        )
        self.answer()

    def answer(self) -> dict[str, Any]:
        """Returns its next line of output."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise Failed("the crowd ended by itself")
        return json.loads(line)

    def note(self, killed: float) -> None:
        """Makes the crowd measure the time after a kill until all watchers have the writes since."""
        assert self._process.stdin
        self._process.stdin.write(f"{killed}\n")
        self._process.stdin.flush()
        self.rounds.append(self.answer())

    def report(self) -> tuple[bool, str]:
        """Returns whether no change was missed, and the numbers."""
        latest = sorted(round["max"] for round in self.rounds)
        half = sorted(round["p50"] for round in self.rounds)
        gaps = sum(round["gaps"] for round in self.rounds)
        broken = sum(round["broken"] for round in self.rounds)
        text = (
            f"{self.count} watchers, {broken} streams broken by {len(self.rounds)} kills: back and caught "
            f"up after {half[len(half) // 2] * 1000:.0f} ms (p50 of those broken), "
            f"{latest[len(latest) // 2] * 1000:.0f} ms (p50 of the last of all), "
            f"{latest[-1] * 1000:.0f} ms (max), in {sum(last <= BACK_WITHIN for last in latest)} of "
            f"{len(latest)} within {BACK_WITHIN:.0f} s; {gaps} gaps"
        )
        return gaps == 0, text

    def end(self) -> None:
        """Ends the process."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
