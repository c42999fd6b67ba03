"""The Go module: `go get` fetches it from a module proxy of files into an empty module."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

from kit import CLIENTS, EXAMPLES, Prepared, Program, first_example, generate, run

SOURCE = CLIENTS / "go"
MODULE = "clientela.dev/clientela"
VERSION = "v0.1.0"


def prepare(folder: Path) -> Prepared:
    """Publishes the module, and builds programs that fetch it."""
    generate("go")
    proxy = folder / "proxy"
    publish(proxy / MODULE / "@v")
    cache = run("go", "env", "GOMODCACHE").strip()
    environment = {
        # Other modules come from the cache of this machine, or from its usual proxy.
        "GOPROXY": f"file://{proxy},file://{cache}/cache/download,{run('go', 'env', 'GOPROXY').strip()}",
        # No public checksum database has this module.
        "GONOSUMDB": MODULE,
        # The cache of this machine may have the same version from an earlier run.
        "GOMODCACHE": str(folder / "modules"),
        "GOFLAGS": "-modcacherw -mod=mod",
    }
    project = folder / "project"
    project.mkdir()
    shutil.copytree(SOURCE / "conformance", project / "conformance")
    for name, text in (
        ("example", (EXAMPLES / "go" / "main.go").read_text()),
        ("first", first_example(SOURCE / "README.md", "go")),
    ):
        (project / name).mkdir()
        (project / name / "main.go").write_text(text)
    run("go", "mod", "init", "project", folder=project, **environment)
    # The checksums of the other modules, so that no server is asked for them.
    shutil.copy(SOURCE / "go.sum", project)
    run("go", "get", f"{MODULE}@{VERSION}", folder=project, **environment)
    run("go", "build", "-o", "bin/", "./...", folder=project, **environment)
    return Prepared(
        stories=[Program("go", [str(project / "bin" / "conformance")], project)],
        checks=[
            Program("go tests", ["go", "test", "."], SOURCE),
            Program("go example: sign up", [str(project / "bin" / "example")], project),
            Program("go: the first example of the README", [str(project / "bin" / "first")], project),
        ],
    )


def publish(versions: Path) -> None:
    """Writes the files of a module proxy: the list of versions, and a version's information, go.mod and
    sources."""
    versions.mkdir(parents=True)
    (versions / "list").write_text(f"{VERSION}\n")
    (versions / f"{VERSION}.info").write_text(json.dumps({"Version": VERSION, "Time": "2026-01-01T00:00:00Z"}))
    shutil.copy(SOURCE / "go.mod", versions / f"{VERSION}.mod")
    with zipfile.ZipFile(versions / f"{VERSION}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (SOURCE / "go.mod", SOURCE / "go.sum", *SOURCE.glob("*.go"), *SOURCE.glob("v1/*.go")):
            archive.write(file, f"{MODULE}@{VERSION}/{file.relative_to(SOURCE)}")
