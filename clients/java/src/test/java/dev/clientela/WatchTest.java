package dev.clientela;

import static dev.clientela.Sent.CARTS;
import static dev.clientela.v1.ChangeKind.CHANGE_KIND_DELETED;
import static dev.clientela.v1.ChangeKind.CHANGE_KIND_LEFT_FILTER;
import static dev.clientela.v1.ChangeKind.CHANGE_KIND_UPSERTED;
import static dev.clientela.v1.SnapshotBegin.Cause.CAUSE_EPOCH_CHANGED;
import static dev.clientela.v1.SnapshotBegin.Cause.CAUSE_INITIAL;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.rpc.Code;
import dev.clientela.v1.CartChange;
import dev.clientela.v1.ErrorReason;
import dev.clientela.v1.WatchCartsRequest;
import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Tests of watches with streams that are cut, repeated, reset, refused and silent. */
@Timeout(60)
class WatchTest {
    @RegisterExtension
    final Fake server = new Fake();

    private final List<Status> connections = new CopyOnWriteArrayList<>();

    @Test
    void a_watch_that_is_cut_goes_on_after_the_last_token() throws InterruptedException {
        server.cutAfter(CARTS.whole(CAUSE_INITIAL, "carts/a", 1, "t1"))
                .cutAfter(CARTS.change("t2", CHANGE_KIND_UPSERTED, "carts/a", 2))
                .cutAfter(CARTS.change("t3", CHANGE_KIND_UPSERTED, "carts/a", 3));

        assertEquals(
                List.of("reset CAUSE_INITIAL", "carts/a@1", "ready 1", "carts/a@2", "carts/a@3"),
                Told.by(watch(), 5));

        assertEquals("", server.tokens.take());
        assertEquals("t1", server.tokens.take());
        assertEquals("t2", server.tokens.take());
    }

    @Test
    void what_comes_twice_is_told_once() {
        server.cutAfter(CARTS.whole(CAUSE_INITIAL, "carts/a", 2, "t1"))
                .cutAfter(CARTS.change("t1", CHANGE_KIND_UPSERTED, "carts/a", 2),
                        CARTS.change("t2", CHANGE_KIND_DELETED, "carts/a", 3))
                .cutAfter(CARTS.change("t1", CHANGE_KIND_UPSERTED, "carts/a", 2),
                        CARTS.change("t2", CHANGE_KIND_DELETED, "carts/a", 3),
                        CARTS.change("t2", CHANGE_KIND_DELETED, "carts/unknown", 9),
                        CARTS.change("t3", CHANGE_KIND_UPSERTED, "carts/a", 4));

        assertEquals(
                List.of("reset CAUSE_INITIAL", "carts/a@2", "ready 1", "carts/a@3 deleted", "carts/a@4"),
                Told.by(watch(), 5));
    }

    @Test
    void what_the_clock_lets_leave_and_enter_is_told_with_the_version_it_has() {
        server.cutAfter(CARTS.whole(CAUSE_INITIAL, "carts/a", 3, "t1"))
                .cutAfter(CARTS.change("t2", CHANGE_KIND_LEFT_FILTER, "carts/a", 3),
                        CARTS.change("t3", CHANGE_KIND_UPSERTED, "carts/a", 3));

        assertEquals(
                List.of("reset CAUSE_INITIAL", "carts/a@3", "ready 1", "carts/a@3 left", "carts/a@3"),
                Told.by(watch(), 5));
    }

    @Test
    void a_reset_is_told_and_versions_begin_anew() {
        server.cutAfter(CARTS.whole(CAUSE_INITIAL, "carts/a", 7, "t1"))
                .cutAfter(CARTS.whole(CAUSE_EPOCH_CHANGED, "carts/a", 2, "t2"));

        assertEquals(
                List.of("reset CAUSE_INITIAL", "carts/a@7", "ready 1",
                        "reset CAUSE_EPOCH_CHANGED", "carts/a@2", "ready 1"),
                Told.by(watch(), 6));
    }

    @Test
    void a_snapshot_that_is_cut_begins_again() throws InterruptedException {
        server.cutAfter(CARTS.begin(CAUSE_INITIAL), CARTS.change("", CHANGE_KIND_UPSERTED, "carts/a", 1))
                .cutAfter(CARTS.whole(CAUSE_INITIAL, "carts/a", 1, "t"));

        assertEquals(
                List.of("reset CAUSE_INITIAL", "carts/a@1", "reset CAUSE_INITIAL", "carts/a@1", "ready 1"),
                Told.by(watch(), 5));
        server.tokens.take();
        assertEquals("", server.tokens.take());
    }

    @Test
    void a_token_that_is_refused_is_forgotten() throws InterruptedException {
        for (Code code : List.of(Code.OUT_OF_RANGE, Code.ABORTED, Code.INVALID_ARGUMENT)) {
            String reason = code == Code.INVALID_ARGUMENT ? "INVALID_RESUME_TOKEN" : "RESUME_TOKEN_EXPIRED";
            server.cutAfter(CARTS.begin(CAUSE_INITIAL), CARTS.end("t1", 0))
                    .refuse(code, reason)
                    .cutAfter(CARTS.begin(CAUSE_INITIAL), CARTS.end("t2", 0));

            try (Watch<CartChange> watch = watch()) {
                assertEquals(4, Told.by(watch, 4).size());
            }

            assertEquals("", server.tokens.take());
            assertEquals("t1", server.tokens.take());
            assertEquals("", server.tokens.take());
        }
    }

