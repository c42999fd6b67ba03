"""The Go module: used from an empty module, as one that is not on a proxy is, by `replace`."""

from __future__ import annotations

import shutil
from pathlib import Path

from kit import CLIENTS, EXAMPLES, Prepared, Program, generate, run

SOURCE = CLIENTS / "go"


def prepare(folder: Path) -> Prepared:
    """Puts the module apart from its own tests, and builds what uses it from outside."""
    generate("go")
    module = folder / "module"
    module.mkdir()
    for file in (SOURCE / "go.mod", SOURCE / "go.sum", *SOURCE.glob("*.go")):
        shutil.copy(file, module)
    shutil.copytree(SOURCE / "v1", module / "v1")
    project = folder / "project"
    project.mkdir()
    shutil.copytree(SOURCE / "conformance", project / "conformance")
    (project / "example").mkdir()
    shutil.copy(EXAMPLES / "go" / "main.go", project / "example")
    run("go", "mod", "init", "project", folder=project)
    run("go", "mod", "edit", "-require=clientela@v0.1.0", f"-replace=clientela={module}", folder=project)
    # The sums are those of the module itself, so that nothing newer is looked for.
    shutil.copy(SOURCE / "go.sum", project / "go.sum")
    run("go", "mod", "tidy", folder=project)
    run("go", "build", "-o", "bin/", "./...", folder=project)
    return Prepared(
        stories=[Program("go", [str(project / "bin" / "conformance")], project)],
        checks=[
            Program("go tests", ["go", "test", "."], module),
            Program("go example: sign up", [str(project / "bin" / "example")], project),
        ],
    )
