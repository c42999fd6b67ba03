package dev.clientela;

import com.google.protobuf.Descriptors.EnumValueDescriptor;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Descriptors.OneofDescriptor;
import com.google.protobuf.Message;
import dev.clientela.v1.ChangeKind;
import dev.clientela.v1.ErrorReason;
import dev.clientela.v1.SnapshotBegin;
import dev.clientela.v1.SnapshotEnd;
import dev.clientela.v1.WatchOptions;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/**
 * Events, for ever. It connects again by itself, goes on after the last event, and tells nothing
 * twice; it throws a {@link ClientelaException} if trying again cannot help. For one thread, but for
 * {@link #close}, which ends it.
 */
public final class Watch<C> implements Iterable<Event<C>>, Iterator<Event<C>>, AutoCloseable {
    private static final Duration FOREVER = Duration.ofDays(36_500);
    private static final int READ_AHEAD = 32;

    private record Arrival<C>(int stream, Message message, Status ended, Metadata trailers) {}

    private final Channel channel;
    private final BooleanSupplier isShutdown;
    private final MethodDescriptor<Message, Message> method;
    private final Message request;
    private final BlockingQueue<Arrival<C>> arrivals = new LinkedBlockingQueue<>();
    private final ArrayDeque<Event<C>> pending = new ArrayDeque<>();
    private final Seen seen = new Seen();
    private Backoff backoff = new Backoff(Duration.ofMillis(100), Duration.ofSeconds(10));
    private Consumer<Status> listener = status -> {};
    private Duration silence;
    private String received;
    private String told;
    private volatile ClientCall<Message, Message> call;
    private volatile boolean closed;
    private int stream;
    private long heardAt;
    private long openAt = System.nanoTime();

    @SuppressWarnings("unchecked")
    <Q extends Message, R extends Message> Watch(
            Channel channel, BooleanSupplier isShutdown, MethodDescriptor<Q, R> method, Q request) {
        this.channel = channel;
        this.isShutdown = isShutdown;
        this.method = (MethodDescriptor<Message, Message>) (MethodDescriptor<?, ?>) method;
        this.request = request;
        WatchOptions options = (WatchOptions) field(request, "options");
        long heartbeat = options.hasHeartbeatInterval() ? options.getHeartbeatInterval().getSeconds() : 15;
        silence = Duration.ofSeconds(3 * Math.max(1, Math.min(60, heartbeat)));
        received = options.getResumeToken();
        told = received;
    }

    /** How long to wait before connecting again: at first, and at most. 0.1 s and 10 s by default. */
    public Watch<C> waits(Duration first, Duration longest) {
        backoff = new Backoff(first, longest);
        return this;
    }

    /** Hears why a connection ended, and {@link Status#OK} when there is one again. */
    public Watch<C> onConnection(Consumer<Status> listener) {
        this.listener = listener;
        return this;
    }

    Watch<C> silence(Duration longest) {
        silence = longest;
        return this;
    }

    /** The place of the last event; a request with it goes on after that. Empty amid a snapshot. */
    public String resumeToken() {
        return told;
    }

    @Override
    public Iterator<Event<C>> iterator() {
        return this;
    }

    /** Waits for an event; false once the watch is closed, or its client. */
    @Override
    public boolean hasNext() {
        return await(FOREVER);
    }

    @Override
    public Event<C> next() {
        return poll(FOREVER).orElseThrow(NoSuchElementException::new);
    }

    /** The next event, if there is one in time. */
    public Optional<Event<C>> poll(Duration patience) {
        if (!await(patience)) {
            return Optional.empty();
        }
        Event<C> event = pending.poll();
        told = pending.isEmpty() ? received : told;
        return Optional.of(event);
    }

    @Override
    public void close() {
        closed = true;
        arrivals.add(new Arrival<>(-1, null, null, null));
        ClientCall<Message, Message> open = call;
        if (open != null) {
            open.cancel("the watch was closed", null);
        }
    }

