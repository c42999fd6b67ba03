import com.google.protobuf.Timestamp;
import dev.clientela.Clientela;
import dev.clientela.Event;
import dev.clientela.Watch;
import dev.clientela.v1.CartChange;
import dev.clientela.v1.WatchCartsRequest;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;

/** Watches what clients/go/conformance/flood tells, and says how fast, and how late, it came. */
public final class Throughput {
    public static void main(String[] arguments) {
        double[] late = new double[arguments.length > 0 ? Integer.parseInt(arguments[0]) : 100_000];
        String address = System.getenv().getOrDefault("CLIENTELA_SERVER", "127.0.0.1:23456");
        try (Clientela client = Clientela.builder().address(address).key("clt_none").connect();
                Watch<CartChange> watch = client.watchCarts(WatchCartsRequest.getDefaultInstance())) {
            while (!(watch.next() instanceof Event.Ready)) {}
            Instant from = Instant.now();
            for (int taken = 0; taken < late.length;) {
                if (watch.next() instanceof Event.Changed<CartChange> changed) {
                    Timestamp due = changed.change().getCommitTime();
                    Instant committed = Instant.ofEpochSecond(due.getSeconds(), due.getNanos());
                    late[taken++] = Duration.between(committed, Instant.now()).toNanos() / 1e6;
                }
            }
            double took = Duration.between(from, Instant.now()).toNanos() / 1e9;
            double last = late[late.length - 1];
            Arrays.sort(late);
            System.out.printf("%d changes in %.1f s: %.0f/s; late: half %.1f ms, 99 of 100 %.1f ms, the last %.1f ms%n",
                    late.length, took, late.length / took, late[late.length / 2], late[late.length / 100 * 99], last);
        }
    }
}
