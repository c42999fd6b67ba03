"""The common part of the harness and of the languages: a built client and its commands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CLIENTS = ROOT / "clients"
EXAMPLES = ROOT / "examples"
# Seconds for one command that builds or installs, with empty caches.
BUILD_PATIENCE = 600.0


class Failed(Exception):
    """A build or a check that failed."""


@dataclass
class Program:
    """A command: the folder that it runs in, and additions to its environment.

    A check that has `fails_with` passes if it fails and its output has that text.
    """

    name: str
    command: list[str]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    fails_with: str = ""


@dataclass
class Prepared:
    """A client that is built, and installed in an empty project.

    Each of `stories` runs the story with a server of its own. All of `checks` share a server, whose address and key
    are in CLIENTELA_SERVER and CLIENTELA_API_KEY. A check passes if its status is 0. If its last line is
    `N passed, N failed`, these tests are counted.
    """

    stories: list[Program] = field(default_factory=list)
    checks: list[Program] = field(default_factory=list)


def run(*command: str | Path, folder: Path = ROOT, **environment: str) -> str:
    """Runs a command and returns its output. Raises `Failed` with the output if the command fails."""
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


def first_example(page: Path, language: str) -> str:
    """Returns the first program of a language in a Markdown page."""
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)[0]
