"""The scenarios: harm to a fleet while clients write and watch.

A scenario repeats its harm, and waits in between for acknowledged writes, never only for a time, because a
run without load proves nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from crowd_control import Crowd
from fleet import Fleet
from records import Allowed, now, save
from server import Failed, Nats
from trial import Load

# Writers in each of the two processes, and the pause of each after a request, in seconds.
WRITERS = 8
PAUSE = 0.02
# Seconds between two kills of a replica, and the smallest number of writes in between.
KILL_EVERY = 2.0
WRITES_BETWEEN = 40
# Number of writes while readers stall: more than the buffers of their streams hold.
STALLED_WRITES = 1_000
# Bytes of history that compaction keeps; a compaction begins every ten seconds.
FEED_BYTES = 600_000
COMPACTED_WITHIN = 90.0


@dataclass
class Stage:
    """The environment of a scenario."""

    folder: Path
    fleet: Fleet
    load: Load
    dice: random.Random
    nats: Nats | None = None
    crowd: Crowd | None = None
    # Number of kills.
    kills: int = 0
    # Description of the harm, for the report.
    done: list[str] = field(default_factory=list)
    unknown: int = 0

    def go_on(self, writes: int = WRITES_BETWEEN) -> None:
        """Waits until a number of further writes are acknowledged."""
        self.unknown += self.load.acknowledged(writes)
        self.fleet.check()


@dataclass
class Scenario:
    """The setting and the harm of a scenario."""

    play: Callable[[Stage], None]
    # See watch.py.
    setting: str = "-"
    # Flags of each replica.
    options: tuple[str, ...] = ()
    nats: bool = False
    proxied: bool = False
    # Flags of the writers.
    writing: tuple[str, ...] = ("till",)
    pause: float = PAUSE
    # Whether readers must get the error that their history is gone.
    tells: bool = False


def kills(stage: Stage) -> None:
    """SIGKILL of a replica every two seconds."""
    for _ in range(stage.kills):
        began = now()
        replica = stage.dice.choice(stage.fleet.replicas)
        replica.kill()
        killed = now()
        replica.start()
        if stage.crowd:
            stage.crowd.note(killed)
        stage.go_on()
        time.sleep(max(0.0, began + KILL_EVERY - now()))
    stage.done.append(f"{stage.kills} kills")


def terms(stage: Stage) -> None:
    """SIGTERM in turn, as in a rolling update."""
    for _ in range(2):
        for replica in stage.fleet.replicas:
            stage.fleet.terminate(replica)
            replica.start()
            replica.wait()
            stage.go_on()
    stage.done.append(f"{2 * len(stage.fleet.replicas)} replicas stopped with SIGTERM")


def database(stage: Stage) -> None:
    """PostgreSQL is restarted, in order and by a crash."""
    orders = ["stop fast", "stop immediate"]
    for order in orders:
        stage.fleet.cluster.order(order)
        stage.fleet.cluster.order("start")
        stage.go_on(2 * WRITES_BETWEEN)
    stage.done.append(f"PostgreSQL restarted after {', '.join(orders)}")


def connections(stage: Stage) -> None:
    """Connections are cut: of replicas to the database, of clients to replicas, and all at once."""
    to_database, to_replicas = stage.fleet.to_database, stage.fleet.to_replicas
    assert to_database and to_replicas
    ways = [(proxy, number) for proxy in (to_database, to_replicas) for number in range(3)]
    stage.dice.shuffle(ways)
    for proxy, number in ways:
        proxy.cut(number)
        stage.go_on()
    for _ in range(3):
        for proxy, number in ways:
            proxy.cut(number)
        stage.go_on()
    stage.done.append(f"{len(ways)} cuts of one kind, 3 of all connections")


def nats(stage: Stage) -> None:
    """NATS, which has the hints, is stopped and started."""
    assert stage.nats
    for _ in range(3):
        stage.nats.stop()
        stage.go_on(2 * WRITES_BETWEEN)
        stage.nats.start()
        stage.go_on(2 * WRITES_BETWEEN)
    stage.done.append("NATS away 3 times")


def stalled(stage: Stage) -> None:
    """Readers do not read until their streams have fallen behind, and continue later."""
    stage.load.all_received(now())
    stage.load.tell("rest")
    stage.go_on(STALLED_WRITES)
    stage.load.tell("go on")
    stage.go_on(100)
    stage.done.append(f"readers stalled for {STALLED_WRITES} writes")


def compaction(stage: Stage) -> None:
    """The history is compacted while some readers are away and others read."""
    save(stage.folder / "allowed", [Allowed(compacted=True)])
    stage.go_on(200)
    stage.load.all_received(now())
    # A short rest: the missed history may still exist or not.
    stage.load.tell("rest")
    stage.go_on(20)
    stage.load.tell("go on")
    stage.go_on(20)
    stage.load.tell("rest")
    fleet = stage.fleet
    reached = "SELECT split_part(value, ' ', 2)::bigint FROM store_meta WHERE key = 'compacted_through'"
    last = int(fleet.cluster.ask(fleet.database, "SELECT MAX(seq) FROM change_log"))
    deadline = now() + COMPACTED_WITHIN
    while int(fleet.cluster.ask(fleet.database, reached) or 0) <= last:
        if now() > deadline:
            raise Failed(f"nothing was compacted in {COMPACTED_WITHIN:.0f} s")
        stage.go_on()
    stage.load.tell("go on")
    stage.go_on(100)
    stage.done.append("history compacted under readers that were away")


def restoration(stage: Stage) -> None:
    """The store is restored from a backup that was made under load; later writes are gone."""
    fleet, load = stage.fleet, stage.load
    stage.go_on(200)
    load.all_received(now())
    load.stop_writers()
    copy = stage.folder / "copy.sql"
    fleet.cluster.dump(fleet.database, copy)
    undone = stage.folder / "undone"
    undone.mkdir()
    # Their ledger is not checked, because the restore undoes its writes.
    lost = Load(undone, load.seed)
    lost.write(["10", "11"], WRITERS, PAUSE, "till")
    try:
        lost.acknowledged(200)
        lost.stop_writers()
    finally:
        lost.end()
    # By now every reader is beyond the backup.
    load.all_received(now())
    fleet.terminate_all()
    fleet.cluster.drop(fleet.name)
    fleet.cluster.create(fleet.name)
    fleet.cluster.restore(fleet.database, copy)
    save(stage.folder / "allowed", [Allowed(restored=now())])
    for replica in fleet.replicas:
        replica.start()
    load.write(["20", "21"], WRITERS, PAUSE)
    stage.go_on(200)
    stage.done.append("restored from a copy")


SCENARIOS: dict[str, Scenario] = {
    "kills": Scenario(kills),
    "terms": Scenario(terms),
    "database": Scenario(database),
    "connections": Scenario(connections, proxied=True),
    "nats": Scenario(nats, nats=True),
    "stalled": Scenario(stalled, setting="stalled", writing=("till", "heavy"), pause=0.0),
    "compaction": Scenario(
        compaction, setting="away", options=(f"--feed-max-bytes={FEED_BYTES}",), tells=True
    ),
    "restoration": Scenario(restoration, setting="reset", tells=True),
}
