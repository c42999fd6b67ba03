import com.google.protobuf.Timestamp;
import dev.clientela.Clientela;
import dev.clientela.Event;
import dev.clientela.Watch;
import dev.clientela.v1.CartChange;
import dev.clientela.v1.WatchCartsRequest;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.Optional;

/**
 * Watches the server clients/go/conformance/flood, and prints the number, the rate and the delay of the
 * changes. Ends after the given number of changes, or when none has come for a while.
 */
public final class Throughput {
    private static final Duration PATIENCE = Duration.ofSeconds(10);

    public static void main(String[] arguments) {
        int wanted = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 100_000;
        String address = System.getenv().getOrDefault("CLIENTELA_SERVER", "127.0.0.1:23456");
        double[] late = new double[wanted];
        int taken = 0;
        Instant from = Instant.now();
        Instant to = from;
        try (Clientela client = Clientela.builder().address(address).key("clt_none").connect();
                Watch<CartChange> watch = client.watchCarts(WatchCartsRequest.getDefaultInstance())) {
            Optional<Event<CartChange>> event = watch.poll(PATIENCE);
            while (taken < wanted && event.isPresent()) {
                if (event.get() instanceof Event.Ready) {
                    from = Instant.now();
                } else if (event.get() instanceof Event.Changed<CartChange> changed) {
                    Timestamp due = changed.change().getCommitTime();
                    to = Instant.now();
                    Duration behind = Duration.between(Instant.ofEpochSecond(due.getSeconds(), due.getNanos()), to);
                    // A change may come shortly before it is due.
                    late[taken++] = Math.max(0, behind.toNanos()) / 1e6;
                }
                event = taken < wanted ? watch.poll(PATIENCE) : event;
            }
        }
        if (taken == 0) {
            System.err.println("nothing came from " + address);
            System.exit(1);
        }
        double took = Duration.between(from, to).toNanos() / 1e9;
        double last = late[taken - 1];
        Arrays.sort(late, 0, taken);
        System.out.printf("%d of %d changes in %.1f s: %.0f/s; late: half %.1f ms, 99 of 100 %.1f ms, the last %.1f ms%n",
                taken, wanted, took, taken / took, late[taken / 2], late[(int) (taken * 99L / 100)], last);
    }
}
