package dev.clientela;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.rpc.Code;
import dev.clientela.v1.CartFigures;
import dev.clientela.v1.ChangeKind;
import dev.clientela.v1.Draining;
import dev.clientela.v1.ErrorReason;
import dev.clientela.v1.SnapshotBegin.Cause;
import dev.clientela.v1.WatchCartFiguresRequest;
import dev.clientela.v1.WatchCartFiguresResponse;
import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Tests of figures and of the watch of one cart, across interruptions. */
@Timeout(60)
class FiguresTest {
    @RegisterExtension
    final Fake server = new Fake();

    @Test
    void figures_continue_after_an_interruption_and_end_with_what_another_attempt_cannot_cure() {
        WatchCartFiguresResponse draining =
                WatchCartFiguresResponse.newBuilder().setDraining(Draining.getDefaultInstance()).build();
        server.cutAfter(counted(1), counted(2), draining)
                .stream(observer -> observer.onError(Status.CANCELLED.asRuntimeException()))
                .cutAfter(counted(3))
                .refuse(Code.UNAUTHENTICATED, "KEY_REVOKED");
        List<Status.Code> connections = new ArrayList<>();

        try (Figures figures = figures().onConnection(status -> connections.add(status.getCode()))) {
            for (int open = 1; open <= 3; open++) {
                assertEquals(open, figures.next().getOpenCarts());
            }
            assertEquals(ErrorReason.KEY_REVOKED, assertThrows(ClientelaException.class, figures::next).reason());
        }

        assertEquals(List.of(Status.Code.UNAVAILABLE, Status.Code.CANCELLED, Status.Code.OK, Status.Code.UNAVAILABLE),
                connections);
    }

    @Test
    void figures_that_are_silent_are_asked_for_again() {
        server.stream(observer -> observer.onNext(counted(1))).stream(observer -> observer.onNext(counted(2)));

        try (Figures figures = figures().silence(Duration.ofMillis(50))) {
            assertEquals(1, figures.next().getOpenCarts());
            assertEquals(2, figures.next().getOpenCarts());
        }
    }

    @Test
    void a_watch_of_one_cart_continues_after_an_interruption() throws InterruptedException {
        server.cutAfter(Sent.CARTS.whole(Cause.CAUSE_INITIAL, "carts/a", 1, "t1"))
                .cutAfter(Sent.CARTS.change("t2", ChangeKind.CHANGE_KIND_UPSERTED, "carts/a", 1),
                        Sent.CARTS.change("t3", ChangeKind.CHANGE_KIND_UPSERTED, "carts/a", 2));

        try (Watch<?> watch = server.client().watchCart(Messages.customerCart("customers/ada"))
                .waits(Duration.ofMillis(1), Duration.ofMillis(4))) {
            assertEquals(List.of("reset CAUSE_INITIAL", "carts/a@1", "ready 1", "carts/a@2"), Told.by(watch, 4));
        }

        assertEquals("", server.tokens.take());
        assertEquals("t1", server.tokens.take());
        assertEquals(Messages.customerCart("customers/ada"), server.targets.take());
    }

    private Figures figures() {
        return server.client().watchCartFigures(WatchCartFiguresRequest.getDefaultInstance())
                .waits(Duration.ofMillis(1), Duration.ofMillis(4));
    }

    private static WatchCartFiguresResponse counted(long open) {
        return WatchCartFiguresResponse.newBuilder()
                .setFigures(CartFigures.newBuilder().setOpenCarts(open)).build();
    }
}
