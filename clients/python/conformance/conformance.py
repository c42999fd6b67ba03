"""Runs the story of all clients with the installed package; see clients/conformance/README.md.

    python conformance.py [--asyncio]
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import clientela
from clientela import v1
from google.protobuf import json_format
from google.protobuf.message import Message

PATIENCE = 60.0
KINDS = ("call", "pages", "watch", "figures", "await", "keyless", "refused", "server")
ADDRESS, KEY = os.environ["CLIENTELA_SERVER"], os.environ["CLIENTELA_API_KEY"]


class Threads:
    """The package as a story uses it: one client for each key."""

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {}

    def connect(self, key: str) -> Any:
        return clientela.connect(ADDRESS, key)

    def client(self, key: str) -> Any:
        return self.clients.get(key) or self.clients.setdefault(key, self.connect(key))

    def call(self, key: str, service: str, method: str, request: Any) -> Any:
        return getattr(getattr(self.client(key), service), method)(request)

    def all(self, key: str, service: str, method: str, request: Any, items: str) -> list[Any]:
        client = self.client(key)
        return list(client.all(getattr(getattr(client, service), method), request, lambda page: getattr(page, items)))

    def watch(self, key: str, watch: Watched, what: str, arguments: dict[str, Any]) -> None:
        def follow() -> None:
            try:
                for event in getattr(self.connect(key), what)(**arguments):
                    watch.hear(event)
            except Exception as problem:  # noqa: BLE001
                watch.end(problem)

        threading.Thread(target=follow, daemon=True).start()


class Asyncio(Threads):
    """The same with asyncio, in its own loop."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def connect(self, key: str) -> Any:
        return clientela.connect_async(ADDRESS, key)

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def call(self, key: str, service: str, method: str, request: Any) -> Any:
        async def call() -> Any:
            return await getattr(getattr(self.client(key), service), method)(request)

        return self._run(call())

    def all(self, key: str, service: str, method: str, request: Any, items: str) -> list[Any]:
        async def collect() -> list[Any]:
            client = self.client(key)
            rpc = getattr(getattr(client, service), method)
            return [item async for item in client.all(rpc, request, lambda page: getattr(page, items))]

        return self._run(collect())  # type: ignore[no-any-return]

    def watch(self, key: str, watch: Watched, what: str, arguments: dict[str, Any]) -> None:
        async def follow() -> None:
            try:
                async for event in getattr(self.connect(key), what)(**arguments):
                    watch.hear(event)
            except Exception as problem:  # noqa: BLE001
                watch.end(problem)

        asyncio.run_coroutine_threadsafe(follow(), self._loop)