    private boolean await(Duration patience) {
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
            Arrival<C> arrival = arrival(Math.min(until, deadline) - now);
            if (arrival != null && arrival.stream == stream) {
                take(arrival);
            } else if (arrival == null && call != null && until - System.nanoTime() <= 0) {
                ended(Status.UNAVAILABLE.withDescription("the server is silent"), null);
            }
        }
        return !pending.isEmpty() && !closed;
    }

    private Arrival<C> arrival(long nanos) {
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
        FieldDescriptor field = request.getDescriptorForType().findFieldByName("options");
        WatchOptions.Builder options = ((WatchOptions) request.getField(field)).toBuilder()
                .setResumeToken(received)
                .setResetOnExpiredToken(true);
        if (!received.isEmpty()) {
            options.clearSkipSnapshot();
        }
        // Nothing is done on the connection's thread but to put into the queue.
        call = channel.newCall(method, CallOptions.DEFAULT.withExecutor(Runnable::run));
        heardAt = System.nanoTime();
        call.start(new ClientCall.Listener<>() {
            @Override
            public void onMessage(Message message) {
                arrivals.add(new Arrival<>(number, message, null, null));
            }

            @Override
            public void onClose(Status status, Metadata trailers) {
                arrivals.add(new Arrival<>(number, null, status, trailers));
            }
        }, new Metadata());
        call.request(READ_AHEAD);
        call.sendMessage(request.toBuilder().setField(field, options.build()).build());
        call.halfClose();
        if (closed) {
            call.cancel("the watch was closed", null);
        }
    }

    @SuppressWarnings("unchecked")
    private void take(Arrival<C> arrival) {
        if (arrival.ended != null) {
            ended(arrival.ended, arrival.trailers);
            return;
        }
        call.request(1);
        heardAt = System.nanoTime();
        if (backoff.reset()) {
            listener.accept(Status.OK);
        }
        Message message = arrival.message;
        if (signal(message) instanceof SnapshotBegin begin) {
            seen.reset();
            received = "";
            pending.add(new Event.Reset<>(begin.getCause()));
        }
        for (Message change : (List<Message>) field(message, "changes")) {
            boolean present = ((EnumValueDescriptor) field(change, "kind")).getNumber()
                    == ChangeKind.CHANGE_KIND_UPSERTED_VALUE;
            if (seen.admit(present, (String) field(change, "name"), (long) field(change, "version"))) {
                pending.add(new Event.Changed<>((C) change));
            }
        }
        if (signal(message) instanceof SnapshotEnd end) {
            pending.add(new Event.Ready<>(end.getCount()));
        }
        String token = (String) field(message, "resume_token");
        received = token.isEmpty() ? received : token;
        told = pending.isEmpty() ? received : told;
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
        boolean forgotten = why.reason() == ErrorReason.INVALID_RESUME_TOKEN && !received.isEmpty();
        switch (status.getCode()) {
            // A stream has no end of its own, so one in good order is as good as a broken one.
            // CANCELLED is one that a proxy gave up: whoever reads has not.
            case OK, UNAVAILABLE, INTERNAL, UNKNOWN, CANCELLED -> {}
            case OUT_OF_RANGE, ABORTED -> forgotten = true;
            default -> {
                if (!forgotten && why.reason() != ErrorReason.SLOW_CONSUMER) {
                    closed = true;
                    throw why;
                }
            }
        }
        received = forgotten ? "" : received;
        openAt = System.nanoTime() + backoff.next().toNanos();
        listener.accept(status.isOk() ? Status.UNAVAILABLE.withDescription("the stream ended") : status);
    }

    private static Object field(Message message, String name) {
        return message.getField(message.getDescriptorForType().findFieldByName(name));
    }

    private static Object signal(Message message) {
        OneofDescriptor signals = message.getDescriptorForType().getOneofs().get(0);
        FieldDescriptor set = message.getOneofFieldDescriptor(signals);
        return set == null ? null : message.getField(set);
    }
}
