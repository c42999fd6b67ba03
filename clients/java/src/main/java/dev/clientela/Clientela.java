package dev.clientela;

import com.google.protobuf.Any;
import com.google.protobuf.Descriptors.EnumValueDescriptor;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Descriptors.OneofDescriptor;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import dev.clientela.v1.AdminServiceGrpc;
import dev.clientela.v1.CartChange;
import dev.clientela.v1.CartServiceGrpc;
import dev.clientela.v1.ChangeKind;
import dev.clientela.v1.CustomerChange;
import dev.clientela.v1.CustomerServiceGrpc;
import dev.clientela.v1.ErrorReason;
import dev.clientela.v1.GroupChange;
import dev.clientela.v1.GroupServiceGrpc;
import dev.clientela.v1.OperationServiceGrpc;
import dev.clientela.v1.SnapshotBegin;
import dev.clientela.v1.SnapshotEnd;
import dev.clientela.v1.WatchCartsRequest;
import dev.clientela.v1.WatchCustomersRequest;
import dev.clientela.v1.WatchGroupsRequest;
import dev.clientela.v1.WatchOptions;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ClientInterceptors;
import io.grpc.ConnectivityState;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * A connection to Clientela: the generated stubs with a key on every call, retries that do nothing
 * twice, refusals as values, and watches that go on by themselves. Safe for use by many threads.
 */
public final class Clientela implements AutoCloseable {
    private static final Duration KEEPALIVE_INTERVAL = Duration.ofSeconds(20);
    private static final Duration KEEPALIVE_TIMEOUT = Duration.ofSeconds(10);

    private final ManagedChannel connection;
    private final Channel channel;

    Clientela(ManagedChannelBuilder<?> builder, Metadata headers) {
        connection = builder.defaultServiceConfig(serviceConfig())
                .enableRetry()
                .keepAliveTime(KEEPALIVE_INTERVAL.toSeconds(), TimeUnit.SECONDS)
                .keepAliveTimeout(KEEPALIVE_TIMEOUT.toSeconds(), TimeUnit.SECONDS)
                .build();
        channel = ClientInterceptors.intercept(connection, new Caller(connection, headers));
    }

    /** Connects to the server on this machine with the key in {@code CLIENTELA_API_KEY}. */
    public static Clientela connect() {
        return new Builder().connect();
    }

    /** Where to connect to and as whom. */
    public static Builder builder() {
        return new Builder();
    }

    /** What is said of the connection; everything has a default. */
    public static final class Builder {
        private String address = "127.0.0.1:50051";
        private String key = System.getenv("CLIENTELA_API_KEY");
        private ChannelCredentials credentials;
        private final Metadata headers = new Metadata();

        /** {@code host:port}; {@code 127.0.0.1:50051} by default. */
        public Builder address(String address) {
            this.address = address;
            return this;
        }

        /** The API key; that in the environment's {@code CLIENTELA_API_KEY} by default. */
        public Builder key(String key) {
            this.key = key;
            return this;
        }

        /** The shop, where there are several; needs an operator key. */
        public Builder shop(String shop) {
            return header("clientela-shop", shop);
        }

        /** Who is acting, as {@code staff/anna}; for keys that may say so. */
        public Builder actor(String actor) {
            return header("clientela-actor", actor);
        }

        /** For whom the actor acts. */
        public Builder onBehalfOf(String person) {
            return header("clientela-on-behalf-of", person);
        }

        /** TLS of your own making, as with your own authorities; by default those of the system. */
        public Builder tls(ChannelCredentials credentials) {
            this.credentials = credentials;
            return this;
        }

        /** No TLS, although the server is on another machine: the key and all data can be read. */
        public Builder plaintext() {
            return tls(InsecureChannelCredentials.create());
        }

        /** Makes the connection, which opens with the first call. */
        public Clientela connect() {
            if (key == null || key.isEmpty()) {
                throw new IllegalArgumentException("no key: give one, or set CLIENTELA_API_KEY");
            }
            header("authorization", "Bearer " + key);
            if (address == null || !address.matches("(\\[[0-9a-fA-F:.]+\\]|[^\\s:/\\[\\]]+):\\d{1,5}")) {
                throw new IllegalArgumentException("no address; write it as 127.0.0.1:50051");
            }
            ChannelCredentials chosen = credentials != null ? credentials
                    : isLoopback(address) ? InsecureChannelCredentials.create() : TlsChannelCredentials.create();
            return new Clientela(Grpc.newChannelBuilder("dns:///" + address, chosen), headers);
        }

        private Builder header(String name, String value) {
            // The value is left out of the text: it may be the key.
            if (!value.matches("[ -~]+")) {
                throw new IllegalArgumentException(name + " takes printable ASCII only");
            }
            Metadata.Key<String> header = Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
            headers.removeAll(header);
            headers.put(header, value);
            return this;
        }
    }

    static boolean isLoopback(String address) {
        return address.matches("(localhost|127(\\.\\d{1,3}){3}|\\[::1\\]):\\d+");
    }

