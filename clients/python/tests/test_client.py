"""What a story cannot show: a server that is away for long, silent, or says what it should not.

Run with the package installed: `python clients/python/tests/test_client.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import unittest
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, NamedTuple
from unittest import mock

import clientela
import grpc
from clientela import v1
from clientela.v1 import cart_service_pb2_grpc
from google.rpc import error_details_pb2, status_pb2

PATIENCE = 60.0
RESPONSE = v1.WatchCartsResponse
INITIAL = RESPONSE(snapshot_begin=v1.SnapshotBegin(cause=v1.SnapshotBegin.CAUSE_INITIAL))


def change(name: str, version: int, kind: int = clientela.UPSERTED) -> Any:
    cart = v1.Cart(name=name, version=version) if kind == clientela.UPSERTED else None
    return v1.CartChange(kind=kind, name=name, version=version, cart=cart)


def whole(*changes: Any, token: str = "t") -> list[Any]:
    """A snapshot of these, and its end."""
    end = RESPONSE(resume_token=token, snapshot_end=v1.SnapshotEnd(count=len(changes)))
    return [INITIAL, RESPONSE(changes=changes), end]


class Refusal(NamedTuple):
    """How a stream ends if the server says why."""

    code: grpc.StatusCode
    reason: str

    def trailers(self) -> Any:
        status = status_pb2.Status(code=self.code.value[0], message="as scripted")
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason=self.reason, domain="clientela.v1"))
        return (("grpc-status-details-bin", status.SerializeToString()),)


class Scripted(cart_service_pb2_grpc.CartServiceServicer):
    """Answers the streams in turn, each with messages and then a code; None: it stays."""

    def __init__(self, *streams: tuple[list[Any], grpc.StatusCode | Refusal | None]) -> None:
        self.streams = iter(streams)
        self.requests: list[Any] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failing = 0
        self.ended = threading.Event()

    def WatchCarts(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        self.requests.append(request)
        messages, code = next(self.streams)
        yield from messages
        if code is None:
            context.add_callback(self.ended.set)
            self.ended.wait(PATIENCE)
        elif isinstance(code, Refusal):
            context.set_trailing_metadata(code.trailers())
            context.abort(code.code, "as scripted")
        else:
            context.abort(code, "as scripted")

    def ClearCart(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls.append((request.request_id, dict(context.invocation_metadata())))
        if len(self.calls) <= self.failing:
            context.abort(grpc.StatusCode.UNAVAILABLE, "as scripted")
        return v1.Cart()


@contextlib.contextmanager
def serving(servicer: Scripted, address: str = "127.0.0.1:0") -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(8))
    cart_service_pb2_grpc.add_CartServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port(address)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        servicer.ended.set()
        server.stop(None).wait()


class Waits:
    """Notes how long a watch would have waited, and goes on at once."""

    def __init__(self) -> None:
        self.bounds: list[tuple[float, float]] = []

    def __call__(self, least: float, most: float) -> float:
        self.bounds.append((least, most))
        return 0.0


def injected(wait: Callable[[float, float], float]) -> Any:
    """Makes watches draw their waits by this."""
    made = clientela._Following

    def following(*arguments: Any, **options: Any) -> Any:
        return made(*arguments, **options, random=wait)

    return mock.patch.object(clientela, "_Following", following)


def read(address: str, count: int, **options: Any) -> list[Any]:
    with clientela.connect(address, "clt_test") as client:
        return list(itertools.islice(client.watch_carts(**options), count))


def read_async(address: str, count: int, **options: Any) -> list[Any]:
    async def follow() -> list[Any]:
        async with clientela.connect_async(address, "clt_test") as client:
            events: list[Any] = []
            async for event in client.watch_carts(**options):
                events.append(event)
                if len(events) == count:
                    break
            return events

    return asyncio.run(follow())


def told(events: list[Any]) -> list[Any]:
    """Events, to compare."""
    return [
        (event.name, event.version, event.kind) if isinstance(event, clientela.Change) else event for event in events
    ]


class Watching(unittest.TestCase):
    def each(self, servicer: Callable[[], Scripted], count: int, **options: Any) -> list[tuple[Scripted, list[Any]]]:
        """What a watch tells of a scripted server, with threads and with asyncio; without waiting."""
        results = []
        for how in (read, read_async):
            scripted = servicer()
            with self.subTest(how.__name__), serving(scripted) as address, injected(Waits()):
                results.append((scripted, told(how(address, count, **options))))
        self.assertEqual(len(results), 2)
        return results

    def test_a_watch_goes_on_with_the_last_token_and_drops_what_comes_twice(self) -> None:
        def servicer() -> Scripted:
            first = [*whole(change("carts/a", 1)), RESPONSE(changes=[change("carts/a", 2)], resume_token="t2")]
            again = [change("carts/a", 2), change("carts/a", 3), change("carts/a", 2)]
            return Scripted((first, grpc.StatusCode.INTERNAL), ([RESPONSE(changes=again, resume_token="t3")], None))

        for scripted, events in self.each(servicer, 5):
            upserted = [("carts/a", version, clientela.UPSERTED) for version in (1, 2, 3)]
            self.assertEqual(events, [clientela.Reset("CAUSE_INITIAL"), upserted[0], clientela.Ready(1), *upserted[1:]])
            self.assertEqual([r.options.resume_token for r in scripted.requests], ["", "t2"])

    def test_a_snapshot_that_breaks_off_begins_again(self) -> None:
        def servicer() -> Scripted:
            half = ([INITIAL, RESPONSE(changes=[change("carts/a", 7)])], grpc.StatusCode.UNKNOWN)
            return Scripted(half, (whole(change("carts/b", 1)), None))

        for scripted, events in self.each(servicer, 5):
            reset = clientela.Reset("CAUSE_INITIAL")
            self.assertEqual(events[:3], [reset, ("carts/a", 7, clientela.UPSERTED), reset])
            self.assertEqual(events[3:], [("carts/b", 1, clientela.UPSERTED), clientela.Ready(1)])
            self.assertEqual([r.options.resume_token for r in scripted.requests], ["", ""])

    def test_a_token_that_leads_nowhere_is_forgotten(self) -> None:
        for code in (grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.ABORTED):

            def servicer(code: grpc.StatusCode = code) -> Scripted:
                return Scripted((whole(), grpc.StatusCode.INTERNAL), ([], code), (whole(token="new"), None))

            for scripted, events in self.each(servicer, 4):
                self.assertEqual(events[2:], [clientela.Reset("CAUSE_INITIAL"), clientela.Ready(0)])
                self.assertEqual([r.options.resume_token for r in scripted.requests], ["", "t", ""])

    def test_what_the_clock_lets_leave_and_enter_again_is_told(self) -> None:
        left, deleted = clientela.LEFT_FILTER, clientela.DELETED

        def servicer() -> Scripted:
            changes = [change("carts/a", 3, left), change("carts/a", 3, left), change("carts/a", 3)]
            changes += [change("carts/unknown", 9, left), change("carts/unknown", 9, deleted)]
            changes += [change("carts/a", 4, deleted), change("carts/a", 3), change("carts/a", 2, left)]
            return Scripted((whole(change("carts/a", 3)), grpc.StatusCode.INTERNAL), ([RESPONSE(changes=changes)], None))

        for _, events in self.each(servicer, 6, filter="update_time < now - 30m"):
            wanted = [("carts/a", 3, left), ("carts/a", 3, clientela.UPSERTED), ("carts/a", 4, deleted)]
            self.assertEqual(events[3:], wanted)

    def test_a_watch_that_was_read_too_slowly_goes_on_without_a_loss_or_a_repetition(self) -> None:
        def servicer() -> Scripted:
            first = [*whole(change("carts/a", 1)), RESPONSE(changes=[change("carts/a", 2)], resume_token="t2")]
            # As it comes across a reconnect: what is known already, then what was missed.
            missed = [change("carts/a", 2), change("carts/a", 3, clientela.DELETED), change("carts/b", 1)]
            slow = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "SLOW_CONSUMER")
            return Scripted((first, slow), ([RESPONSE(changes=missed, resume_token="t3")], None))

        for scripted, events in self.each(servicer, 6):
            self.assertEqual([*events[:1], events[2]], [clientela.Reset("CAUSE_INITIAL"), clientela.Ready(1)])
            first, second = ("carts/a", 1, clientela.UPSERTED), ("carts/a", 2, clientela.UPSERTED)
            after = [second, ("carts/a", 3, clientela.DELETED), ("carts/b", 1, clientela.UPSERTED)]
            self.assertEqual([events[1], *events[3:]], [first, *after])
            self.assertEqual([r.options.resume_token for r in scripted.requests], ["", "t2"])

    def test_what_waiting_does_not_cure_is_raised(self) -> None:
        for how in (read, read_async):
            for code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED):
                with serving(Scripted(([], code))) as address, self.assertRaises(clientela.Error) as caught:
                    how(address, 1)
                self.assertEqual(caught.exception.code, code)

    def test_a_server_that_is_away_for_ten_minutes_is_waited_for(self) -> None:
        for how in (read, read_async):
            waits, lost = Waits(), []
            with serving(Scripted()) as address:
                pass
            servicer = Scripted((whole(), None))
            with contextlib.ExitStack() as stack:

                def wait(least: float, most: float, waits: Waits = waits, address: str = address) -> float:
                    # Ten minutes of waits that are as long as they may be, and the server is back.
                    if sum(most for _, most in waits.bounds) >= 600 and not servicer.requests and not back:
                        back.append(stack.enter_context(serving(servicer, address)))
                    return waits(least, most)

                back: list[str] = []
                # As without a network; a real one would be asked five times for each attempt.
                options = [option for option in clientela._OPTIONS if option[0] != "grpc.service_config"]
                with injected(wait), mock.patch.object(clientela, "_OPTIONS", options):
                    events = how(address, 2, notify=lost.append)
            self.assertEqual(events, [clientela.Reset("CAUSE_INITIAL"), clientela.Ready(0)])
            growing = [0.2, 0.4, 0.8, 1.6, 3.2, 6.4]
            self.assertEqual([round(most, 3) for _, most in waits.bounds[:6]], growing)
            self.assertEqual({bounds for bounds in waits.bounds[6:]}, {(0.1, 10.0)})
            self.assertIs(lost[-1], None)
            self.assertEqual(lost[0].code, grpc.StatusCode.UNAVAILABLE)

    def test_a_server_that_is_silent_is_left(self) -> None:
        options = v1.WatchOptions()
        options.heartbeat_interval.FromMilliseconds(1)  # Taken as one second, so silence is three.
        for how in (read, read_async):
            lost: list[Any] = []
            with serving(Scripted((whole(), None), ([RESPONSE(changes=[change("carts/a", 1)])], None))) as address:
                events = how(address, 3, options=options, notify=lost.append)
            self.assertEqual(told(events)[2], ("carts/a", 1, clientela.UPSERTED))
            self.assertIn("nothing was heard", str(lost[0]))

    def test_a_watch_ends_when_it_is_closed_elsewhere(self) -> None:
        with serving(Scripted((whole(), None))) as address, clientela.connect(address, "k") as client:
            watch = client.watch_carts()
            self.assertEqual([next(watch), next(watch)], [clientela.Reset("CAUSE_INITIAL"), clientela.Ready(0)])
            threading.Timer(0, watch.close).start()
            self.assertEqual(list(watch), [])


class Calling(unittest.TestCase):
    def test_a_call_is_repeated_with_one_request_id_and_the_key(self) -> None:
        servicer, request = Scripted(), v1.ClearCartRequest()
        servicer.failing = 2
        with serving(servicer) as address:
            with clientela.connect(address, "clt_k", shop="shops/a", actor="ada", on_behalf_of="bob") as client:
                client.carts.ClearCart(request)
                client.carts.ClearCart(request)
        ids = [request_id for request_id, _ in servicer.calls]
        self.assertEqual(len(ids), 4)
        self.assertEqual(len(set(ids[:3])), 1)
        self.assertTrue(ids[0] and ids[3] and ids[0] != ids[3])
        self.assertEqual(request, v1.ClearCartRequest())
        sent = servicer.calls[0][1]
        self.assertEqual(sent["authorization"], "Bearer clt_k")
        self.assertEqual((sent["clientela-shop"], sent["clientela-actor"]), ("shops/a", "ada"))
        self.assertEqual(sent["clientela-on-behalf-of"], "bob")

    def test_a_request_id_of_the_caller_is_kept(self) -> None:
        servicer = Scripted()
        with serving(servicer) as address, clientela.connect(address) as client:
            client.carts.ClearCart(v1.ClearCartRequest(request_id="mine"))
        self.assertEqual([request_id for request_id, _ in servicer.calls], ["mine"])

    def test_a_call_without_a_server_is_unavailable(self) -> None:
        with serving(Scripted()) as address:
            pass
        with clientela.connect(address) as client, self.assertRaises(clientela.Error) as caught:
            client.carts.ClearCart(v1.ClearCartRequest())
        self.assertEqual((caught.exception.code, caught.exception.reason), (grpc.StatusCode.UNAVAILABLE, ""))

    def test_only_loopback_is_plaintext_without_being_asked(self) -> None:
        def how(address: str, **options: Any) -> str:
            with mock.patch.object(grpc, "insecure_channel") as plain, mock.patch.object(grpc, "secure_channel"):
                clientela.connect(address, "k", **options)
                return "plaintext" if plain.called else "tls"

        for address in ("127.0.0.1:1", "localhost:1", "[::1]:1", "dns:///127.0.0.1:1"):
            self.assertEqual(how(address), "plaintext", address)
        credentials = grpc.ssl_channel_credentials()
        self.assertEqual(how("127.0.0.1:1", tls=credentials), "tls")
        for address in ("shop.example:443", "10.0.0.1:1", "localhost.example:1", "[2001:db8::1]:1"):
            self.assertEqual(how(address), "tls", address)
            self.assertEqual(how(address, plaintext=True), "plaintext", address)


if __name__ == "__main__":
    ended = unittest.main(exit=False, verbosity=2).result
    bad = len(ended.failures) + len(ended.errors)
    print(f"{ended.testsRun - min(bad, ended.testsRun)} passed, {bad} failed")
    raise SystemExit(bad > 0)
