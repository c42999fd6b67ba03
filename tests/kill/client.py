"""The service as a generated Python client sees it: stubs, channel, digest.

The stubs are generated from the protos at run time, into a folder that the run removes; the
processes of a run find it in PYTHONPATH.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import grpc

ROOT = Path(__file__).resolve().parent.parent.parent

# Where the clients of a run find the server, and with which key they call it.
ADDRESS = "KILL_TEST_ADDRESS"
KEY = "KILL_TEST_KEY"


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


def metadata() -> list[tuple[str, str]]:
    """What goes with every call."""
    return [("authorization", f"Bearer {os.environ[KEY]}")]


def channel() -> grpc.aio.Channel:
    """A connection of its own that is quick to come back and repeats nothing by itself."""
    return grpc.aio.insecure_channel(
        os.environ[ADDRESS],
        options=[
            ("grpc.enable_retries", 0),
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 200),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", -1),
        ],
    )


def digest(message: Any) -> str:
    """Tells messages apart by any of their fields."""
    data = message.SerializeToString(deterministic=True)
    return hashlib.blake2b(data, digest_size=8).hexdigest()


async def told_to_stop() -> None:
    """Returns when the standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


def reason(error: grpc.aio.AioRpcError) -> str:
    """What the server said, on one line."""
    return " ".join((error.details() or "").split())[:300]