class Watched:
    """The events of a watch."""

    def __init__(self, filter: str = "") -> None:
        self.filter = filter
        self.figures: Any = None
        self.carts: dict[str, Any] = {}
        self.versions: dict[str, int] = {}
        self.resets: list[str] = []
        self.changes = self.doubles = 0
        self.ready = self.once = False
        self.ended: clientela.Error | None = None
        self.broken: Exception | None = None
        self.lock = threading.Lock()

    def end(self, problem: Exception) -> None:
        if isinstance(problem, clientela.Error):
            self.ended = problem
        else:
            self.broken = problem

    def hear(self, event: clientela.Event | v1.CartFigures) -> None:
        with self.lock:
            if isinstance(event, v1.CartFigures):
                self.figures = event
            elif isinstance(event, clientela.Reset):
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
    """Describes how a value differs from the wanted one. An object may have more fields."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        pairs = [(f"{path}.{name}", value, got.get(name)) for name, value in wanted.items()]
    elif isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        pairs = [(f"{path}.{n}", w, g) for n, (w, g) in enumerate(zip(wanted, got, strict=True))]
    else:
        return None if wanted == got else f"{path or 'it'} is {got!r:.200}, not {wanted!r:.200}"
    return next((why for at, w, g in pairs if (why := differs(w, g, at))), None)


def wrong_error(wanted: dict[str, Any], error: clientela.Error) -> str | None:
    """Describes how an error differs from the wanted one."""
    got = {"code": error.code.name, "reason": error.reason, "metadata": error.metadata}
    missing = set(wanted.get("violations", [])) - {violation.field for violation in error.violations}
    known = {name: value for name, value in wanted.items() if name not in ("violations", "text")}
    why = differs(known, got) or (f"no violation of {missing}" if missing else None)
    return why or wrong_text(wanted, error)


def wrong_text(wanted: dict[str, Any], error: Exception) -> str | None:
    """Returns the wanted parts that the text of an error lacks."""
    missing = [part for part in wanted.get("text", ()) if part not in str(error)]
    return f"the text {str(error)!r} lacks {missing}" if missing else None


def helped(value: Any) -> Any:
    """Replaces {"$money": …} and the like by the result of the package's own function of that name, as
    JSON."""
    if isinstance(value, list):
        return [helped(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    helpers: dict[str, Callable[[Any], Message]] = {
        "$cart": clientela.cart,
        "$customerCart": clientela.customer_cart,
        "$visitorCart": clientela.visitor_cart,
        "$money": lambda arguments: clientela.money(*arguments),
    }
    for name, argument in value.items():
        if name in helpers:
            return json_format.MessageToDict(helpers[name](argument))
    return {name: helped(inner) for name, inner in value.items()}


class Story:
    """The steps, and the state of a run."""

    def __init__(self, face: Threads) -> None:
        with open(os.environ["CLIENTELA_STORY"], encoding="utf-8") as file:
            table = json.load(file)
        self.steps = table["steps"]
        self.face = face
        self.saved = {name: value["text"] * value["times"] for name, value in table["values"].items()}
        self.watches: dict[str, Watched] = {}

    def tell(self) -> None:
        for step in self.steps:
            kind = next(k for k in KINDS if k in step)
            try:
                why = getattr(self, f"do_{kind}")(step)
            except Exception as problem:  # noqa: BLE001
                why = f"{type(problem).__name__}: {problem}"
            print(f"failed {step['step']}: {why}" if why else f"ok {step['step']}", flush=True)
        print("end", flush=True)

    def fill(self, value: Any) -> Any:
        """Replaces the names of saved values by the values."""
        if isinstance(value, dict):
            return {name: self.fill(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.fill(inner) for inner in value]
        if isinstance(value, str) and "${" in value:
            for name, text in self.saved.items():
                value = value.replace(f"${{{name}}}", text)
        return value

    def parsed(self, rpc: str, request: Any) -> tuple[str, str, Any]:
        """Returns the area of the client, the method, and the request of an RPC."""
        service, method = rpc.split(".")
        message = json_format.ParseDict(helped(request), getattr(v1, f"{method}Request")())
        area = {"Cart": "carts", "Customer": "customers", "Group": "groups", "Admin": "admin"}
        return area[service.removesuffix("Service")], method, message

    def ask(self, rpc: str, request: Any, key: str | None = None) -> Any:
        return json_format.MessageToDict(self.face.call(key or KEY, *self.parsed(rpc, request)))

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
        expect = step["expect"]
        try:
            names = [item.name for item in self.all(step["pages"], step["request"])]
        except clientela.Error as error:
            return wrong_error(expect["error"], error) if "error" in expect else str(error)
        if len(names) == len(set(names)) == expect.get("count"):
            return None
        return f"{len(names)} came, {len(set(names))} different ones, not {expect.get('count')}"

    def all(self, rpc: str, request: dict[str, Any]) -> list[Any]:
        items = rpc.partition(".List")[2].lower()
        return self.face.all(KEY, *self.parsed(rpc, request), items)

    def do_watch(self, step: dict[str, Any]) -> None:
        step = self.fill(step)
        watch = self.watches[step["watch"]] = Watched(step.get("filter", ""))
        arguments: dict[str, Any] = {name: step[name] for name in ("filter", "names") if name in step}
        if "target" in step:
            arguments["target"] = json_format.ParseDict(helped(step["target"]), v1.CartTarget())
        self.face.watch(step.get("as") or KEY, watch, "watch_cart" if "target" in step else "watch_carts", arguments)

    def do_figures(self, step: dict[str, Any]) -> None:
        step = self.fill(step)
        watch = self.watches[step["figures"]] = Watched()
        request = json_format.ParseDict(step.get("request", {}), v1.WatchCartFiguresRequest())
        self.face.watch(step.get("as") or KEY, watch, "watch_cart_figures", {"request": request})

    def do_keyless(self, step: dict[str, Any]) -> str | None:
        try:
            with mock.patch.dict(os.environ):
                del os.environ["CLIENTELA_API_KEY"]
                self.face.connect(None)  # type: ignore[arg-type]
        except clientela.Error as error:
            return wrong_error(step["expect"]["error"], error)
        return "it was not refused"

    def do_refused(self, step: dict[str, Any]) -> str | None:
        try:
            helped(step["refused"])
        except ValueError as error:
            return wrong_text(step["expect"], error)
        return "it was not refused"

    def do_await(self, step: dict[str, Any]) -> str | None:
        step = self.fill(step)
        deadline = time.monotonic() + PATIENCE
        while (why := self.not_yet(self.watches[step["await"]], step["expect"])) is not None:
            if time.monotonic() > deadline:
                return why
            time.sleep(0.05)
        return None

    def not_yet(self, watch: Watched, expect: dict[str, Any]) -> str | None:
        """Describes how a watch differs from the expectation."""
        if watch.broken:
            raise watch.broken
        if "ended" in expect:
            return wrong_error(expect["ended"], watch.ended) if watch.ended else "it has not ended"
        if watch.ended:
            raise watch.ended
        with watch.lock:
            ready, changes, doubles = watch.ready, watch.changes, watch.doubles
            resets, carts, figures = list(watch.resets), dict(watch.carts), watch.figures
        if "figures" in expect:
            return differs(expect["figures"], json_format.MessageToDict(figures)) if figures else "there are no figures"
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
        for cart in carts.values() if "cart" in expect else ():
            if why := differs(expect["cart"], json_format.MessageToDict(cart)):
                return why
        if "state" in expect:
            listed = self.all(expect["state"], {"filter": watch.filter})
            if carts != {cart.name: cart for cart in listed}:
                return f"the watch knows {len(carts)} carts, {len(listed)} are listed, or they differ"
        return None

    def do_server(self, step: dict[str, Any]) -> str | None:
        print(f"do {step['server']}", flush=True)
        answer = sys.stdin.readline().strip()
        return None if answer == "done" else answer


Story(Asyncio() if "--asyncio" in sys.argv else Threads()).tell()
# The threads of the watches still run.
os._exit(0)
