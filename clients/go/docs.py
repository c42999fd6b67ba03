"""Saves the pages of the module from a pkgsite server: python docs.py SERVER FOLDER.

It waits until the server answers, then saves the two packages and everything that their pages load.
"""

from __future__ import annotations

import re
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

MODULE = "/clientela.dev/clientela"
PATIENCE = 120.0
# The files that a page loads, and the links between the pages.
LOADS = re.compile(r'(?:href|src)="(/static/[^"?#]+|/third_party/[^"?#]+)[^"]*"')


def fetch(server: str, path: str) -> bytes:
    """Returns a page, as soon as the server answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(server + path, timeout=PATIENCE) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def save(folder: Path, path: str, content: bytes) -> None:
    file = folder / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def main(server: str, folder: Path) -> None:
    loads: set[str] = set()
    for page, name, up in ((MODULE, "index.html", ""), (f"{MODULE}/v1", "v1/index.html", "../")):
        text = fetch(server, page).decode()
        loads.update(LOADS.findall(text))
        text = re.sub(rf'(href|src)="/(static|third_party)/', rf'\1="{up}\2/', text)
        text = text.replace(f'href="{MODULE}/v1', f'href="{up}v1/index.html').replace(f'href="{MODULE}', f'href="{up}index.html')
        save(folder, name, text.encode())
    for path in sorted(loads):
        save(folder, path, fetch(server, path))


main(sys.argv[1], Path(sys.argv[2]))
