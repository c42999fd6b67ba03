"""What is done to a fleet while it is written to and watched.

A scenario does its harm again and again, and between waits for writes to be acknowledged, never for a
time alone: a run counts only because it was at work.
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

# Writers of each of the two processes, and how long each rests after a request, in seconds.
WRITERS = 8
PAUSE = 0.02
# How often a replica is killed, in seconds, and how many writes there are between at the least.
KILL_EVERY = 2.0
WRITES_BETWEEN = 40
# What is written while readers stall: more than what lies between them and their streams.
STALLED_WRITES = 1_000
# How much history is kept where it is compacted; a compaction is begun every ten seconds.
FEED_BYTES = 600_000
COMPACTED_WITHIN = 90.0


@dataclass
class Stage:
    """Where a scenario plays."""

    folder: Path
    fleet: Fleet
    load: Load
    dice: random.Random
    nats: Nats | None = None
    crowd: Crowd | None = None
    # How often replicas are killed.
    kills: int = 0
    # What was done, in words, for the report.
    done: list[str] = field(default_factory=list)
    unknown: int = 0

    def go_on(self, writes: int = WRITES_BETWEEN) -> None:
        """Waits until so many writes were acknowledged since."""
        self.unknown += self.load.acknowledged(writes)
        self.fleet.check()


@dataclass
class Scenario:
    """What is set up, and what is done."""

    play: Callable[[Stage], None]
    # See watch.py.
    setting: str = "-"
    # Of each replica.
    options: tuple[str, ...] = ()
    nats: bool = False
    proxied: bool = False
    # Of the writers.
    writing: tuple[str, ...] = ("till",)
    pause: float = PAUSE
    # Whether readers have to be told that their history is gone.
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
    """SIGTERM in turn, as when a release is rolled out."""
    for _ in range(2):
        for replica in stage.fleet.replicas:
            stage.fleet.terminate(replica)
            replica.start()
            replica.wait()
            stage.go_on()
    stage.done.append(f"{2 * len(stage.fleet.replicas)} replicas ended in good order")


def database(stage: Stage) -> None:
    """PostgreSQL is restarted, in good order and at once, as when it crashes."""
    orders = ["stop fast", "stop immediate"]
    for order in orders:
        stage.fleet.cluster.order(order)
        stage.fleet.cluster.order("start")
        stage.go_on(2 * WRITES_BETWEEN)
    stage.done.append(f"PostgreSQL restarted after {', '.join(orders)}")


def connections(stage: Stage) -> None:
    """Connections are cut: of replicas with the database, of clients with replicas, all at once."""
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
    """NATS, which tells replicas to look, is stopped and started."""
    assert stage.nats
    for _ in range(3):
        stage.nats.stop()
        stage.go_on(2 * WRITES_BETWEEN)
        stage.nats.start()
        stage.go_on(2 * WRITES_BETWEEN)
    stage.done.append("NATS away 3 times")


def stalled(stage: Stage) -> None:
    """Readers do not read for so long that their streams are outrun, and go on later."""
    stage.load.all_told(now())
    stage.load.tell("rest")
    stage.go_on(STALLED_WRITES)
    stage.load.tell("go on")
    stage.go_on(100)
    stage.done.append(f"readers stalled for {STALLED_WRITES} writes")


def compaction(stage: Stage) -> None:
    """History is compacted away under readers that are away, and beside those that are there."""
    save(stage.folder / "allowed", [Allowed(compacted=True)])
    stage.go_on(200)
    stage.load.all_told(now())
    # A short rest: what was missed is still there, or not.
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
    """The store is put back to a copy that was made at work; what came after it is gone."""
    fleet, load = stage.fleet, stage.load
    stage.go_on(200)
    load.all_told(now())
    load.stop_writers()
    copy = stage.folder / "copy.sql"
    fleet.cluster.dump(fleet.database, copy)
    undone = stage.folder / "undone"
    undone.mkdir()
    # Their ledger is not judged: whatever it says is undone.
    lost = Load(undone, load.seed)
    lost.write(["10", "11"], WRITERS, PAUSE, "till")
    try:
        lost.acknowledged(200)
        lost.stop_writers()
    finally:
        lost.end()
    # By now every reader is after the copy.
    load.all_told(now())
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
