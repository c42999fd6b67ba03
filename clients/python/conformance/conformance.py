"""Tells the story of all clients with the installed package; see clients/conformance/README.md.

    python conformance.py [--asyncio]
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from typing import Any

import clientela
from clientela import v1
from google.protobuf import json_format

PATIENCE = 60.0
ADDRESS, KEY = os.environ["CLIENTELA_SERVER"], os.environ["CLIENTELA_API_KEY"]


class Face:
    """The package as a story uses it: one client for each key."""

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {}

    def call(self, key: str, service: str, method: str, request: Any) -> Any:
        client = self.clients.get(key) or self.clients.setdefault(key, clientela.connect(ADDRESS, key))
        return getattr(getattr(client, service), method)(request)

    def watch(self, key: str, watch: Watched, options: dict[str, Any]) -> None:
        def follow() -> None:
            client = clientela.connect(ADDRESS, key)
            watch.hear_all(client.watch_carts(**options))

        threading.Thread(target=follow, daemon=True).start()


class AsyncFace(Face):
    """The same over asyncio, in a loop of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def call(self, key: str, service: str, method: str, request: Any) -> Any:
        async def call() -> Any:
            client = self.clients.get(key) or self.clients.setdefault(key, clientela.connect_async(ADDRESS, key))
            return await getattr(getattr(client, service), method)(request)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(PATIENCE)

    def watch(self, key: str, watch: Watched, options: dict[str, Any]) -> None:
        async def follow() -> None:
            client = clientela.connect_async(ADDRESS, key)
            try:
                async for event in client.watch_carts(**options):
                    watch.hear(event)
            except clientela.Error as error:
                watch.ended = error
            except Exception as problem:  # noqa: BLE001
                watch.broken = problem

        asyncio.run_coroutine_threadsafe(follow(), self._loop)


class Watched:
    """What a watch has told."""

    def __init__(self, filter: str) -> None:
        self.filter = filter
        self.carts: dict[str, Any] = {}
        self.versions: dict[str, int] = {}
        self.resets: list[str] = []
        self.changes = self.doubles = 0
        self.ready = self.once = False
        self.ended: clientela.Error | None = None
        self.broken: Exception | None = None
        self.lock = threading.Lock()

    def hear_all(self, events: Any) -> None:
        try:
            for event in events:
                self.hear(event)
        except clientela.Error as error:
            self.ended = error
        except Exception as problem:  # noqa: BLE001
            self.broken = problem

    def hear(self, event: clientela.Event) -> None:
        with self.lock:
            if isinstance(event, clientela.Reset):
                self.resets.append(event.cause)
                self.carts.clear()
                self.versions.clear()
                self.ready = False
            elif isinstance(event, clientela.Ready):
                self.ready = self.once = True
            else:
                self.changes += self.once
                self.doubles += event.version <= self.versions.get(event.name, -1)
                self.versions[event.name] = event.version
                if event.kind == clientela.UPSERTED:
                    self.carts[event.name] = event.cart
                else:
                    self.carts.pop(event.name, None)


