"""Watches the server clients/go/conformance/flood, and prints the rate and the delay of the changes.

    python load.py [--asyncio] [--changes 100000] [--address 127.0.0.1:23456]
"""

from __future__ import annotations

import argparse
import asyncio
import time

import clientela


class Load:
    """The changes so far."""

    def __init__(self, changes: int) -> None:
        self.changes = changes
        self.late: list[float] = []
        self.known: dict[str, object] = {}
        self.started = 0.0

    def hear(self, event: clientela.Event) -> bool:
        """Counts a change and returns whether it was the last."""
        if isinstance(event, clientela.Change):
            self.known[event.name] = event.cart
            time_of = event.message.commit_time
            self.late.append(time.time() - time_of.seconds - time_of.nanos / 1e9)
        else:
            self.started = time.time()
        return len(self.late) == self.changes

    def tell(self) -> None:
        took, last, late = time.time() - self.started, self.late[-1], sorted(self.late)
        half, most = late[len(late) // 2], late[int(len(late) * 0.99)]
        print(
            f"{len(late)} changes in {took:.1f} s: {len(late) / took:.0f}/s;"
            f" late: half {half * 1e3:.1f} ms, 99 of 100 {most * 1e3:.1f} ms, the last {last * 1e3:.1f} ms"
        )


async def watch(address: str, load: Load) -> None:
    async with clientela.connect_async(address) as client:
        async for event in client.watch_carts():
            if load.hear(event):
                return


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--asyncio", action="store_true")
    parser.add_argument("--changes", type=int, default=100_000)
    parser.add_argument("--address", default="127.0.0.1:23456")
    options = parser.parse_args()
    load = Load(options.changes)
    if options.asyncio:
        asyncio.run(watch(options.address, load))
    else:
        with clientela.connect(options.address) as client:
            next(event for event in client.watch_carts() if load.hear(event))
    load.tell()


if __name__ == "__main__":
    main()
