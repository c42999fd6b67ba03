package dev.clientela;

import com.google.protobuf.Any;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import dev.clientela.v1.Cart;
import dev.clientela.v1.CartServiceGrpc;
import dev.clientela.v1.CartTarget;
import dev.clientela.v1.CreateCartRequest;
import dev.clientela.v1.CustomerServiceGrpc;
import dev.clientela.v1.GroupServiceGrpc;
import dev.clientela.v1.ListCartsRequest;
import dev.clientela.v1.ListCartsResponse;
import dev.clientela.v1.WatchCartFiguresRequest;
import dev.clientela.v1.WatchCartFiguresResponse;
import dev.clientela.v1.WatchCartRequest;
import dev.clientela.v1.WatchCartsRequest;
import dev.clientela.v1.WatchCartsResponse;
import dev.clientela.v1.WatchCustomersRequest;
import dev.clientela.v1.WatchCustomersResponse;
import dev.clientela.v1.WatchGroupsRequest;
import dev.clientela.v1.WatchGroupsResponse;
import dev.clientela.v1.WatchOptions;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerBuilder;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.StatusRuntimeException;
import io.grpc.inprocess.InProcessChannelBuilder;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.Consumer;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * A server in the process with scripted answers, and its client. Each test has its own.
 */
final class Fake implements BeforeEachCallback, AfterEachCallback {
    /** An answer to a creation. */
    static final Consumer<StreamObserver<Cart>> DONE = observer -> {
        observer.onNext(Cart.newBuilder().setName("carts/a").build());
        observer.onCompleted();
    };

    private static final Context.Key<Metadata> HEADERS = Context.key("headers");

    /** The resume tokens of the watches so far. */
    final BlockingQueue<String> tokens = new LinkedBlockingQueue<>();
    final BlockingQueue<CreateCartRequest> creations = new LinkedBlockingQueue<>();
    final BlockingQueue<Metadata> headers = new LinkedBlockingQueue<>();
    final BlockingQueue<CartTarget> targets = new LinkedBlockingQueue<>();
    final BlockingQueue<ListCartsRequest> lists = new LinkedBlockingQueue<>();
    /** The pages of ListCarts; a call after the last page is refused. */
    final BlockingQueue<ListCartsResponse> pages = new LinkedBlockingQueue<>();
    private final BlockingQueue<Consumer<StreamObserver<Message>>> streams = new LinkedBlockingQueue<>();
    private final BlockingQueue<Consumer<StreamObserver<Cart>>> answers = new LinkedBlockingQueue<>();
    private final String name = UUID.randomUUID().toString();
    private Server server;
    private Clientela client;

    @Override
    public void beforeEach(ExtensionContext test) throws IOException {
        start();
        Metadata key = new Metadata();
        key.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer clt_test");
        client = new Clientela(InProcessChannelBuilder.forName(name), key);
    }

    @Override
    public void afterEach(ExtensionContext test) {
        client.close();
        stop();
    }

    /** Starts the server. */
    Fake start() throws IOException {
        return start(InProcessServerBuilder.forName(name));
    }

    /** Starts the server at a place. */
    Fake start(ServerBuilder<?> place) throws IOException {
        server = place.addService(new Carts())
                .addService(new Customers())
                .addService(new Groups())
                .intercept(new Headers())
                .build()
                .start();
        return this;
    }

    /** Stops the server. */
    void stop() {
        server.shutdownNow();
    }

    int port() {
        return server.getPort();
    }

    Clientela client() {
        return client;
    }

    /** The messages of the next watch. */
    Fake stream(Consumer<StreamObserver<Message>> stream) {
        streams.add(stream);
        return this;
    }

    /** The messages of the next watch before it is cut. */
    Fake cutAfter(Message... messages) {
        return stream(observer -> {
            List.of(messages).forEach(observer::onNext);
            observer.onError(refusal(Code.UNAVAILABLE, "DRAINING"));
        });
    }

    /** The refusal of the next watch. */
    Fake refuse(Code code, String reason) {
        return stream(observer -> observer.onError(refusal(code, reason)));
    }

    /** The answer of the next creation. */
    Fake answer(Consumer<StreamObserver<Cart>> answer) {
        answers.add(answer);
        return this;
    }

    static StatusRuntimeException refusal(Code code, String reason, BadRequest.FieldViolation... violations) {
        com.google.rpc.Status.Builder status = com.google.rpc.Status.newBuilder()
                .setCode(code.getNumber())
                .setMessage("no")
                .addDetails(Any.pack(ErrorInfo.newBuilder()
                        .setReason(reason).setDomain("clientela.v1").putMetadata("customer", "customers/ada").build()));
        if (violations.length > 0) {
            status.addDetails(Any.pack(BadRequest.newBuilder().addAllFieldViolations(List.of(violations)).build()));
        }
        return StatusProto.toStatusRuntimeException(status.build());
    }

    /** Sends the messages of the next watch, whatever its kind. */
    @SuppressWarnings("unchecked")
    private <R extends Message> void watch(WatchOptions options, StreamObserver<R> observer) {
        tokens.add(options.getResumeToken());
        Consumer<StreamObserver<Message>> stream = streams.poll();
        if (stream != null) {
            stream.accept((StreamObserver<Message>) observer);
        }
    }

    private final class Carts extends CartServiceGrpc.CartServiceImplBase {
        @Override
        public void watchCarts(WatchCartsRequest request, StreamObserver<WatchCartsResponse> observer) {
            watch(request.getOptions(), observer);
        }

        @Override
        public void watchCart(WatchCartRequest request, StreamObserver<WatchCartsResponse> observer) {
            targets.add(request.getTarget());
            watch(request.getOptions(), observer);
        }

        @Override
        public void watchCartFigures(
                WatchCartFiguresRequest request, StreamObserver<WatchCartFiguresResponse> observer) {
            watch(WatchOptions.getDefaultInstance(), observer);
        }

        @Override
        public void listCarts(ListCartsRequest request, StreamObserver<ListCartsResponse> observer) {
            lists.add(request);
            ListCartsResponse page = pages.poll();
            if (page == null) {
                observer.onError(refusal(Code.PERMISSION_DENIED, "ROLE_NOT_ALLOWED"));
            } else {
                observer.onNext(page);
                observer.onCompleted();
            }
        }

        @Override
        public void createCart(CreateCartRequest request, StreamObserver<Cart> observer) {
            creations.add(request);
            headers.add(HEADERS.get());
            answers.remove().accept(observer);
        }
    }

    private final class Customers extends CustomerServiceGrpc.CustomerServiceImplBase {
        @Override
        public void watchCustomers(WatchCustomersRequest request, StreamObserver<WatchCustomersResponse> observer) {
            watch(request.getOptions(), observer);
        }
    }

    private final class Groups extends GroupServiceGrpc.GroupServiceImplBase {
        @Override
        public void watchGroups(WatchGroupsRequest request, StreamObserver<WatchGroupsResponse> observer) {
            watch(request.getOptions(), observer);
        }
    }

    private static final class Headers implements ServerInterceptor {
        @Override
        public <Q, R> ServerCall.Listener<Q> interceptCall(
                ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
            return Contexts.interceptCall(Context.current().withValue(HEADERS, headers), call, headers, next);
        }
    }
}
