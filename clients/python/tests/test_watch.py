"""Tests of watches with streams that are cut, repeated, refused and silent, and with a server that is
away."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import unittest
from collections.abc import Callable
from typing import Any
from unittest import mock

import clientela
import grpc
from clientela import _calls, _reconnect, v1
from scripted import Refusal, Scripted, begins, change, draining, figures, read, read_async, says, serving, told, whole


class Waits:
    """Records the wait of a watch, and continues at once."""

    def __init__(self) -> None:
        self.bounds: list[tuple[float, float]] = []

    def __call__(self, least: float, most: float) -> float:
        self.bounds.append((least, most))
        return 0.0


def injected(wait: Callable[[float, float], float]) -> Any:
    """Makes watches use this for their waits."""
    return mock.patch.object(_reconnect, "_wait", wait)


class Watching(unittest.TestCase):
    def each(self, servicer: Callable[[], Scripted], count: int, **options: Any) -> list[tuple[Scripted, list[Any]]]:
        """The events of a watch of a scripted server, with threads and with asyncio; without waiting."""
        results = []
        for how in (read, read_async):
            scripted = servicer()
            with self.subTest(how.__name__), serving(scripted) as address, injected(Waits()):
                results.append((scripted, how(address, count, **options)))
        self.assertEqual(len(results), 2)
        return results

    def each_told(
        self, servicer: Callable[[], Scripted], count: int, **options: Any
    ) -> list[tuple[Scripted, list[Any]]]:
        """The same, with changes as name, version and kind."""
        return [(scripted, told(events)) for scripted, events in self.each(servicer, count, **options)]

    def test_a_watch_goes_on_with_the_last_token_and_drops_what_comes_twice(self) -> None:
        def servicer() -> Scripted:
            first = [*whole(change("carts/a", 1)), says(change("carts/a", 2), token="t2")]
            again = [change("carts/a", 2), change("carts/a", 3), change("carts/a", 2)]
            return Scripted((first, grpc.StatusCode.INTERNAL), ([says(*again, token="t3")], None))

        for scripted, events in self.each_told(servicer, 5):
            upserted = [("carts/a", version, clientela.UPSERTED) for version in (1, 2, 3)]
            self.assertEqual(events, [clientela.Reset("CAUSE_INITIAL"), upserted[0], clientela.Ready(1), *upserted[1:]])
            self.assertEqual([r.options.resume_token for r in scripted.requests], ["", "t2"])

    def test_a_snapshot_that_breaks_off_begins_again(self) -> None:
        def servicer() -> Scripted:
            half = ([begins(), says(change("carts/a", 7))], grpc.StatusCode.UNKNOWN)
            return Scripted(half, (whole(change("carts/b", 1)), None))

        for scripted, events in self.each_told(servicer, 5):
            reset = clientela.Reset("CAUSE_INITIAL")
            self.assertEqual(events[:3], [reset, ("carts/a", 7, clientela.UPSERTED), reset])
            self.assertEqual(events[3:], [("carts/b", 1, clientela.UPSERTED), clientela.Ready(1)])
            self.assertEqual([r.options.resume_token for r in scripted.requests], ["", ""])

    def test_a_token_that_leads_nowhere_is_forgotten(self) -> None:
        for code in (grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.ABORTED):

            def servicer(code: grpc.StatusCode = code) -> Scripted:
                return Scripted((whole(), grpc.StatusCode.INTERNAL), ([], code), (whole(token="new"), None))

            for scripted, events in self.each_told(servicer, 4):
                self.assertEqual(events[2:], [clientela.Reset("CAUSE_INITIAL"), clientela.Ready(0)])
                self.assertEqual([r.options.resume_token for r in scripted.requests], ["", "t", ""])

    def test_what_the_clock_lets_leave_and_enter_again_is_told(self) -> None:
        left, deleted = clientela.LEFT_FILTER, clientela.DELETED

        def servicer() -> Scripted:
            changes = [change("carts/a", 3, left), change("carts/a", 3, left), change("carts/a", 3)]
            changes += [change("carts/unknown", 9, left), change("carts/unknown", 9, deleted)]
            changes += [change("carts/a", 4, deleted), change("carts/a", 3), change("carts/a", 2, left)]
            return Scripted((whole(change("carts/a", 3)), grpc.StatusCode.INTERNAL), ([says(*changes)], None))

        for _, events in self.each_told(servicer, 6, filter="update_time < now - 30m"):
            wanted = [("carts/a", 3, left), ("carts/a", 3, clientela.UPSERTED), ("carts/a", 4, deleted)]
            self.assertEqual(events[3:], wanted)

    def test_a_watch_that_was_read_too_slowly_goes_on_without_a_loss_or_a_repetition(self) -> None:
        def servicer() -> Scripted:
            first = [*whole(change("carts/a", 1)), says(change("carts/a", 2), token="t2")]
            # As after a reconnect: known changes first, then the missed ones.
            missed = [change("carts/a", 2), change("carts/a", 3, clientela.DELETED), change("carts/b", 1)]
            slow = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "SLOW_CONSUMER")
            return Scripted((first, slow), ([says(*missed, token="t3")], None))

        for scripted, events in self.each_told(servicer, 6):
            self.assertEqual([*events[:1], events[2]], [clientela.Reset("CAUSE_INITIAL"), clientela.Ready(1)])
            first, second = ("carts/a", 1, clientela.UPSERTED), ("carts/a", 2, clientela.UPSERTED)
            after = [second, ("carts/a", 3, clientela.DELETED), ("carts/b", 1, clientela.UPSERTED)]
            self.assertEqual([events[1], *events[3:]], [first, *after])
            self.assertEqual([r.options.resume_token for r in scripted.requests], ["", "t2"])

    def test_a_watch_that_a_proxy_gave_up_goes_on(self) -> None:
        def servicer() -> Scripted:
            again = ([says(change("carts/a", 2), token="t2")], None)
            return Scripted((whole(change("carts/a", 1)), grpc.StatusCode.CANCELLED), again)

        for scripted, events in self.each_told(servicer, 4):
            self.assertEqual(events[3], ("carts/a", 2, clientela.UPSERTED))
            self.assertEqual([r.options.resume_token for r in scripted.requests], ["", "t"])

    def test_customers_and_groups_are_watched_as_carts_are(self) -> None:
        for of in ("cart", "customer", "group"):
            a, b, b_again = (change(n, v, of=of) for n, v in (("a", 1), ("b", 2), ("b", 3)))
            gone = change("a", 2, clientela.DELETED, of=of)

            def servicer(of: str = of, changes: Any = (a, b, gone, b_again)) -> Scripted:
                a, b, gone, b_again = changes
                first = [*whole(a, of=of), says(b, token="t2", of=of)]
                again = [says(b, gone, of=of), says(b_again, token="t3", of=of)]
                return Scripted((first, grpc.StatusCode.UNAVAILABLE), (again, None))

            for scripted, events in self.each(servicer, 6, what=f"{of}s"):
                reset, ready = clientela.Reset("CAUSE_INITIAL"), clientela.Ready(1)
                self.assertEqual([events[0], events[2]], [reset, ready])
                changes = [events[1], *events[3:]]
                self.assertEqual([event.message for event in changes], [a, b, gone, b_again])
                resources = [getattr(a, of), getattr(b, of), None, getattr(b_again, of)]
                self.assertEqual([event.resource for event in changes], resources)
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
                    # Ten minutes of the longest waits, then the server is back.
                    if sum(most for _, most in waits.bounds) >= 600 and not servicer.requests and not back:
                        back.append(stack.enter_context(serving(servicer, address)))
                    return waits(least, most)

                back: list[str] = []
                # As without a network; a real server would get five requests for each attempt.
                options = [option for option in _calls._OPTIONS if option[0] != "grpc.service_config"]
                with injected(wait), mock.patch.object(_calls, "_OPTIONS", options):
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
            with serving(Scripted((whole(), None), ([says(change("carts/a", 1))], None))) as address:
                events = how(address, 3, options=options, notify=lost.append)
            self.assertEqual(told(events)[2], ("carts/a", 1, clientela.UPSERTED))
            self.assertIn("the server sent nothing for 3 s", str(lost[0]))

    def test_a_watch_ends_when_it_is_closed_elsewhere(self) -> None:
        with serving(Scripted((whole(), None))) as address, clientela.connect(address, "k") as client:
            watch = client.watch_carts()
            self.assertEqual([next(watch), next(watch)], [clientela.Reset("CAUSE_INITIAL"), clientela.Ready(0)])
            threading.Timer(0, watch.close).start()
            self.assertEqual(list(watch), [])

    def test_a_watch_ends_when_the_task_that_reads_it_is_cancelled(self) -> None:
        async def follow(address: str) -> None:
            async with clientela.connect_async(address, "k") as client:
                whole_one = asyncio.Event()

                async def read() -> None:
                    async for event in client.watch_carts():
                        if isinstance(event, clientela.Ready):
                            whole_one.set()

                task = asyncio.create_task(read())
                await whole_one.wait()
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task

        with serving(Scripted((whole(), None))) as address:
            asyncio.run(follow(address))

    def test_a_watch_of_one_cart_continues_after_an_interruption(self) -> None:
        target = clientela.customer_cart("customers/ada")

        def servicer() -> Scripted:
            again = [change("carts/a", 1), change("carts/a", 2)]
            return Scripted((whole(change("carts/a", 1)), grpc.StatusCode.INTERNAL), ([says(*again, token="t2")], None))

        for scripted, events in self.each_told(servicer, 4, what="cart", target=target):
            self.assertEqual(events[3], ("carts/a", 2, clientela.UPSERTED))
            self.assertEqual([r.options.resume_token for r in scripted.requests], ["", "t"])
            self.assertEqual({r.target.owner.customer for r in scripted.requests}, {"customers/ada"})

    def test_figures_continue_after_an_interruption(self) -> None:
        request = v1.WatchCartFiguresRequest(storefront="berlin")

        def servicer() -> Scripted:
            first = ([figures(1), figures(2), draining()], grpc.StatusCode.UNAVAILABLE)
            return Scripted(first, ([], grpc.StatusCode.CANCELLED), ([figures(3)], None))

        lost: list[Any] = []
        for scripted, events in self.each(servicer, 3, what="cart_figures", request=request, notify=lost.append):
            self.assertEqual([event.open_carts for event in events], [1, 2, 3])
            self.assertEqual({r.storefront for r in scripted.requests}, {"berlin"})
        self.assertEqual([error is None for error in lost], [False, False, True] * 2)

    def test_figures_end_with_what_another_attempt_cannot_cure(self) -> None:
        revoked = Refusal(grpc.StatusCode.UNAUTHENTICATED, "KEY_REVOKED")
        for how in (read, read_async):
            with serving(Scripted(([figures(1)], revoked))) as address, self.assertRaises(clientela.Error) as caught:
                how(address, 2, what="cart_figures")
            self.assertEqual(caught.exception.reason, "KEY_REVOKED")

    def test_figures_that_are_silent_are_asked_for_again(self) -> None:
        request = v1.WatchCartFiguresRequest()
        request.heartbeat_interval.FromMilliseconds(1)
        for how in (read, read_async):
            lost: list[Any] = []
            with serving(Scripted(([figures(1)], None), ([figures(2)], None))) as address, injected(Waits()):
                events = how(address, 2, what="cart_figures", request=request, notify=lost.append)
            self.assertEqual([event.open_carts for event in events], [1, 2])
            self.assertIn("the server sent nothing for 3 s", str(lost[0]))
