"""A generated Python client of the service: stubs, channels, digest.

The stubs are generated from the protos at run time, into a folder that the run removes; the
processes of a run find it in PYTHONPATH.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

ROOT = Path(__file__).resolve().parent.parent.parent

# The addresses of the servers for the clients of a run, separated by commas, and the key.
ADDRESSES = "CHECKED_ADDRESSES"
KEY = "CHECKED_KEY"

# The reason in the details of a status, whose message has no generated stub here.
REASON = re.compile(rb"[A-Z][A-Z0-9_]{4,}")


def generate(folder: Path) -> None:
    """Generates the stubs into a folder."""
    from grpc_tools import protoc

    protos = ROOT / "proto"
    included = Path(protoc.__file__).parent / "_proto"
    files = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    arguments = ["protoc", f"-I{protos}", f"-I{included}"]
    outputs = [f"--python_out={folder}", f"--grpc_python_out={folder}"]
    if protoc.main([*arguments, *outputs, *files]) != 0:
        raise SystemExit("the stubs could not be generated")


def metadata(key: str = "") -> list[tuple[str, str]]:
    """Returns the metadata of every call."""
    return [("authorization", f"Bearer {key or os.environ[KEY]}")]


def channel(address: str = "", *, narrow: bool = False) -> grpc.aio.Channel:
    """Opens a separate connection that reconnects quickly and does not retry by itself. A narrow one buffers
    little more than the client reads."""
    options: list[tuple[str, int]] = [
        ("grpc.enable_retries", 0),
        ("grpc.initial_reconnect_backoff_ms", 50),
        # The deadline of an attempt; a refused attempt is repeated after the wait above.
        ("grpc.min_reconnect_backoff_ms", 5_000),
        ("grpc.max_reconnect_backoff_ms", 200),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", -1),
    ]
    if narrow:
        options += [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16 * 1024)]
    return grpc.aio.insecure_channel(address or addresses()[0], options=options)


def addresses() -> list[str]:
    """Returns the addresses of all servers."""
    return os.environ[ADDRESSES].split(",")


class Turns:
    """One of several servers at a time: the next one when it fails."""

    def __init__(self, dice: random.Random, *, narrow: bool = False) -> None:
        self._dice = dice
        self._channels = [channel(address, narrow=narrow) for address in addresses()]
        self._at = dice.randrange(len(self._channels))

    def channel(self) -> grpc.aio.Channel:
        """The connection to the present server."""
        return self._channels[self._at]

    def move(self) -> None:
        """Switches to another server, if there is one."""
        if len(self._channels) > 1:
            step = self._dice.randrange(1, len(self._channels))
            self._at = (self._at + step) % len(self._channels)


def digest(message: Any) -> str:
    """Returns a digest of all fields of a message."""
    data = message.SerializeToString(deterministic=True)
    return hashlib.blake2b(data, digest_size=8).hexdigest()


async def orders() -> AsyncIterator[str]:
    """Yields the orders of the run from the standard input. Its end is the order to stop."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode().strip()


async def order_to_stop() -> None:
    """Returns when the standard input ends."""
    async for _ in orders():
        pass


def reason(error: grpc.aio.AioRpcError) -> str:
    """Returns the machine-readable reason of the server."""
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            found = REASON.search(value)
            return found.group().decode() if found else ""
    return ""


def text(error: grpc.aio.AioRpcError) -> str:
    """Returns the error of the server on one line."""
    return " ".join((error.details() or "").split())[:300]
