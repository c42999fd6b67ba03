package dev.clientela;

import dev.clientela.v1.AdminServiceGrpc;
import dev.clientela.v1.CartChange;
import dev.clientela.v1.CartServiceGrpc;
import dev.clientela.v1.CustomerChange;
import dev.clientela.v1.CustomerServiceGrpc;
import dev.clientela.v1.GroupChange;
import dev.clientela.v1.GroupServiceGrpc;
import dev.clientela.v1.OperationServiceGrpc;
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

        private Builder() {}

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
            // The brackets of IPv6 have no place in the path of a URI.
            String target = "dns:///" + address.replace("[", "%5B").replace("]", "%5D");
            return new Clientela(Grpc.newChannelBuilder(target, chosen), headers);
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
    public static <T> T call(Supplier<T> call) throws ClientelaException {
        try {
            return call.get();
        } catch (StatusRuntimeException refused) {
            throw ClientelaException.of(refused);
        }
    }

    /** Follows carts, for ever: by a filter, by names, or all. */
    public Watch<CartChange> watchCarts(WatchCartsRequest request) {
        return new Watch<>(channel, connection::isShutdown, CartServiceGrpc.getWatchCartsMethod(), request);
    }

    /** Follows customers, for ever. */
    public Watch<CustomerChange> watchCustomers(WatchCustomersRequest request) {
        return new Watch<>(channel, connection::isShutdown, CustomerServiceGrpc.getWatchCustomersMethod(), request);
    }

    /** Follows groups, for ever. */
    public Watch<GroupChange> watchGroups(WatchGroupsRequest request) {
        return new Watch<>(channel, connection::isShutdown, GroupServiceGrpc.getWatchGroupsMethod(), request);
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
}
