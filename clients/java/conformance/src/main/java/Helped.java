import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.Message;
import dev.clientela.Messages;
import java.io.IOException;
import java.util.Map;

/** Replaces {@code {"$money": …}} and the like in the JSON of the story. */
final class Helped {
    private Helped() {}

    /** Returns the value with the results of the client's own methods of these names. */
    static JsonElement by(JsonElement value) throws IOException {
        if (value instanceof JsonArray array) {
            JsonArray helped = new JsonArray();
            for (JsonElement element : array) {
                helped.add(by(element));
            }
            return helped;
        }
        if (!(value instanceof JsonObject object)) {
            return value;
        }
        JsonObject helped = new JsonObject();
        for (Map.Entry<String, JsonElement> field : object.entrySet()) {
            if (field.getKey().startsWith("$")) {
                return Conformance.json(message(field.getKey(), field.getValue()));
            }
            helped.add(field.getKey(), by(field.getValue()));
        }
        return helped;
    }

    private static Message message(String name, JsonElement argument) {
        return switch (name) {
            case "$cart" -> Messages.cart(argument.getAsString());
            case "$customerCart" -> Messages.customerCart(argument.getAsString());
            case "$visitorCart" -> Messages.visitorCart(argument.getAsString());
            case "$money" -> Messages.money(
                    argument.getAsJsonArray().get(0).getAsString(), argument.getAsJsonArray().get(1).getAsString());
            default -> throw new IllegalStateException("there is no " + name);
        };
    }
}
