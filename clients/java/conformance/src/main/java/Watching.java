import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.clientela.Clientela;
import dev.clientela.ClientelaException;
import dev.clientela.Event;
import dev.clientela.Watch;
import dev.clientela.v1.Cart;
import dev.clientela.v1.CartChange;
import dev.clientela.v1.ChangeKind;
import dev.clientela.v1.ListCartsRequest;
import dev.clientela.v1.ListCartsResponse;
import dev.clientela.v1.WatchCartsRequest;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/** A watch in the background, and what it has told. */
final class Watching {
    private final Clientela client;
    private final Map<String, Cart> fold = new HashMap<>();
    private final Map<String, Long> versions = new HashMap<>();
    private final Set<String> resets = new HashSet<>();
    private boolean ready;
    private boolean wasReady;
    private int changes;
    private int doubles;
    private ClientelaException ended;

    Watching(Clientela client, WatchCartsRequest request) {
        this.client = client;
        Thread thread = new Thread(() -> follow(request));
        thread.setDaemon(true);
        thread.start();
    }

    private void follow(WatchCartsRequest request) {
        try (Watch<CartChange> watch = client.watchCarts(request)) {
            watch.onConnection(status -> System.err.println("connection: " + status.getCode() + " " + status.getDescription()));
            for (Event<CartChange> event : watch) {
                note(event);
            }
        } catch (ClientelaException refusal) {
            synchronized (this) {
                ended = refusal;
                notifyAll();
            }
        }
    }

    private synchronized void note(Event<CartChange> event) {
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
        notifyAll();
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
                // What is listed changes without a word from the watch.
                TimeUnit.NANOSECONDS.timedWait(this, Math.min(left, TimeUnit.MILLISECONDS.toNanos(100)));
            }
        }
    }

    /** What is not yet as expected, or null. */
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

    private static Map<String, Cart> listed(Conformance story) throws Exception {
        Map<String, Cart> carts = new HashMap<>();
        ListCartsRequest.Builder request = ListCartsRequest.newBuilder().setPageSize(500);
        do {
            ListCartsRequest page = request.build();
            ListCartsResponse response =
                    Clientela.call(() -> story.client(new JsonObject()).carts().listCarts(page));
            response.getCartsList().forEach(cart -> carts.put(cart.getName(), cart));
            request.setPageToken(response.getNextPageToken());
        } while (!request.getPageToken().isEmpty());
        return carts;
    }
}
