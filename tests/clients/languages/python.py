"""The Python package: a wheel, installed with the oldest and with the newest versions of its dependencies."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from kit import CLIENTS, EXAMPLES, ROOT, Prepared, Program, first_example, generate, run

SOURCE = CLIENTS / "python"
NEWEST = ROOT / "tests" / "requirements.txt"


def prepare(folder: Path) -> Prepared:
    """Builds the wheel and installs it into two virtual environments."""
    generate("python")
    # From a copy: setuptools leaves files beside its sources.
    copy = folder / "source"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={folder}", copy)
    [wheel] = folder.glob("clientela-*.whl")
    floors = folder / "floors.txt"
    floors.write_text(floors_of(SOURCE / "pyproject.toml"))
    for name, versions in (("newest", NEWEST), ("oldest", floors)):
        run(sys.executable, "-m", "venv", folder / name)
        # The newest versions are the pinned ones of the tests.
        run(*pip, f"--python={folder / name}", "install", f"--constraint={versions}", f"{wheel}[types]")
    project = folder / "project"
    project.mkdir()
    first = first_example(SOURCE / "README.md", "python")
    (project / "first.py").write_text(first)
    # A reason that the contract does not have.
    (project / "misspelled.py").write_text(first + MISSPELLED)

    def program(name: str, *command: str | Path, using: str = "newest") -> Program:
        return Program(name, [str(folder / using / "bin" / "python"), *map(str, command)], project)

    story = SOURCE / "conformance" / "conformance.py"
    examples = sorted((EXAMPLES / "python").glob("*.py"))
    mypy = [sys.executable, "-m", "mypy", "--strict", f"--python-executable={folder / 'newest' / 'bin' / 'python'}"]
    return Prepared(
        stories=[
            program("python", story),
            program("python asyncio", story, "--asyncio"),
            program("python with the oldest versions", story, using="oldest"),
        ],
        checks=[
            program("python tests", SOURCE / "tests"),
            program("python tests with the oldest versions", SOURCE / "tests", using="oldest"),
            *(program(f"python example: {example.stem}", example) for example in examples),
            program("python: the first example of the README", "first.py"),
            Program("python: mypy --strict on the examples", [*mypy, "first.py", *map(str, examples)], project),
            Program("python: mypy finds a misspelled reason", [*mypy, "misspelled.py"], project, fails_with="EMAIL_TAKE"),
        ],
    )


MISSPELLED = """
if clientela.Error(grpc.StatusCode.UNKNOWN, "").reason == "EMAIL_TAKE":
    import grpc
"""


def floors_of(project: Path) -> str:
    """Returns the lowest versions of its dependencies that a package allows, as constraints."""
    [needed] = re.findall(r"^dependencies = \[(.*)\]$", project.read_text(), re.MULTILINE)
    return "".join(f"{name}=={version}\n" for name, version in re.findall(r'"([\w-]+)>=([\d.]+)', needed))