    /** The customers of the shop. */
    public CustomerServiceGrpc.CustomerServiceBlockingStub customers() {
        return CustomerServiceGrpc.newBlockingStub(channel);
    }

    /** The groups of the shop. */
    public GroupServiceGrpc.GroupServiceBlockingStub groups() {
        return GroupServiceGrpc.newBlockingStub(channel);
    }

    /** The carts of the shop. */
    public CartServiceGrpc.CartServiceBlockingStub carts() {
        return CartServiceGrpc.newBlockingStub(channel);
    }

    /** Shops, keys and the audit. */
    public AdminServiceGrpc.AdminServiceBlockingStub admin() {
        return AdminServiceGrpc.newBlockingStub(channel);
    }

    /** Long work. */
    public OperationServiceGrpc.OperationServiceBlockingStub operations() {
        return OperationServiceGrpc.newBlockingStub(channel);
    }

    /** What the stubs call through; for the other sorts of generated stubs. */
    public Channel channel() {
        return channel;
    }

    /** Runs a call of a stub; a refusal is thrown with its reason. */
    public static <T> T call(Supplier<T> call) throws Refusal {
        try {
            return call.get();
        } catch (StatusRuntimeException refused) {
            throw Refusal.of(refused);
        }
    }

    /** Follows carts, for ever: by a filter, by names, or all. */
    public Watch<CartChange> watchCarts(WatchCartsRequest request) {
        return new Watch<>(channel, CartServiceGrpc.getWatchCartsMethod(), request);
    }

    /** Follows customers, for ever. */
    public Watch<CustomerChange> watchCustomers(WatchCustomersRequest request) {
        return new Watch<>(channel, CustomerServiceGrpc.getWatchCustomersMethod(), request);
    }

    /** Follows groups, for ever. */
    public Watch<GroupChange> watchGroups(WatchGroupsRequest request) {
        return new Watch<>(channel, GroupServiceGrpc.getWatchGroupsMethod(), request);
    }

    /** Ends all calls and watches. */
    @Override
    public void close() {
        connection.shutdownNow();
    }

    private static Map<String, ?> serviceConfig() {
        // gRPC says UNKNOWN of a call that meets a connection that is just breaking; the server never does.
        Map<String, ?> retry = Map.of("maxAttempts", 5.0, "initialBackoff", "0.1s", "maxBackoff", "2s",
                "backoffMultiplier", 2.0, "retryableStatusCodes", List.of("UNAVAILABLE", "UNKNOWN"));
        List<Map<String, String>> watches = new ArrayList<>();
        for (MethodDescriptor<?, ?> watch : List.of(CartServiceGrpc.getWatchCartsMethod(),
                CustomerServiceGrpc.getWatchCustomersMethod(), GroupServiceGrpc.getWatchGroupsMethod())) {
            watches.add(Map.of("service", watch.getServiceName(), "method", watch.getBareMethodName()));
        }
        // A watch has waits of its own.
        return Map.of("methodConfig", List.of(Map.of("name", List.of(Map.of()), "retryPolicy", retry),
                Map.of("name", watches)));
    }

    /** Puts onto every call what it needs. */
    private record Caller(ManagedChannel connection, Metadata headers) implements ClientInterceptor {
        @Override
        public <Q, R> ClientCall<Q, R> interceptCall(
                MethodDescriptor<Q, R> method, CallOptions options, Channel next) {
            // After an outage gRPC lets minutes pass before it connects again; a call is a reason to.
            if (connection.getState(false) == ConnectivityState.TRANSIENT_FAILURE) {
                connection.enterIdle();
            }
            return new SimpleForwardingClientCall<>(next.newCall(method, options)) {
                @Override
                public void start(Listener<R> listener, Metadata ofCall) {
                    ofCall.merge(headers);
                    super.start(listener, ofCall);
                }

                @Override
                public void sendMessage(Q message) {
                    super.sendMessage(identified(message));
                }
            };
        }

        /** With a request id, so that a retry is answered and not done again. */
        @SuppressWarnings("unchecked")
        private static <Q> Q identified(Q message) {
            if (message instanceof Message request) {
                FieldDescriptor id = request.getDescriptorForType().findFieldByName("request_id");
                if (id != null && request.getField(id).equals("")) {
                    return (Q) request.toBuilder().setField(id, UUID.randomUUID().toString()).build();
                }
            }
            return message;
        }
    }

    /** Why the server refused. As a {@link StatusRuntimeException} it also has code and text. */
    public static final class Refusal extends StatusRuntimeException {
        private static final long serialVersionUID = 1;

        private final transient ErrorInfo info;
        private final transient BadRequest violations;
        private final transient RetryInfo retry;

        private Refusal(Status status, Metadata trailers) {
            super(status, trailers);
            Map<String, Any> details = new HashMap<>();
            com.google.rpc.Status whole = StatusProto.fromStatusAndTrailers(status, trailers);
            whole.getDetailsList().forEach(detail -> details.put(detail.getTypeUrl(), detail));
            info = detail(details, ErrorInfo.getDefaultInstance());
            violations = detail(details, BadRequest.getDefaultInstance());
            retry = detail(details, RetryInfo.getDefaultInstance());
        }

