"""The Java client: a jar, in a local Maven repository, and projects that name it."""

from __future__ import annotations

import shutil
from pathlib import Path

from kit import CLIENTS, EXAMPLES, ROOT, Prepared, Program, first_example, run

# Maven's downloads stay there from run to run; the client is installed again each time.
REPOSITORY = ROOT / ".tools" / "maven"
MAVEN = ("mvn", "-q", "-B", f"-Dmaven.repo.local={REPOSITORY}")


def prepare(folder: Path) -> Prepared:
    """Builds the jar and its users."""
    client = CLIENTS / "java"
    run(*MAVEN, "-DskipTests", "install", folder=client)
    programs = {}
    for name, source in (("conformance", client / "conformance"), ("example", EXAMPLES / "java")):
        project = folder / name
        shutil.copytree(source, project, ignore=shutil.ignore_patterns("target"))
        if name == "example":
            first = first_example(client / "README.md", "java")
            (project / "src" / "main" / "java" / "First.java").write_text(first)
        run(*MAVEN, "compile", folder=project)
        programs[name] = project
    return Prepared(
        stories=[Program("java", java("Conformance"), programs["conformance"])],
        checks=[
            Program("java: its own tests", [*MAVEN, "surefire:test"], client),
            Program("java: the first example of the README", java("First"), programs["example"]),
            Program("java: the example", java("SignUp"), programs["example"]),
        ],
    )


def java(program: str) -> list[str]:
    """Runs a class of a compiled project."""
    return ["java", "-cp", "target/classes:target/dependency/*", program]
