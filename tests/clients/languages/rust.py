"""The Rust client: the packaged crate, in a separate workspace with projects that use it."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

from kit import CLIENTS, EXAMPLES, ROOT, Prepared, Program, first_example, generate, run

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
HERE = {"CARGO_TARGET_DIR": str(TARGET)}
CRATE = "clientela-client"
# Without TLS, because the server has none, and half of its dependencies would be compiled again.
ALL = ("--workspace", "--all-targets", "--no-default-features")
# With TLS, only the client's tests against a server in the process are built. They reuse the crates of the
# build above that do not depend on TLS.
WITH_TLS = ("--workspace", "--test", "it", "--no-default-features", "--features", f"{CRATE}/tls")
SLOW = [
    f"--config=profile.dev.package.{crate}.opt-level=0"
    for crate in ("rustls", "tokio-rustls", "tonic")
]
# These do not change how other crates are compiled.
PASSED_OVER = ("tonic-health", "tonic-reflection", "tonic-web")


def prepare(folder: Path) -> Prepared:
    """Packages the crate, and builds its users."""
    client = CLIENTS / "rust"
    generate("rust")
    run("cargo", "package", "--no-verify", "--allow-dirty", folder=client, **HERE)
    [package] = (TARGET / "package").glob(f"{CRATE}-*.crate")
    with tarfile.open(package) as archive:
        archive.extractall(folder, filter="data")
    # All packages have the same times, so that Cargo would see no change since an earlier run.
    for file in (folder / package.stem).rglob("*"):
        os.utime(file)
    project(client / "conformance", folder / "conformance", package.stem)
    project(EXAMPLES / "rust", folder / "sign-up", package.stem)
    first = folder / "sign-up" / "src" / "bin" / "first.rs"
    first.parent.mkdir()
    first.write_text(first_example(client / "README.md", "rust"))
    workspace(folder, [package.stem, "conformance", "sign-up"])
    run("cargo", "build", *ALL, folder=folder, **HERE)
    tests = ["cargo", "test", "--quiet", *ALL]
    documentation = ["cargo", "test", "--quiet", "--doc", "--workspace", "--no-default-features"]
    tests_of_tls = ["cargo", "test", "--quiet", *WITH_TLS, *SLOW]
    run(*tests_of_tls, "--no-run", folder=folder, **HERE)
    return Prepared(
        stories=[Program("rust", [str(TARGET / "debug" / "conformance")], folder)],
        checks=[
            Program("rust: its own tests", tests, folder, HERE),
            Program("rust: the same with TLS", tests_of_tls, folder, HERE),
            Program("rust: the programs in its documentation", documentation, folder, HERE),
            Program("rust: the first example of the README", [str(TARGET / "debug" / "first")], folder),
            Program("rust: the example", [str(TARGET / "debug" / "sign-up")], folder),
        ],
    )


def project(source: Path, copy: Path, package: str) -> None:
    """Copies a project, and makes it use the packaged crate."""
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("target", "Cargo.lock"))
    manifest = copy / "Cargo.toml"
    lines = manifest.read_text().partition("[workspace]")[0].splitlines()
    packaged = f'{CRATE} = {{ path = "../{package}", default-features = false }}'
    named = [packaged if line.startswith(f"{CRATE} =") else line for line in lines]
    assert named != lines
    manifest.write_text("\n".join(named))


def workspace(folder: Path, members: list[str]) -> None:
    """Puts the projects together, and the server's dependencies beside them.

    So cargo chooses the same versions and features as for the server, and compiles only the other crates.
    """
    server = (ROOT / "Cargo.toml").read_text()
    dependencies = server[server.index("[dependencies]") : server.index("[profile.dev]")]
    kept = [line for line in dependencies.splitlines() if not line.startswith(PASSED_OVER)]
    head = '[package]\nname = "beside"\nedition = "2024"\n\n'
    beside = folder / "beside"
    (beside / "src").mkdir(parents=True)
    (beside / "Cargo.toml").write_text(head + "\n".join(kept))
    (beside / "src" / "lib.rs").touch()
    (beside / "build.rs").write_text("fn main() {}\n")
    profiles = server[server.index("[profile.dev]") : server.index("[[bench]]")]
    (folder / "Cargo.toml").write_text(
        f'[workspace]\nresolver = "3"\nmembers = {[*members, "beside"]}\n\n{profiles}'
    )
    shutil.copy(ROOT / "Cargo.lock", folder)
    # Without it SQLite would be compiled in another way than for the server, and then for the server again.
    shutil.copytree(ROOT / ".cargo", folder / ".cargo")
