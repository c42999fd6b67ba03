package dev.clientela;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ConnectivityState;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import java.util.UUID;

/** Adds the headers to every call, and a request id to mutations. */
record Caller(ManagedChannel connection, Metadata headers) implements ClientInterceptor {
    @Override
    public <Q, R> ClientCall<Q, R> interceptCall(
            MethodDescriptor<Q, R> method, CallOptions options, Channel next) {
        // After an outage gRPC waits up to minutes before it connects again. A call makes it connect now.
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

    /** Returns the message with a request id, so that the server applies a retried call once. */
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
