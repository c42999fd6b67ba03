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
import io.grpc.Channel;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.util.List;
import java.util.function.BooleanSupplier;

/**
 * Events of resources, until the watch or its client is closed. It continues after the last event and yields no change
 * twice. Read an event at least every 30 s: the server closes the stream of a slower reader, and the watch has to
 * catch up.
 *
 * @param <C> the type of the changes
 */
public final class Watch<C> extends Following<Event<C>, Watch<C>> {
    private final Message request;
    private final Seen seen = new Seen();
    private String received;
    private String told;

    <Q extends Message, R extends Message> Watch(
            Channel channel, BooleanSupplier isShutdown, MethodDescriptor<Q, R> method, Q request) {
        super(channel, isShutdown, method,
                interval(options(request).hasHeartbeatInterval(), options(request).getHeartbeatInterval()));
        this.request = request;
        received = options(request).getResumeToken();
        told = received;
    }

    /**
     * Returns the position after the last event that was read. A request with it continues there, also in another
     * process. Empty within a snapshot.
     */
    public String resumeToken() {
        return told;
    }

    @Override
    Message request() {
        WatchOptions.Builder options = options(request).toBuilder()
                .setResumeToken(received)
                .setResetOnExpiredToken(true);
        if (!received.isEmpty()) {
            options.clearSkipSnapshot();
        }
        FieldDescriptor field = request.getDescriptorForType().findFieldByName("options");
        return request.toBuilder().setField(field, options.build()).build();
    }

    @Override
    @SuppressWarnings("unchecked")
    void take(Message message) {
        if (signal(message) instanceof SnapshotBegin begin) {
            seen.reset();
            // A stream that breaks within a snapshot has to begin again.
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
    }

    @Override
    void advanced() {
        told = pending.isEmpty() ? received : told;
    }

    @Override
    boolean isCurable(ClientelaException why) {
        Status.Code code = why.getStatus().getCode();
        boolean invalid = why.reason() == ErrorReason.INVALID_RESUME_TOKEN && !received.isEmpty();
        if (code != Status.Code.OUT_OF_RANGE && code != Status.Code.ABORTED && !invalid) {
            return super.isCurable(why);
        }
        // The server cannot continue from the token: begin again without it.
        received = "";
        return true;
    }

    private static WatchOptions options(Message request) {
        return (WatchOptions) field(request, "options");
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
