package dev.clientela;

import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.EnumValueDescriptor;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import dev.clientela.v1.ChangeKind;
import dev.clientela.v1.SnapshotBegin;
import dev.clientela.v1.SnapshotEnd;
import dev.clientela.v1.WatchCartsResponse;
import dev.clientela.v1.WatchCustomersResponse;
import dev.clientela.v1.WatchGroupsResponse;

/** The messages of watches of a kind; the kinds have the same fields. */
record Sent(Message kind) {
    static final Sent CARTS = new Sent(WatchCartsResponse.getDefaultInstance());
    static final Sent CUSTOMERS = new Sent(WatchCustomersResponse.getDefaultInstance());
    static final Sent GROUPS = new Sent(WatchGroupsResponse.getDefaultInstance());

    Message begin(SnapshotBegin.Cause cause) {
        return message("", "snapshot_begin", SnapshotBegin.newBuilder().setCause(cause).build()).build();
    }

    Message end(String token, long count) {
        return message(token, "snapshot_end", SnapshotEnd.newBuilder().setCount(count).build()).build();
    }

    Message change(String token, ChangeKind kind, String name, long version) {
        Message.Builder message = this.kind.toBuilder();
        FieldDescriptor changes = field(message.getDescriptorForType(), "changes");
        Message.Builder change = message.newBuilderForField(changes);
        Descriptor fields = change.getDescriptorForType();
        EnumValueDescriptor value = kind.getValueDescriptor();
        change.setField(field(fields, "kind"), value)
                .setField(field(fields, "name"), name)
                .setField(field(fields, "version"), version);
        return message.addRepeatedField(changes, change.build())
                .setField(field(message.getDescriptorForType(), "resume_token"), token)
                .build();
    }

    /** A snapshot of one resource. */
    Message[] whole(SnapshotBegin.Cause cause, String name, long version, String token) {
        Message there = change("", ChangeKind.CHANGE_KIND_UPSERTED, name, version);
        return new Message[] {begin(cause), there, end(token, 1)};
    }

    private Message.Builder message(String token, String signal, Message value) {
        Descriptor fields = kind.getDescriptorForType();
        return kind.toBuilder().setField(field(fields, signal), value).setField(field(fields, "resume_token"), token);
    }

    private static FieldDescriptor field(Descriptor fields, String name) {
        return fields.findFieldByName(name);
    }
}
