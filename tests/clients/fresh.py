"""`clients/generate` in a fresh checkout: each language alone, without the tools of the others."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from kit import BUILD_PATIENCE, ROOT, Failed, run

# For each language: the programs that it may use, what it installs into .tools, and a file that it generates.
LANGUAGES = {
    "go": ({"go", "python3"}, {"buf"}, "clients/go/v1/cart_service.pb.go"),
    "python": ({"python3"}, {"python-stubs"}, "clients/python/src/clientela/v1/reasons.py"),
    "typescript": (
        {"node", "npm", "python3"},
        {"buf"},
        "clients/typescript/src/gen/clientela/v1/cart_service_pb.ts",
    ),
    "java": (
        {"java", "javac", "mvn"},
        {"maven"},
        "clients/java/target/generated-sources/protobuf/java/dev/clientela/v1/Cart.java",
    ),
    "rust": (set(), set(), "clients/rust/Cargo.lock"),
}
PROGRAMS = {"go", "node", "npm", "java", "javac", "mvn", "python3", "cargo", "rustc"}


def check(language: str, folder: Path) -> None:
    """Generates the stubs of a language in a checkout of its own. Raises `Failed` if anything is not as documented."""
    allowed, installed, generated = LANGUAGES[language]
    checkout = folder / "checkout"
    for file in run("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        source, copy = ROOT / file, checkout / file
        if source.exists() or source.is_symlink():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)
    if "maven" in installed:
        # Maven's downloads for other tests are enough.
        (checkout / ".tools").mkdir()
        (ROOT / ".tools" / "maven").mkdir(parents=True, exist_ok=True)
        (checkout / ".tools" / "maven").symlink_to(ROOT / ".tools" / "maven")
    before = contents(checkout)
    ended = subprocess.run(
        [checkout / "clients" / "generate", language],
        env={**os.environ, "PATH": f"{without(PROGRAMS - allowed, folder)}:{path_of_the_system()}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_PATIENCE,
    )
    if ended.returncode != 0:
        raise Failed(f"clients/generate {language} in a fresh checkout:\n{ended.stdout.strip()}")
    if not (checkout / generated).is_file():
        raise Failed(f"clients/generate {language} did not write {generated}:\n{ended.stdout.strip()}")
    tools = {path.name for path in (checkout / ".tools").glob("*")}
    if tools != installed:
        raise Failed(f"clients/generate {language} installed {tools}, not {installed}")
    # So it makes no difference which language comes first.
    elsewhere = {path for path in contents(checkout) - before if not path.startswith(f"clients/{language}/")}
    if elsewhere:
        raise Failed(f"clients/generate {language} wrote {sorted(elsewhere)[:5]}")


def contents(checkout: Path) -> set[str]:
    """Returns the files of a checkout, apart from the tools."""
    files = (path.relative_to(checkout) for path in checkout.rglob("*") if not path.is_dir())
    return {str(path) for path in files if path.parts[0] != ".tools"}


def path_of_the_system() -> str:
    """Returns PATH without the tools of this repository."""
    folders = os.environ["PATH"].split(":")
    return ":".join(name for name in folders if not Path(name).is_relative_to(ROOT / ".tools"))


def without(programs: set[str], folder: Path) -> Path:
    """Returns a folder for the front of PATH, with programs of these names that only fail."""
    stubs = folder / "stubs"
    stubs.mkdir()
    for name in programs:
        (stubs / name).write_text(f"#!/bin/sh\necho this language does not need {name} >&2\nexit 1\n")
        (stubs / name).chmod(0o755)
    return stubs
