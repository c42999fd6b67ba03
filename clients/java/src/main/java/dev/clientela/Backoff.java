package dev.clientela;

import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;

/** Waits that double, each cut at random so that many clients do not come back at once. */
final class Backoff {
    private final Duration first;
    private final Duration longest;
    private Duration next;
    private boolean waited;

    Backoff(Duration first, Duration longest) {
        this.first = first;
        this.longest = longest;
        next = first;
    }

    /** Between half of the next wait and the whole. */
    Duration next() {
        waited = true;
        long whole = next.toNanos();
        Duration doubled = next.multipliedBy(2);
        next = doubled.compareTo(longest) < 0 ? doubled : longest;
        return Duration.ofNanos(whole - (long) (whole / 2 * ThreadLocalRandom.current().nextDouble()));
    }

    /** Begins anew; whether there was a wait before. */
    boolean reset() {
        boolean before = waited;
        waited = false;
        next = first;
        return before;
    }
}
