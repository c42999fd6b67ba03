"""Three replicas on one PostgreSQL, and the proxies between them and their clients."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from client import ADDRESSES, KEY
from server import Cluster, Failed, Nats, Server, free_port, wait_for_port, with_parent

REPLICAS = 3


class Proxy:
    """Forwards the connections to some ports, and cuts them on demand."""

    def __init__(self, targets: list[int], dice: random.Random) -> None:
        self.ports = [free_port(dice) for _ in targets]
        pairs = [f"{port}:{target}" for port, target in zip(self.ports, targets, strict=True)]
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("proxy.py"), *pairs],
            stdin=subprocess.PIPE,
            preexec_fn=with_parent,
        )
        for port in self.ports:
            wait_for_port(port)

    def cut(self, number: int) -> None:
        """Cuts all present connections through a port."""
        assert self._process.stdin
        self._process.stdin.write(f"{number}\n".encode())
        self._process.stdin.flush()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


class Fleet:
    """The replicas, each with its own folder."""

    def __init__(
        self,
        folder: Path,
        cluster: Cluster,
        dice: random.Random,
        *options: str,
        nats: Nats | None = None,
        proxied: bool = False,
    ) -> None:
        self.cluster = cluster
        self.name = folder.name
        # The admin key, once there is one.
        self.key = ""
        self.database = cluster.create(self.name)
        ports = [free_port(dice) for _ in range(REPLICAS)]
        self.to_database = self.to_replicas = None
        urls = [self.database] * REPLICAS
        if proxied:
            self.to_database = Proxy([cluster.port] * REPLICAS, dice)
            urls = [
                self.database.replace(f":{cluster.port}/", f":{port}/")
                for port in self.to_database.ports
            ]
        if nats:
            options = (*options, f"--nats-url={nats.url}")
        self.replicas = []
        for number, (port, url) in enumerate(zip(ports, urls, strict=True)):
            home = folder / f"replica-{number}"
            home.mkdir()
            self.replicas.append(Server(home, url, port, *options))

    def start(self) -> None:
        """Starts all replicas. The first makes the schema and the keys; the clients get all addresses."""
        for replica in self.replicas:
            replica.start()
            if not self.key:
                self.key = replica.wait_for_key()
                os.environ[KEY] = self.key
        for replica in self.replicas:
            replica.wait()
        ports = [replica.port for replica in self.replicas]
        if self.to_database:
            self.to_replicas = Proxy(ports, random.Random(ports[0]))
            ports = self.to_replicas.ports
        os.environ[ADDRESSES] = ",".join(f"127.0.0.1:{port}" for port in ports)

    def check(self) -> None:
        """Fails if a replica has ended by itself."""
        for replica in self.replicas:
            replica.check()

    def terminate(self, replica: Server) -> None:
        """Stops a replica with SIGTERM."""
        try:
            code = replica.terminate()
        except subprocess.TimeoutExpired as late:
            raise Failed(f"a replica does not end: {late}") from late
        if code != 0:
            raise Failed(f"a replica ended with {code}")

    def terminate_all(self) -> None:
        """Stops all replicas with SIGTERM, at the same time."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(self.terminate, self.replicas))

    def end(self) -> None:
        """Kills all replicas."""
        for replica in self.replicas:
            replica.kill()
        for proxy in (self.to_database, self.to_replicas):
            if proxy:
                proxy.end()

    def logs(self) -> str:
        """Returns the ends of the logs of the replicas."""
        return "".join(replica.log.read_text()[-1500:] for replica in self.replicas)
