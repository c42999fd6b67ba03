"""TypeScript: an npm tarball, installed into an empty project, and used from Node and from Chromium."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from kit import CLIENTS, EXAMPLES, Prepared, Program, first_example, generate, run

PACKAGE = CLIENTS / "typescript"


def prepare(folder: Path) -> Prepared:
    """Builds the tarball and the programs that use it."""
    generate("typescript")
    run("npm", "run", "build", folder=PACKAGE)
    run("npm", "pack", "--pack-destination", folder, folder=PACKAGE)
    [tarball] = folder.glob("*.tgz")
    wanted = json.loads((PACKAGE / "package.json").read_text())["devDependencies"]
    tools = [f"{name}@{wanted[name]}" for name in ("playwright-core", "typescript", "@types/node")]

    project = folder / "empty"
    project.mkdir()
    (project / "package.json").write_text('{"type": "module", "private": true}\n')
    run("npm", "install", "--prefer-offline", "--no-audit", "--no-fund", tarball, *tools, folder=project)
    shutil.copytree(PACKAGE / "conformance", project / "conformance")
    examples = shutil.copytree(
        EXAMPLES / "typescript", project / "examples", ignore=shutil.ignore_patterns("node_modules", "dist")
    )
    (examples / "first.ts").write_text(first_example(PACKAGE / "README.md", "ts"))
    run("npx", "tsc", folder=examples)

    return Prepared(
        stories=[
            Program("typescript in Node", ["node", "conformance/node.js"], project),
            Program("typescript in Chromium", ["node", "conformance/browser.js"], project),
        ],
        checks=[
            Program("typescript: its own tests", ["npm", "--silent", "test"], PACKAGE),
            Program("typescript: the first example of the README", ["node", "dist/first.js"], examples),
            Program("typescript: sign-up", ["node", "dist/sign-up.js"], examples),
            Program("typescript: storefront", ["node", "dist/storefront/visit.js"], examples),
        ],
    )
