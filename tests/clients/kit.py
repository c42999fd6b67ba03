"""What the descriptions of languages and the harness share: what a built client is made of."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CLIENTS = ROOT / "clients"
EXAMPLES = ROOT / "examples"
# How long building and installing one client may take, with nothing in any cache.
BUILD_PATIENCE = 600.0


class Failed(Exception):
    """Something could not be built, or did not go as it must."""


@dataclass
class Program:
    """A command to run: where, and with what more in its environment."""

    name: str
    command: list[str]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)


@dataclass
class Prepared:
    """A client that is built, and installed in an empty project.

    Each of `stories` is run through the story, with a server of its own. Each of `checks` has
    CLIENTELA_SERVER and CLIENTELA_API_KEY of a server that is there for all checks of the language; it
    passes if it ends with 0. If its last line is `N passed, N failed`, these are counted.
    """

    stories: list[Program] = field(default_factory=list)
    checks: list[Program] = field(default_factory=list)


def run(*command: str | Path, folder: Path = ROOT, **environment: str) -> str:
    """Runs a command to its end; what it printed. Fails with all of that if the command does."""
    words = [str(word) for word in command]
    if not shutil.which(words[0]):
        raise Failed(f"there is no {words[0]}: scripts/install-tools installs it")
    ended = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_PATIENCE,
    )
    if ended.returncode != 0:
        raise Failed(f"{' '.join(words)} (in {folder}):\n{ended.stdout.strip()}")
    return ended.stdout


def generate(language: str) -> None:
    """Generates the stubs of a language."""
    run(CLIENTS / "generate", language)