def differs(wanted: Any, got: Any, path: str = "") -> str | None:
    """Where something is not as wanted: objects may have more."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        pairs = [(f"{path}.{name}", value, got.get(name)) for name, value in wanted.items()]
    elif isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        pairs = [(f"{path}.{n}", w, g) for n, (w, g) in enumerate(zip(wanted, got, strict=True))]
    else:
        return None if wanted == got else f"{path or 'it'} is {got!r:.200}, not {wanted!r:.200}"
    return next((why for at, w, g in pairs if (why := differs(w, g, at))), None)


def wrong_error(wanted: dict[str, Any], error: clientela.Error) -> str | None:
    """In what an error is not as wanted."""
    got = {"code": error.code.name, "reason": error.reason, "metadata": error.metadata}
    missing = set(wanted.get("violations", [])) - {violation.field for violation in error.violations}
    known = {name: value for name, value in wanted.items() if name != "violations"}
    return differs(known, got) or (f"no violation of {missing}" if missing else None)


class Story:
    """The steps, and what they leave."""

    def __init__(self, face: Face) -> None:
        with open(os.environ["CLIENTELA_STORY"], encoding="utf-8") as file:
            table = json.load(file)
        self.steps = table["steps"]
        self.face = face
        self.saved = {name: value["text"] * value["times"] for name, value in table["values"].items()}
        self.watches: dict[str, Watched] = {}

    def tell(self) -> None:
        for step in self.steps:
            kind = next(k for k in ("call", "pages", "watch", "await", "server") if k in step)
            try:
                why = getattr(self, f"do_{kind}")(step)
            except Exception as problem:  # noqa: BLE001
                why = f"{type(problem).__name__}: {problem}"
            print(f"failed {step['step']}: {why}" if why else f"ok {step['step']}", flush=True)
        print("end", flush=True)

    def fill(self, value: Any) -> Any:
        """Puts what was saved into its places."""
        if isinstance(value, dict):
            return {name: self.fill(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.fill(inner) for inner in value]
        if isinstance(value, str) and "${" in value:
            for name, text in self.saved.items():
                value = value.replace(f"${{{name}}}", text)
        return value

    def ask(self, method: str, request: Any, key: str | None = None) -> Any:
        service, method = method.split(".")
        message = json_format.ParseDict(request, getattr(v1, f"{method}Request")())
        area = {"Cart": "carts", "Customer": "customers", "Group": "groups", "Admin": "admin"}
        answer = self.face.call(key or KEY, area[service.removesuffix("Service")], method, message)
        return json_format.MessageToDict(answer)

    def do_call(self, step: dict[str, Any]) -> str | None:
        for number in range(1, step.get("repeat", 1) + 1):
            self.saved["n"] = str(number)
            filled = self.fill(step)
            expect = filled["expect"]
            try:
                answer = self.ask(filled["call"], filled["request"], filled.get("as"))
            except clientela.Error as error:
                why = wrong_error(expect["error"], error) if "error" in expect else str(error)
            else:
                why = differs(expect["response"], answer) if "response" in expect else "it was not refused"
                for name, path in step.get("save", {}).items() if not why else ():
                    value = answer
                    for part in path.split("."):
                        value = value[int(part)] if isinstance(value, list) else value[part]
                    self.saved[name] = value
            if why:
                return why
        return None

    def do_pages(self, step: dict[str, Any]) -> str | None:
        names = [item["name"] for item in self.pages(step["pages"], step["request"], step["items"])]
        count = step["expect"]["count"]
        if len(names) == len(set(names)) == count:
            return None
        return f"{len(names)} came, {len(set(names))} different ones, not {count}"

    def pages(self, method: str, request: dict[str, Any], items: str) -> list[Any]:
        found, token = [], ""
        while True:
            page = self.ask(method, {**request, "pageToken": token})
            found += page.get(items, [])
            token = page.get("nextPageToken", "")
            if not token:
                return found

    def do_watch(self, step: dict[str, Any]) -> None:
        step = self.fill(step)
        watch = self.watches[step["watch"]] = Watched(step.get("filter", ""))
        options = {name: step[name] for name in ("filter", "names") if name in step}
        self.face.watch(step.get("as") or KEY, watch, options)

    def do_await(self, step: dict[str, Any]) -> str | None:
        step = self.fill(step)
        deadline = time.monotonic() + PATIENCE
        while (why := self.not_yet(self.watches[step["await"]], step["expect"])) is not None:
            if time.monotonic() > deadline:
                return why
            time.sleep(0.05)
        return None

    def not_yet(self, watch: Watched, expect: dict[str, Any]) -> str | None:
        """In what a watch is not as expected."""
        if watch.broken:
            raise watch.broken
        if "ended" in expect:
            return wrong_error(expect["ended"], watch.ended) if watch.ended else "it has not ended"
        if watch.ended:
            raise watch.ended
        with watch.lock:
            ready, changes, doubles = watch.ready, watch.changes, watch.doubles
            resets, carts = list(watch.resets), dict(watch.carts)
        if "reset" in expect and expect["reset"] not in resets:
            return f"the resets are {resets}"
        if ("state" in expect or "known" in expect) and not ready:
            return "the snapshot is not whole"
        if "known" in expect and len(carts) != expect["known"]:
            return f"{len(carts)} carts are known, not {expect['known']}"
        if changes < expect.get("changes", 0):
            return f"{changes} changes came, not {expect['changes']}"
        if doubles != expect.get("doubles", doubles):
            return f"{doubles} changes came twice"
        if "state" in expect:
            listed = self.pages(expect["state"], {"filter": watch.filter}, "carts")
            known = {name: json_format.MessageToDict(cart) for name, cart in carts.items()}
            if known != {cart["name"]: cart for cart in listed}:
                return f"the watch knows {len(known)} carts, {len(listed)} are listed, or they differ"
        return None

    def do_server(self, step: dict[str, Any]) -> str | None:
        print(f"do {step['server']}", flush=True)
        answer = sys.stdin.readline().strip()
        return None if answer == "done" else answer


Story(AsyncFace() if "--asyncio" in sys.argv else Face()).tell()
# Watches go on; nobody reads them any more.
os._exit(0)
