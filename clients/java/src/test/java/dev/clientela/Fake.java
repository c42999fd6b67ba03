package dev.clientela;

import com.google.protobuf.Any;
import com.google.rpc.BadRequest;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import dev.clientela.v1.Cart;
import dev.clientela.v1.CartChange;
import dev.clientela.v1.CartServiceGrpc;
import dev.clientela.v1.ChangeKind;
import dev.clientela.v1.CreateCartRequest;
import dev.clientela.v1.SnapshotBegin;
import dev.clientela.v1.SnapshotEnd;
import dev.clientela.v1.WatchCartsRequest;
import dev.clientela.v1.WatchCartsResponse;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Metadata;
import io.grpc.Server;
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

/** A server in the process that does what it was told to, one answer after the other. */
final class Fake extends CartServiceGrpc.CartServiceImplBase implements AutoCloseable {
    static final Context.Key<Metadata> HEADERS = Context.key("headers");

    final BlockingQueue<WatchCartsRequest> watches = new LinkedBlockingQueue<>();
    final BlockingQueue<CreateCartRequest> creations = new LinkedBlockingQueue<>();
    final BlockingQueue<Metadata> headers = new LinkedBlockingQueue<>();
    private final BlockingQueue<Consumer<StreamObserver<WatchCartsResponse>>> streams = new LinkedBlockingQueue<>();
    private final BlockingQueue<Consumer<StreamObserver<Cart>>> answers = new LinkedBlockingQueue<>();
    private final String name = UUID.randomUUID().toString();
    private Server server;

    /** Answers from now on. */
    Fake start() throws IOException {
        server = InProcessServerBuilder.forName(name).addService(this).intercept(new Headers()).build().start();
        return this;
    }

    Clientela client() {
        Metadata key = new Metadata();
        key.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer clt_test");
        return new Clientela(InProcessChannelBuilder.forName(name), key);
    }

    /** What the next watch gets. */
    Fake stream(Consumer<StreamObserver<WatchCartsResponse>> stream) {
        streams.add(stream);
        return this;
    }

    /** What the next watch gets before it is cut off. */
    Fake cutAfter(WatchCartsResponse... messages) {
        return stream(observer -> {
            List.of(messages).forEach(observer::onNext);
            observer.onError(refusal(Code.UNAVAILABLE, "DRAINING"));
        });
    }

    /** How the next watch is refused. */
    Fake refuse(Code code, String reason) {
        return stream(observer -> observer.onError(refusal(code, reason)));
    }

    /** What the next creation is answered. */
    Fake answer(Consumer<StreamObserver<Cart>> answer) {
        answers.add(answer);
        return this;
    }

    @Override
    public void watchCarts(WatchCartsRequest request, StreamObserver<WatchCartsResponse> observer) {
        watches.add(request);
        Consumer<StreamObserver<WatchCartsResponse>> stream = streams.poll();
        if (stream != null) {
            stream.accept(observer);
        }
    }

    @Override
    public void createCart(CreateCartRequest request, StreamObserver<Cart> observer) {
        creations.add(request);
        headers.add(HEADERS.get());
        answers.remove().accept(observer);
    }

    @Override
    public void close() {
        if (server != null) {
            server.shutdownNow();
        }
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

    static WatchCartsResponse begin(SnapshotBegin.Cause cause) {
        return WatchCartsResponse.newBuilder().setSnapshotBegin(SnapshotBegin.newBuilder().setCause(cause)).build();
    }

    static WatchCartsResponse end(String token, long count) {
        return WatchCartsResponse.newBuilder()
                .setSnapshotEnd(SnapshotEnd.newBuilder().setCount(count)).setResumeToken(token).build();
    }

    static WatchCartsResponse change(String token, ChangeKind kind, String name, long version) {
        return WatchCartsResponse.newBuilder()
                .addChanges(CartChange.newBuilder().setKind(kind).setName(name).setVersion(version))
                .setResumeToken(token)
                .build();
    }

    private static final class Headers implements ServerInterceptor {
        @Override
        public <Q, R> ServerCall.Listener<Q> interceptCall(
                ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
            return Contexts.interceptCall(Context.current().withValue(HEADERS, headers), call, headers, next);
        }
    }
}
