"""A server with shoppers, for the tests, the recording and the measurement of the screen."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "checker"))
import tools  # noqa: F401, I001

from server import Failed, Server, free_port  # noqa: F401
from terminal import Terminal

CLIENTELA = os.environ["CLIENTELA"]


class Shop:
    """A server with shoppers."""

    def __init__(
        self, folder: Path, shoppers: int = 30, rate: int = 40, port: int | None = None
    ) -> None:
        self.server = Server(folder, None, port or free_port(random.Random()))
        self.server.start()
        self.key = self.server.wait_for_key()
        # They shop until the test stops them.
        demo = ["demo", f"--shoppers={shoppers}", f"--rate={rate}", "--seconds=0"]
        self.demo = subprocess.Popen(self.command(*demo), stdout=subprocess.DEVNULL)

    def command(self, *arguments: str) -> list[str]:
        """Returns a command of the program for this server."""
        data = str(self.server.data)
        return [CLIENTELA, *arguments, "--server", self.server.address, "--data-dir", data]

    def terminal(
        self, *options: str, size: tuple[int, int] = (110, 30), **environment: str
    ) -> Terminal:
        """Opens the screen in its own terminal of a size."""
        watch = self.command("watch", "carts", *options)
        return Terminal(watch, *size, environment)

    def add(self, visitor: str, product: str, name: str) -> subprocess.CompletedProcess[str]:
        """Puts a product with a name into a visitor's cart."""
        price = {"listPrice": {"currencyCode": "EUR", "micros": "5000000"}}
        body = {
            "target": {"owner": {"visitor": visitor}},
            "item": {"product": product, "displayName": name, "quantity": 2, "price": price},
        }
        command = ["grpcurl", "-plaintext", "-H", f"authorization: Bearer {self.key}"]
        command += ["-d", json.dumps(body), self.server.address, "clientela.v1.CartService/AddItem"]
        return subprocess.run(command, capture_output=True, text=True)

    def __enter__(self) -> Shop:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the shoppers and the server."""
        self.demo.kill()
        self.demo.wait()
        self.server.kill()
