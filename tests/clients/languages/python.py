"""The Python package: a wheel, installed into an empty virtual environment."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from kit import CLIENTS, EXAMPLES, ROOT, Prepared, Program, generate, run

SOURCE = CLIENTS / "python"


def prepare(folder: Path) -> Prepared:
    """Builds the wheel and installs it."""
    generate("python")
    # Of a copy: setuptools leaves things beside what it builds.
    copy = folder / "source"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={folder}", copy)
    [wheel] = folder.glob("clientela-*.whl")
    venv = folder / "venv"
    run(sys.executable, "-m", "venv", venv)
    # What it needs comes in the versions that the tests are pinned to.
    run(*pip, f"--python={venv}", "install", f"--constraint={ROOT / 'tests' / 'requirements.txt'}", wheel)
    project = folder / "project"
    project.mkdir()

    def program(name: str, *command: str | Path) -> Program:
        return Program(name, [str(venv / "bin" / "python"), *map(str, command)], project)

    story = SOURCE / "conformance" / "conformance.py"
    return Prepared(
        stories=[program("python", story), program("python asyncio", story, "--asyncio")],
        checks=[
            program("python tests", SOURCE / "tests"),
            program("python example: sign up", EXAMPLES / "python" / "sign_up.py"),
            program("python example: back office", EXAMPLES / "python" / "back_office.py"),
        ],
    )
