#!/usr/bin/env python3
"""Forwards connections, and cuts those of a port on demand.

    proxy.py LISTEN:TARGET…

A line on the input is the number of a pair, from 0 on: all its connections of that moment are reset.
"""

from __future__ import annotations

import asyncio
import sys

from client import orders

CHUNK = 64 * 1024


class Way:
    """One port and its target."""

    def __init__(self, listen: int, target: int) -> None:
        self.listen = listen
        self.target = target
        self.open: set[asyncio.StreamWriter] = set()

    async def serve(self) -> None:
        await asyncio.start_server(self.forward, "127.0.0.1", self.listen)

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forwards a connection in both directions until one end closes."""
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, back}
        self.open |= ends
        ways = [
            asyncio.ensure_future(pump(reader, back)),
            asyncio.ensure_future(pump(there, writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        self.open -= ends
        for end in ends:
            end.transport.abort()

    def cut(self) -> None:
        """Resets all connections."""
        for writer in list(self.open):
            writer.transport.abort()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forwards bytes as fast as the target accepts them."""
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:
        # One end is gone, so the connection is over.
        pass


async def main() -> None:
    ways = [Way(*map(int, pair.split(":"))) for pair in sys.argv[1:]]
    for way in ways:
        await way.serve()
    async for line in orders():
        ways[int(line)].cut()


if __name__ == "__main__":
    asyncio.run(main())
