package dev.clientela;

import com.google.protobuf.Duration;
import com.google.protobuf.Message;
import dev.clientela.v1.ErrorReason;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/**
 * Values from a stream that reconnects: the common part of {@link Watch} and {@link Figures}. When the server or the
 * network fails, it waits 0.1 s to 10 s and connects again, however long that takes. It throws a {@link
 * ClientelaException} if another attempt cannot help, for example after the key was revoked. One thread reads it;
 * {@link #close} works from any thread.
 *
 * @param <E> the type of the values
 * @param <S> the type of the stream
 */
public abstract sealed class Following<E, S extends Following<E, S>> implements Iterable<E>, Iterator<E>, AutoCloseable
        permits Watch, Figures {
    private static final java.time.Duration FOREVER = java.time.Duration.ofDays(36_500);
    private static final int READ_AHEAD = 32;
    private static final long HEARTBEAT_SECONDS = 15;

    private record Arrival(int stream, Message message, Status ended, Metadata trailers) {}

    /** Values that were received and not yet returned. */
    final ArrayDeque<E> pending = new ArrayDeque<>();

    private final Channel channel;
    private final BooleanSupplier isShutdown;
    private final MethodDescriptor<Message, Message> method;
    private final BlockingQueue<Arrival> arrivals = new LinkedBlockingQueue<>();
    private Backoff backoff = new Backoff(java.time.Duration.ofMillis(100), java.time.Duration.ofSeconds(10));
    private Consumer<Status> listener = status -> {};
    private java.time.Duration silence;
    private volatile ClientCall<Message, Message> call;
    private volatile boolean closed;
    private int stream;
    private long heardAt;
    private long openAt = System.nanoTime();

    /** A stream that sends nothing for three times {@code interval} seconds is closed and opened again. */
    @SuppressWarnings("unchecked")
    Following(Channel channel, BooleanSupplier isShutdown, MethodDescriptor<?, ?> method, long interval) {
        this.channel = channel;
        this.isShutdown = isShutdown;
        this.method = (MethodDescriptor<Message, Message>) method;
        silence = java.time.Duration.ofSeconds(3 * interval);
    }

    /** The interval in seconds that the server makes of a requested one. */
    static long interval(boolean isSet, Duration asked) {
        return isSet ? Math.max(1, Math.min(60, asked.getSeconds())) : HEARTBEAT_SECONDS;
    }

    /** The request of the next stream. */
    abstract Message request();

    /** Adds the values of a message to {@link #pending}. */
    abstract void take(Message message);

    /** Whether another stream may work after an error. */
    boolean isCurable(ClientelaException why) {
        return switch (why.getStatus().getCode()) {
            // OK is a stream that ended without an error. CANCELLED comes from a proxy that closed the stream: the
            // reader has not.
            case OK, UNAVAILABLE, INTERNAL, UNKNOWN, CANCELLED -> true;
            default -> why.reason() == ErrorReason.SLOW_CONSUMER;
        };
    }

    /** Called after values were received or returned. */
    void advanced() {}

    /** Sets the pause before a new connection: the first, and the longest. The defaults are 0.1 s and 10 s. */
    public S waits(java.time.Duration first, java.time.Duration longest) {
        backoff = new Backoff(first, longest);
        return self();
    }

    /** Sets a listener for the end of a connection; it receives {@link Status#OK} when there is a new one. */
    public S onConnection(Consumer<Status> listener) {
        this.listener = listener;
        return self();
    }

    S silence(java.time.Duration longest) {
        silence = longest;
        return self();
    }

    @SuppressWarnings("unchecked")
    private S self() {
        return (S) this;
    }

    @Override
    public Iterator<E> iterator() {
        return this;
    }

    /** Waits for a value. Returns false after the stream or its client was closed. */
    @Override
    public boolean hasNext() {
        return await(FOREVER);
    }

    @Override
    public E next() {
        return poll(FOREVER).orElseThrow(NoSuchElementException::new);
    }

    /** Waits for a value, at most for this long. */
    public Optional<E> poll(java.time.Duration patience) {
        if (!await(patience)) {
            return Optional.empty();
        }
        E value = pending.poll();
        advanced();
        return Optional.of(value);
    }

    /** Ends the stream. A loop that reads it ends without an error. */
    @Override
    public void close() {
        closed = true;
        arrivals.add(new Arrival(-1, null, null, null));
        ClientCall<Message, Message> open = call;
        if (open != null) {
            open.cancel("the watch was closed", null);
        }
    }

    private boolean await(java.time.Duration patience) {
        long deadline = System.nanoTime() + patience.toNanos();
        while (pending.isEmpty() && !closed) {
            long now = System.nanoTime();
            if (deadline - now <= 0) {
                return false;
            }
            if (call == null && openAt - now <= 0) {
                open();
            }
            long until = call == null ? openAt : heardAt + silence.toNanos();
            Arrival arrival = arrival(Math.min(until, deadline) - now);
            if (arrival != null && arrival.stream == stream) {
                arrived(arrival);
            } else if (arrival == null && call != null && until - System.nanoTime() <= 0) {
                ended(Status.UNAVAILABLE.withDescription(
                        "the server sent nothing for " + silence.toMillis() / 1000.0 + " s"), null);
            }
        }
        return !pending.isEmpty() && !closed;
    }

    private Arrival arrival(long nanos) {
        try {
            return arrivals.poll(nanos, TimeUnit.NANOSECONDS);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            close();
            throw new ClientelaException(Status.CANCELLED.withCause(interrupted), null);
        }
    }

    private void open() {
        int number = ++stream;
        Message request = request();
        // The connection's thread only adds to the queue.
        call = channel.newCall(method, CallOptions.DEFAULT.withExecutor(Runnable::run));
        heardAt = System.nanoTime();
        call.start(new ClientCall.Listener<>() {
            @Override
            public void onMessage(Message message) {
                arrivals.add(new Arrival(number, message, null, null));
            }

            @Override
            public void onClose(Status status, Metadata trailers) {
                arrivals.add(new Arrival(number, null, status, trailers));
            }
        }, new Metadata());
        call.request(READ_AHEAD);
        call.sendMessage(request);
        call.halfClose();
        if (closed) {
            call.cancel("the watch was closed", null);
        }
    }

    private void arrived(Arrival arrival) {
        if (arrival.ended != null) {
            ended(arrival.ended, arrival.trailers);
            return;
        }
        call.request(1);
        heardAt = System.nanoTime();
        if (backoff.reset()) {
            listener.accept(Status.OK);
        }
        take(arrival.message);
        advanced();
    }

    private void ended(Status status, Metadata trailers) {
        call.cancel("the stream has ended", null);
        call = null;
        stream++;
        if (isShutdown.getAsBoolean()) {
            closed = true;
            return;
        }
        ClientelaException why = new ClientelaException(status, trailers);
        if (!isCurable(why)) {
            closed = true;
            throw why;
        }
        openAt = System.nanoTime() + backoff.next().toNanos();
        listener.accept(status.isOk() ? Status.UNAVAILABLE.withDescription("the stream ended without an error") : status);
    }
}
