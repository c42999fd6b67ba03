import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.Message;
import dev.clientela.Clientela;
import dev.clientela.ClientelaException;
import dev.clientela.Event;
import dev.clientela.Following;
import dev.clientela.v1.Cart;
import dev.clientela.v1.CartChange;
import dev.clientela.v1.CartFigures;
import dev.clientela.v1.CartTarget;
import dev.clientela.v1.ChangeKind;
import dev.clientela.v1.ListCartsRequest;
import dev.clientela.v1.ListCartsResponse;
import dev.clientela.v1.WatchCartFiguresRequest;
import dev.clientela.v1.WatchCartsRequest;
import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;

/** A watch in the background, with its events. */
final class Watching {
    private CartFigures figures;
    private final Map<String, Cart> fold = new HashMap<>();
    private final Map<String, Long> versions = new HashMap<>();
    private final Set<String> resets = new HashSet<>();
    private boolean ready;
    private boolean wasReady;
    private int changes;
    private int doubles;
    private ClientelaException ended;

    Watching(Clientela client, WatchCartsRequest request) {
        this(client.watchCarts(request), Watching::note);
    }

    Watching(Clientela client, CartTarget target) {
        this(client.watchCart(target), Watching::note);
    }

    static Watching figures(Clientela client, WatchCartFiguresRequest request) {
        return new Watching(client.watchCartFigures(request), (watching, figures) -> watching.figures = figures);
    }

    private <E> Watching(Following<E, ?> values, BiConsumer<Watching, E> note) {
        Thread thread = new Thread(() -> follow(values, note));
        thread.setDaemon(true);
        thread.start();
    }

    private <E> void follow(Following<E, ?> values, BiConsumer<Watching, E> note) {
        try (values) {
            values.onConnection(status -> System.err.println("connection: " + status.getCode() + " " + status.getDescription()));
            for (E value : values) {
                synchronized (this) {
                    note.accept(this, value);
                    notifyAll();
                }
            }
        } catch (ClientelaException refusal) {
            synchronized (this) {
                ended = refusal;
                notifyAll();
            }
        }
    }

    private void note(Event<CartChange> event) {
        if (event instanceof Event.Reset<CartChange> reset) {
            fold.clear();
            versions.clear();
            ready = false;
            resets.add(reset.cause().name());
        } else if (event instanceof Event.Ready<CartChange>) {
            ready = true;
            wasReady = true;
        } else if (event instanceof Event.Changed<CartChange> changed) {
            CartChange change = changed.change();
            changes += wasReady ? 1 : 0;
            Long known = versions.put(change.getName(), change.getVersion());
            doubles += known != null && change.getVersion() <= known ? 1 : 0;
            if (change.getKind() == ChangeKind.CHANGE_KIND_UPSERTED) {
                fold.put(change.getName(), change.getCart());
            } else {
                fold.remove(change.getName());
            }
        }
    }

    /** Waits until the watch is as expected. */
    void await(JsonObject expected, Conformance story) throws Exception {
        long deadline = System.nanoTime() + Duration.ofSeconds(Conformance.PATIENCE_SECONDS).toNanos();
        while (true) {
            String missing = missing(expected, story);
            if (missing == null) {
                return;
            }
            long left = deadline - System.nanoTime();
            Conformance.expect(left > 0, missing);
            synchronized (this) {
                // The list may change before the watch does.
                TimeUnit.NANOSECONDS.timedWait(this, Math.min(left, TimeUnit.MILLISECONDS.toNanos(100)));
            }
        }
    }

    /** Describes how the watch differs from the expectation, or returns null. */
    private String missing(JsonObject expected, Conformance story) throws Exception {
        Map<String, Cart> listed = expected.has("state") ? listed(story) : null;
        synchronized (this) {
            if (expected.has("ended")) {
                if (ended == null) {
                    return "the watch has not ended";
                }
                Conformance.matches(expected.getAsJsonObject("ended"), ended);
            } else if (ended != null) {
                throw ended;
            }
            if (expected.has("figures")) {
                return figures == null ? "there are no figures" : differs(expected.get("figures"), figures);
            }
            if (expected.has("cart")) {
                for (Cart cart : fold.values()) {
                    String why = differs(expected.get("cart"), cart);
                    if (why != null) {
                        return why;
                    }
                }
            }
            if ((listed != null || expected.has("known")) && !ready) {
                return "the snapshot is not whole";
            }
            if (listed != null && !listed.equals(fold)) {
                return "the fold has " + fold.size() + " carts and is not the list of " + listed.size();
            }
            if (expected.has("known") && fold.size() != expected.get("known").getAsInt()) {
                return "the fold has " + fold.size() + " carts";
            }
            if (expected.has("changes") && changes < expected.get("changes").getAsInt()) {
                return changes + " changes have come";
            }
            JsonElement reset = expected.get("reset");
            if (reset != null && !resets.contains(reset.getAsString())) {
                return "there were resets for " + resets;
            }
            if (expected.has("doubles")) {
                Conformance.expect(doubles == expected.get("doubles").getAsInt(), doubles + " came twice");
            }
            return null;
        }
    }

    private static String differs(JsonElement expected, Message value) throws IOException {
        try {
            Conformance.matches(expected, Conformance.json(value), "it");
            return null;
        } catch (Conformance.Unexpected why) {
            return why.getMessage();
        }
    }

    private static Map<String, Cart> listed(Conformance story) throws Exception {
        Map<String, Cart> carts = new HashMap<>();
        Clientela.all(story.client(new JsonObject()).carts()::listCarts, ListCartsRequest.getDefaultInstance(),
                ListCartsResponse::getCartsList).forEach(cart -> carts.put(cart.getName(), cart));
        return carts;
    }
}