        /** Reads what a stub has thrown. */
        public static Refusal of(StatusRuntimeException thrown) {
            return thrown instanceof Refusal refusal ? refusal
                    : new Refusal(thrown.getStatus(), thrown.getTrailers());
        }

        /** What to switch on; unspecified if the server did not say, as when there is none. */
        public ErrorReason reason() {
            try {
                return ErrorReason.valueOf(info.getReason());
            } catch (IllegalArgumentException unknown) {
                return info.getReason().isEmpty()
                        ? ErrorReason.ERROR_REASON_UNSPECIFIED : ErrorReason.UNRECOGNIZED;
            }
        }

        /** What saves a read: {@code current_etag}, {@code open_cart} and the like. */
        public Map<String, String> metadata() {
            return info.getMetadataMap();
        }

        /** The fields that break their rules, all of them. */
        public List<BadRequest.FieldViolation> violations() {
            return violations.getFieldViolationsList();
        }

        /** When to try again, if the server said so. */
        public Optional<Duration> retryAfter() {
            return retry.hasRetryDelay()
                    ? Optional.of(Duration.ofSeconds(
                            retry.getRetryDelay().getSeconds(), retry.getRetryDelay().getNanos()))
                    : Optional.empty();
        }

        @SuppressWarnings("unchecked")
        private static <D extends Message> D detail(Map<String, Any> details, D none) {
            Any detail = details.get("type.googleapis.com/" + none.getDescriptorForType().getFullName());
            try {
                return detail == null ? none : (D) none.getParserForType().parseFrom(detail.getValue());
            } catch (InvalidProtocolBufferException malformed) {
                return none;
            }
        }
    }

    /** What a watch tells. */
    public sealed interface Event<C> {
        /** A resource is there, has changed, is gone, or has left the filter: see its kind. */
        record Changed<C>(C change) implements Event<C> {}

        /** Forget what you know: all that is there follows. Also the first event. */
        record Reset<C>(SnapshotBegin.Cause cause) implements Event<C> {}

        /** Now you know all that is there. */
        record Ready<C>(long count) implements Event<C> {}
    }

    /**
     * Events, for ever. It connects again by itself, goes on after the last event, and tells nothing
     * twice; it throws a {@link Refusal} if trying again cannot help. For one thread, but for
     * {@link #close}, which ends it.
     */
    public static final class Watch<C> implements Iterable<Event<C>>, Iterator<Event<C>>, AutoCloseable {
        private static final Duration FOREVER = Duration.ofDays(36_500);
        private static final int READ_AHEAD = 32;

        private record Arrival<C>(int stream, Message message, Status ended, Metadata trailers) {}

        private final Channel channel;
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
        private <Q extends Message, R extends Message> Watch(
                Channel channel, MethodDescriptor<Q, R> method, Q request) {
            this.channel = channel;
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

        /** Waits for an event; false once the watch is closed. */
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
                throw new Refusal(Status.CANCELLED.withCause(interrupted), null);
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
            Refusal refusal = new Refusal(status, trailers);
            boolean forgotten = refusal.reason() == ErrorReason.INVALID_RESUME_TOKEN && !received.isEmpty();
            switch (status.getCode()) {
                // A stream has no end of its own, so one in good order is as good as a broken one.
                case OK, UNAVAILABLE, INTERNAL, UNKNOWN -> {}
                case OUT_OF_RANGE, ABORTED -> forgotten = true;
                default -> {
                    if (!forgotten && refusal.reason() != ErrorReason.SLOW_CONSUMER) {
                        closed = true;
                        throw refusal;
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

    /** Which versions were told, so that what comes twice is told once. */
    static final class Seen {
        private static final int GONE_MAX = 10_000;

        private final Map<String, Long> present = new HashMap<>();
        // What is gone may come again only soon after a connection: that of long ago is let go.
        private Map<String, Long> gone = new HashMap<>();
        private Map<String, Long> goneBefore = new HashMap<>();
        private boolean whole;

        /** A whole state follows: what is not known from then on never was. */
        void reset() {
            present.clear();
            gone.clear();
            goneBefore.clear();
            whole = true;
        }

        int remembered() {
            return present.size() + gone.size() + goneBefore.size();
        }

        /** Whether a change is news. */
        boolean admit(boolean upserted, String name, long version) {
            Long known = present.get(name);
            Long left = gone.getOrDefault(name, goneBefore.get(name));
            if (upserted) {
                // The clock lets a resource leave and enter with the version that it has.
                if (known != null ? version <= known : left != null && version < left) {
                    return false;
                }
                present.put(name, version);
                return true;
            }
            if (known != null ? version < known : whole || left != null && version <= left) {
                return false;
            }
            present.remove(name);
            if (gone.size() >= GONE_MAX) {
                goneBefore = gone;
                gone = new HashMap<>();
            }
            gone.put(name, version);
            return true;
        }
    }

    /** Waits that double, each cut at random so that many clients do not come back at once. */
    static final class Backoff {
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
}