    @Test
    void what_waiting_cannot_mend_is_thrown_with_its_reason() {
        for (Code code : List.of(Code.UNAUTHENTICATED, Code.PERMISSION_DENIED, Code.INVALID_ARGUMENT)) {
            server.refuse(code, "KEY_REVOKED");
            try (Watch<CartChange> watch = watch()) {
                ClientelaException refusal = assertThrows(ClientelaException.class, watch::next);

                assertEquals(code.name(), refusal.getStatus().getCode().name());
                assertEquals(ErrorReason.KEY_REVOKED, refusal.reason());
                assertFalse(watch.hasNext());
            }
        }
    }

    @Test
    void a_watch_that_was_read_too_slowly_goes_on() {
        server.cutAfter(CARTS.begin(CAUSE_INITIAL), CARTS.end("t1", 0))
                .refuse(Code.RESOURCE_EXHAUSTED, "SLOW_CONSUMER")
                .cutAfter(CARTS.change("t2", CHANGE_KIND_UPSERTED, "carts/a", 1));

        assertEquals(List.of("reset CAUSE_INITIAL", "ready 0", "carts/a@1"), Told.by(watch(), 3));
    }

    @Test
    void a_watch_that_a_proxy_gave_up_goes_on() {
        server.cutAfter(CARTS.begin(CAUSE_INITIAL), CARTS.end("t1", 0))
                .refuse(Code.CANCELLED, "")
                .cutAfter(CARTS.change("t2", CHANGE_KIND_UPSERTED, "carts/a", 1));

        assertEquals(List.of("reset CAUSE_INITIAL", "ready 0", "carts/a@1"), Told.by(watch(), 3));
    }

    @Test
    void a_server_that_is_silent_for_too_long_is_left() {
        server.stream(observer -> observer.onNext(CARTS.begin(CAUSE_INITIAL)))
                .cutAfter(CARTS.begin(CAUSE_INITIAL), CARTS.end("t", 0));

        List<String> told = Told.by(watch().silence(Duration.ofMillis(200)), 3);

        assertEquals(List.of("reset CAUSE_INITIAL", "reset CAUSE_INITIAL", "ready 0"), told);
        assertEquals("the server sent nothing for 0.2 s", connections.get(0).getDescription());
        assertTrue(connections.get(1).isOk());
    }

    @Test
    void a_server_that_is_not_there_is_waited_for() throws Exception {
        server.stop();
        CompletableFuture<List<String>> told = CompletableFuture.supplyAsync(() -> Told.by(watch(), 2));
        while (connections.size() < 8) {
            Thread.onSpinWait();
        }
        server.cutAfter(CARTS.begin(CAUSE_INITIAL), CARTS.end("t", 0)).start();

        assertEquals(List.of("reset CAUSE_INITIAL", "ready 0"), told.get());
        assertTrue(connections.stream().limit(8).allMatch(status -> status.getCode() == Status.Code.UNAVAILABLE));
    }

    @Test
    void a_watch_that_is_closed_ends() throws Exception {
        server.stream(observer -> observer.onNext(CARTS.begin(CAUSE_INITIAL)));
        Watch<CartChange> watch = watch();
        assertTrue(watch.hasNext());
        watch.next();

        CompletableFuture<Boolean> more = CompletableFuture.supplyAsync(watch::hasNext);
        server.tokens.take();
        watch.close();

        assertFalse(more.get());
    }

    @Test
    void a_watch_ends_with_its_client() throws Exception {
        server.stream(observer -> observer.onNext(CARTS.begin(CAUSE_INITIAL)));
        Watch<CartChange> watch = watch();
        watch.next();

        CompletableFuture<Boolean> more = CompletableFuture.supplyAsync(watch::hasNext);
        server.client().close();

        assertFalse(more.get());
    }

    @Test
    void the_place_of_the_last_event_is_known() {
        server.cutAfter(CARTS.whole(CAUSE_INITIAL, "carts/a", 1, "t1"))
                .cutAfter(CARTS.change("t2", CHANGE_KIND_UPSERTED, "carts/a", 2));
        Watch<CartChange> watch = watch();

        assertEquals(2, Told.by(watch, 2).size());
        assertEquals("", watch.resumeToken());
        Told.by(watch, 1);
        assertEquals("t1", watch.resumeToken());
        Told.by(watch, 1);
        assertEquals("t2", watch.resumeToken());
    }

    @Test
    void waits_double_up_to_the_longest_and_begin_anew() {
        Backoff backoff = new Backoff(Duration.ofMillis(100), Duration.ofSeconds(10));

        for (int wait = 0; wait < 400; wait++) {
            long whole = (long) Math.min(100 * Math.pow(2, wait), 10_000);
            long next = backoff.next().toMillis();
            assertTrue(next >= whole / 2 && next <= whole, wait + ": " + next);
        }
        assertTrue(backoff.reset());
        assertTrue(backoff.next().toMillis() <= 100);
    }

    @Test
    void what_is_long_gone_takes_no_room() {
        Seen seen = new Seen();
        seen.reset();
        for (int cart = 0; cart < 100_000; cart++) {
            assertTrue(seen.admit(true, "carts/" + cart, 1));
            assertTrue(seen.admit(false, "carts/" + cart, 2));
        }

        assertFalse(seen.admit(true, "carts/99999", 1));
        assertTrue(seen.remembered() <= 20_000, "remembered " + seen.remembered());
    }

    private Watch<CartChange> watch() {
        return server.client().watchCarts(WatchCartsRequest.getDefaultInstance())
                .waits(Duration.ofMillis(1), Duration.ofMillis(4))
                .onConnection(connections::add);
    }
}
