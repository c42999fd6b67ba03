package dev.clientela;

import com.google.protobuf.Message;
import dev.clientela.v1.AdminServiceGrpc;
import dev.clientela.v1.CartChange;
import dev.clientela.v1.CartServiceGrpc;
import dev.clientela.v1.CartTarget;
import dev.clientela.v1.CustomerChange;
import dev.clientela.v1.CustomerServiceGrpc;
import dev.clientela.v1.GroupChange;
import dev.clientela.v1.GroupServiceGrpc;
import dev.clientela.v1.OperationServiceGrpc;
import dev.clientela.v1.SavedFilterServiceGrpc;
import dev.clientela.v1.WatchCartFiguresRequest;
import dev.clientela.v1.WatchCartRequest;
import dev.clientela.v1.WatchCartsRequest;
import dev.clientela.v1.WatchCustomersRequest;
import dev.clientela.v1.WatchGroupsRequest;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * The services of the contract on one connection. It adds the key to every call, retries calls so that the server
 * applies them once, types the errors, and keeps watches open across outages. Several threads may use it.
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

    /** Returns a client with the defaults of {@link Builder}. */
    public static Clientela connect() {
        return new Builder().connect();
    }

    /** Returns a builder with the defaults. */
    public static Builder builder() {
        return new Builder();
    }

    /** The options of a connection. */
    public static final class Builder {
        private String address = System.getenv().getOrDefault("CLIENTELA_SERVER", "127.0.0.1:50051");
        private String key = System.getenv("CLIENTELA_API_KEY");
        private ChannelCredentials credentials;
        private final Metadata headers = new Metadata();

        private Builder() {}

        /**
         * Sets the address, {@code host:port}. The default is the environment variable {@code CLIENTELA_SERVER};
         * without that, {@code 127.0.0.1:50051}.
         */
        public Builder address(String address) {
            this.address = address;
            return this;
        }

        /** Sets the API key. The default is the environment variable {@code CLIENTELA_API_KEY}. */
        public Builder key(String key) {
            this.key = key;
            return this;
        }

        /** Sets the shop of every call, for example {@code shops/berlin}. Only operator keys need it. */
        public Builder shop(String shop) {
            return header("clientela-shop", shop);
        }

        /** Sets the acting person, for example {@code staff/anna}. Only keys that may name the actor can set it. */
        public Builder actor(String actor) {
            return header("clientela-actor", actor);
        }

        /** Sets the person for whom the actor acts. */
        public Builder onBehalfOf(String person) {
            return header("clientela-on-behalf-of", person);
        }

        /** Sets the credentials, for example with other authorities than the JDK's. */
        public Builder tls(ChannelCredentials credentials) {
            this.credentials = credentials;
            return this;
        }

        /** Sends the key and all data without encryption. By default only connections to loopback do that. */
        public Builder plaintext() {
            return tls(InsecureChannelCredentials.create());
        }

        /**
         * Returns a client. It connects at the first call, and again after an outage.
         *
         * @throws ClientelaException if there is no key (KEY_MISSING)
         * @throws IllegalArgumentException if the key or the address is malformed
         */
        public Clientela connect() {
            if (key == null || key.isEmpty()) {
                throw ClientelaException.withoutKey();
            }
            header("authorization", "Bearer " + key);
            if (address == null || !address.matches("(\\[[0-9a-fA-F:.]+\\]|[^\\s:/\\[\\]]+):\\d{1,5}")) {
                throw new IllegalArgumentException("the address is malformed: write it as 127.0.0.1:50051");
            }
            ChannelCredentials chosen = credentials != null ? credentials
                    : isLoopback(address) ? InsecureChannelCredentials.create() : TlsChannelCredentials.create();
            // The path of a URI cannot have the brackets of IPv6.
            String target = "dns:///" + address.replace("[", "%5B").replace("]", "%5D");
            return new Clientela(Grpc.newChannelBuilder(target, chosen), headers);
        }

        private Builder header(String name, String value) {
            // The text does not repeat the value: it may be the key.
            if (!value.matches("[ -~]+")) {
                throw new IllegalArgumentException(name + " has characters other than printable ASCII");
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

    /** Returns the stub of the customers. */
    public CustomerServiceGrpc.CustomerServiceBlockingStub customers() {
        return CustomerServiceGrpc.newBlockingStub(channel);
    }

    /** Returns the stub of the groups. */
    public GroupServiceGrpc.GroupServiceBlockingStub groups() {
        return GroupServiceGrpc.newBlockingStub(channel);
    }
    /** Returns the stub of the carts. */
    public CartServiceGrpc.CartServiceBlockingStub carts() {
        return CartServiceGrpc.newBlockingStub(channel);
    }

    /** Returns the stub of shops, settings and API keys. */
    public AdminServiceGrpc.AdminServiceBlockingStub admin() {
        return AdminServiceGrpc.newBlockingStub(channel);
    }

    /** Returns the stub of long-running operations. */
    public OperationServiceGrpc.OperationServiceBlockingStub operations() {
        return OperationServiceGrpc.newBlockingStub(channel);
    }

    /** Returns the stub of saved filters. */
    public SavedFilterServiceGrpc.SavedFilterServiceBlockingStub savedFilters() {
        return SavedFilterServiceGrpc.newBlockingStub(channel);
    }

    /** Returns the channel of the stubs, for generated stubs of other kinds. */
    public Channel channel() {
        return channel;
    }

    /** Runs a call of a stub. Throws a {@link ClientelaException} if it fails. */
    public static <T> T call(Supplier<T> call) throws ClientelaException {
        try {
            return call.get();
        } catch (StatusRuntimeException refused) {
            throw ClientelaException.of(refused);
        }
    }

    /**
     * Returns the resources of a List call, page after page. It fetches a page when the loop has used up the one
     * before. The page size and the first page are those of the request: {@code Clientela.all(client.carts()::listCarts,
     * ListCartsRequest.getDefaultInstance(), ListCartsResponse::getCartsList)}.
     */
    public static <Q extends Message, P extends Message, R> Iterable<R> all(
            Function<Q, P> list, Q request, Function<P, List<R>> items) {
        return () -> new Pages<>(list, request, items);
    }

    /** Watches the carts of a filter or of names; all without either. */
    public Watch<CartChange> watchCarts(WatchCartsRequest request) {
        return new Watch<>(channel, connection::isShutdown, CartServiceGrpc.getWatchCartsMethod(), request);
    }

    /**
     * Watches one cart, or the open carts of an owner: after an order it continues with the owner's next cart. {@link
     * Messages} has short ways to write the target.
     */
    public Watch<CartChange> watchCart(CartTarget target) {
        return watchCart(WatchCartRequest.newBuilder().setTarget(target).build());
    }

    /** Watches one cart with the options of a request. */
    public Watch<CartChange> watchCart(WatchCartRequest request) {
        return new Watch<>(channel, connection::isShutdown, CartServiceGrpc.getWatchCartMethod(), request);
    }

    /** Watches the figures of the shop's open carts: at once, and whenever they change. */
    public Figures watchCartFigures(WatchCartFiguresRequest request) {
        return new Figures(channel, connection::isShutdown, request);
    }

    /** Watches customers as {@link #watchCarts} watches carts. */
    public Watch<CustomerChange> watchCustomers(WatchCustomersRequest request) {
        return new Watch<>(channel, connection::isShutdown, CustomerServiceGrpc.getWatchCustomersMethod(), request);
    }

    /** Watches groups as {@link #watchCarts} watches carts. */
    public Watch<GroupChange> watchGroups(WatchGroupsRequest request) {
        return new Watch<>(channel, connection::isShutdown, GroupServiceGrpc.getWatchGroupsMethod(), request);
    }

    /** Ends all calls and watches. */
    @Override
    public void close() {
        connection.shutdownNow();
    }

    private static Map<String, ?> serviceConfig() {
        // gRPC fails with UNKNOWN if a connection breaks at the beginning of a call; the server never does.
        Map<String, ?> retry = Map.of("maxAttempts", 5.0, "initialBackoff", "0.1s", "maxBackoff", "2s",
                "backoffMultiplier", 2.0, "retryableStatusCodes", List.of("UNAVAILABLE", "UNKNOWN"));
        List<Map<String, String>> watches = new ArrayList<>();
        for (MethodDescriptor<?, ?> watch : List.of(CartServiceGrpc.getWatchCartsMethod(),
                CartServiceGrpc.getWatchCartMethod(), CartServiceGrpc.getWatchCartFiguresMethod(),
                CustomerServiceGrpc.getWatchCustomersMethod(), GroupServiceGrpc.getWatchGroupsMethod())) {
            watches.add(Map.of("service", watch.getServiceName(), "method", watch.getBareMethodName()));
        }
        // A watch has retries of its own.
        return Map.of("methodConfig", List.of(Map.of("name", List.of(Map.of()), "retryPolicy", retry),
                Map.of("name", watches)));
    }
}
