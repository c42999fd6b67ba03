package dev.clientela;

import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;

/** Pauses that double, with a random part so that many clients do not reconnect at once. */
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

    /** Returns the next pause: between half of it and the whole. */
    Duration next() {
        waited = true;
        long whole = next.toNanos();
        Duration doubled = next.multipliedBy(2);
        next = doubled.compareTo(longest) < 0 ? doubled : longest;
        return Duration.ofNanos(whole - (long) (whole / 2 * ThreadLocalRandom.current().nextDouble()));
    }

    /** Begins with the first pause again. Returns whether there was a pause before. */
    boolean reset() {
        boolean before = waited;
        waited = false;
        next = first;
        return before;
    }
}
