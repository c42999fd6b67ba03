package dev.clientela;

import com.google.protobuf.Descriptors.EnumValueDescriptor;
import com.google.protobuf.Message;
import dev.clientela.v1.ChangeKind;
import java.util.ArrayList;
import java.util.List;

/** The events of a watch, in words. */
final class Told {
    private Told() {}

    static List<String> by(Watch<?> watch, int events) {
        List<String> told = new ArrayList<>();
        while (told.size() < events) {
            Event<?> event = watch.next();
            if (event instanceof Event.Changed<?> changed) {
                told.add(words((Message) changed.change()));
            } else if (event instanceof Event.Reset<?> reset) {
                told.add("reset " + reset.cause());
            } else if (event instanceof Event.Ready<?> ready) {
                told.add("ready " + ready.count());
            }
        }
        return told;
    }

    private static String words(Message change) {
        String end = switch (ChangeKind.valueOf((EnumValueDescriptor) field(change, "kind"))) {
            case CHANGE_KIND_DELETED -> " deleted";
            case CHANGE_KIND_LEFT_FILTER -> " left";
            default -> "";
        };
        return field(change, "name") + "@" + field(change, "version") + end;
    }

    private static Object field(Message message, String name) {
        return message.getField(message.getDescriptorForType().findFieldByName(name));
    }
}
