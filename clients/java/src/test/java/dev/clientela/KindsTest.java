package dev.clientela;

import static dev.clientela.v1.ChangeKind.CHANGE_KIND_DELETED;
import static dev.clientela.v1.ChangeKind.CHANGE_KIND_UPSERTED;
import static dev.clientela.v1.SnapshotBegin.Cause.CAUSE_EPOCH_CHANGED;
import static dev.clientela.v1.SnapshotBegin.Cause.CAUSE_INITIAL;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.protobuf.Message;
import dev.clientela.v1.WatchCartsRequest;
import dev.clientela.v1.WatchCustomersRequest;
import dev.clientela.v1.WatchGroupsRequest;
import dev.clientela.v1.WatchOptions;
import java.time.Duration;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Tests that watches of carts, customers and groups behave alike. */
@Timeout(60)
class KindsTest {
    @RegisterExtension
    final Fake server = new Fake();

    /** A kind: the messages of its watch, the prefix of its names, and its watch. */
    record Kind(Sent sent, String names, Function<WatchOptions, Function<Clientela, Watch<? extends Message>>> watch) {
        @Override
        public String toString() {
            return names;
        }
    }

    static Stream<Kind> kinds() {
        return Stream.of(
                new Kind(Sent.CARTS, "carts/", options -> client ->
                        client.watchCarts(WatchCartsRequest.newBuilder().setOptions(options).build())),
                new Kind(Sent.CUSTOMERS, "customers/", options -> client ->
                        client.watchCustomers(WatchCustomersRequest.newBuilder().setOptions(options).build())),
                new Kind(Sent.GROUPS, "groups/", options -> client ->
                        client.watchGroups(WatchGroupsRequest.newBuilder().setOptions(options).build())));
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void a_snapshot_changes_and_deletions_are_told_across_a_cut(Kind kind) throws InterruptedException {
        Sent sent = kind.sent();
        String name = kind.names() + "a";
        server.cutAfter(sent.whole(CAUSE_INITIAL, name, 1, "t1"))
                .cutAfter(sent.change("t2", CHANGE_KIND_UPSERTED, name, 2))
                .cutAfter(sent.change("t2", CHANGE_KIND_UPSERTED, name, 2),
                        sent.change("t3", CHANGE_KIND_DELETED, name, 3))
                .cutAfter(sent.whole(CAUSE_EPOCH_CHANGED, name, 1, "t4"));

        try (Watch<?> watch = watch(kind, "")) {
            assertEquals(
                    List.of("reset CAUSE_INITIAL", name + "@1", "ready 1", name + "@2", name + "@3 deleted",
                            "reset CAUSE_EPOCH_CHANGED", name + "@1", "ready 1"),
                    Told.by(watch, 8));
            assertEquals("t4", watch.resumeToken());
        }

        for (String token : List.of("", "t1", "t2", "t3")) {
            assertEquals(token, server.tokens.take());
        }
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void a_watch_with_a_token_of_the_caller_begins_there(Kind kind) throws InterruptedException {
        String name = kind.names() + "a";
        server.cutAfter(kind.sent().change("t8", CHANGE_KIND_DELETED, name, 2));

        try (Watch<?> watch = watch(kind, "t7")) {
            assertEquals("t7", watch.resumeToken());
            assertEquals(List.of(name + "@2 deleted"), Told.by(watch, 1));
        }

        assertEquals("t7", server.tokens.take());
    }

    private Watch<? extends Message> watch(Kind kind, String token) {
        WatchOptions options = WatchOptions.newBuilder().setResumeToken(token).build();
        return kind.watch().apply(options).apply(server.client()).waits(Duration.ofMillis(1), Duration.ofMillis(4));
    }
}
