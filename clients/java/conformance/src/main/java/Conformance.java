import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import dev.clientela.Clientela;
import dev.clientela.ClientelaException;
import dev.clientela.v1.AdminServiceGrpc;
import dev.clientela.v1.CartTarget;
import dev.clientela.v1.CartServiceGrpc;
import dev.clientela.v1.CustomerServiceGrpc;
import dev.clientela.v1.GroupServiceGrpc;
import dev.clientela.v1.Customer;
import dev.clientela.v1.ListCustomersRequest;
import dev.clientela.v1.ListCustomersResponse;
import dev.clientela.v1.OperationServiceGrpc;
import dev.clientela.v1.SavedFilterServiceGrpc;
import dev.clientela.v1.WatchCartFiguresRequest;
import dev.clientela.v1.WatchCartsRequest;
import io.grpc.CallOptions;
import io.grpc.MethodDescriptor;
import io.grpc.ServiceDescriptor;
import io.grpc.stub.ClientCalls;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Runs the story of all clients; see clients/conformance/README.md. */
public final class Conformance {
    static final long PATIENCE_SECONDS = 60;

    private static final List<ServiceDescriptor> SERVICES = List.of(
            AdminServiceGrpc.getServiceDescriptor(), CartServiceGrpc.getServiceDescriptor(),
            CustomerServiceGrpc.getServiceDescriptor(), GroupServiceGrpc.getServiceDescriptor(),
            OperationServiceGrpc.getServiceDescriptor(), SavedFilterServiceGrpc.getServiceDescriptor());
    private static final Pattern NAME = Pattern.compile("\\$\\{(\\w+)\\}");

    private final Map<String, String> saved = new HashMap<>();
    private final Map<String, Clientela> clients = new HashMap<>();
    private final Map<String, Watching> watches = new HashMap<>();
    private final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    private final BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

    /** A step that did not go as expected. */
    static final class Unexpected extends Exception {
        private static final long serialVersionUID = 1;

        Unexpected(String why) {
            super(why);
        }
    }

    public static void main(String[] arguments) throws IOException {
        String text = Files.readString(Path.of(System.getenv("CLIENTELA_STORY")));
        new Conformance().tell(JsonParser.parseString(text).getAsJsonObject());
        // The threads of the watches still run.
        System.exit(0);
    }

    private void tell(JsonObject story) {
        story.getAsJsonObject("values").entrySet().forEach(value -> {
            JsonObject made = value.getValue().getAsJsonObject();
            saved.put(value.getKey(), made.get("text").getAsString().repeat(made.get("times").getAsInt()));
        });
        for (JsonElement step : story.getAsJsonArray("steps")) {
            String sentence = step.getAsJsonObject().get("step").getAsString();
            try {
                take(step.getAsJsonObject());
                out.println("ok " + sentence);
            } catch (Exception why) {
                out.println("failed " + sentence + ": " + String.valueOf(why).replaceAll("\\s+", " "));
            }
        }
        out.println("end");
    }

    private void take(JsonObject step) throws Exception {
        if (step.has("repeat")) {
            for (int number = 1; number <= step.get("repeat").getAsInt(); number++) {
                saved.put("n", String.valueOf(number));
                call(filled(step).getAsJsonObject());
            }
            return;
        }
        step = filled(step).getAsJsonObject();
        if (step.has("call")) {
            call(step);
        } else if (step.has("pages")) {
            pages(step);
        } else if (step.has("watch")) {
            watch(step);
        } else if (step.has("figures")) {
            WatchCartFiguresRequest.Builder request = WatchCartFiguresRequest.newBuilder();
            if (step.has("request")) {
                JsonFormat.parser().merge(step.get("request").toString(), request);
            }
            watches.put(step.get("figures").getAsString(), Watching.figures(client(step), request.build()));
        } else if (step.has("keyless")) {
            try {
                Clientela.builder().key(null).connect();
                throw new Unexpected("it was not refused");
            } catch (ClientelaException refusal) {
                matches(step.getAsJsonObject("expect").getAsJsonObject("error"), refusal);
            }
        } else if (step.has("refused")) {
            try {
                Helped.by(step.get("refused"));
                throw new Unexpected("it was not refused");
            } catch (IllegalArgumentException refusal) {
                matchesText(step.getAsJsonObject("expect"), refusal);
            }
        } else if (step.has("await")) {
            watches.get(step.get("await").getAsString()).await(step.getAsJsonObject("expect"), this);
        } else if (step.has("server")) {
            out.println("do " + step.get("server").getAsString());
            String answer = in.readLine();
            expect("done".equals(answer), "the harness says: " + answer);
        } else {
            throw new Unexpected("the program does not know this kind of step");
        }
    }

    private void call(JsonObject step) throws Exception {
        JsonObject expected = step.getAsJsonObject("expect");
        JsonObject answer;
        try {
            answer = json(ask(client(step), step.get("call").getAsString(), step.getAsJsonObject("request")));
        } catch (ClientelaException refusal) {
            expect(expected.has("error"), "refused: " + refusal + " " + refusal.violations());
            matches(expected.getAsJsonObject("error"), refusal);
            return;
        }
        expect(expected.has("response"), "not refused: " + answer);
        matches(expected.get("response"), answer, "response");
        if (step.has("save")) {
            for (Map.Entry<String, JsonElement> kept : step.getAsJsonObject("save").entrySet()) {
                saved.put(kept.getKey(), at(answer, kept.getValue().getAsString()).getAsString());
            }
        }
    }

    private void pages(JsonObject step) throws Exception {
        String rpc = step.get("pages").getAsString();
        expect(rpc.equals("CustomerService.ListCustomers"), "the program has no pages of " + rpc);
        ListCustomersRequest.Builder request = ListCustomersRequest.newBuilder();
        JsonFormat.parser().merge(step.get("request").toString(), request);
        JsonObject expected = step.getAsJsonObject("expect");
        Set<String> names = new HashSet<>();
        int count = 0;
        try {
            for (Customer customer : Clientela.all(client(step).customers()::listCustomers, request.build(),
                    ListCustomersResponse::getCustomersList)) {
                names.add(customer.getName());
                count++;
            }
        } catch (ClientelaException refusal) {
            expect(expected.has("error"), "refused: " + refusal);
            matches(expected.getAsJsonObject("error"), refusal);
            return;
        }
        expect(names.size() == count, (count - names.size()) + " came twice");
        expect(count == expected.get("count").getAsInt(), count + " came, expected " + expected.get("count"));
    }

    private void watch(JsonObject step) throws IOException {
        WatchCartsRequest.Builder request = WatchCartsRequest.newBuilder();
        if (step.has("filter")) {
            request.setFilter(step.get("filter").getAsString());
        }
        if (step.has("names")) {
            step.getAsJsonArray("names").forEach(name -> request.addNames(name.getAsString()));
        }
        if (step.has("target")) {
            CartTarget.Builder target = CartTarget.newBuilder();
            JsonFormat.parser().merge(Helped.by(step.get("target")).toString(), target);
            watches.put(step.get("watch").getAsString(), new Watching(client(step), target.build()));
            return;
        }
        watches.put(step.get("watch").getAsString(), new Watching(client(step), request.build()));
    }

    /** Calls an RPC by its name with a request of JSON. */
    Message ask(Clientela client, String call, JsonObject request) throws Exception {
        MethodDescriptor<Message, Message> method = method(call);
        var prototype = (MethodDescriptor.PrototypeMarshaller<Message>) method.getRequestMarshaller();
        Message.Builder message = prototype.getMessagePrototype().toBuilder();
        JsonFormat.parser().merge(Helped.by(request).toString(), message);
        CallOptions options = CallOptions.DEFAULT.withDeadlineAfter(PATIENCE_SECONDS, TimeUnit.SECONDS);
        return Clientela.call(() -> ClientCalls.blockingUnaryCall(client.channel(), method, options, message.build()));
    }

    @SuppressWarnings("unchecked")
    private static MethodDescriptor<Message, Message> method(String call) throws Unexpected {
        for (ServiceDescriptor service : SERVICES) {
            for (MethodDescriptor<?, ?> method : service.getMethods()) {
                if (method.getFullMethodName().equals("clientela.v1." + call.replace('.', '/'))) {
                    return (MethodDescriptor<Message, Message>) method;
                }
            }
        }
        throw new Unexpected("there is no " + call);
    }

    Clientela client(JsonObject step) {
        String key = step.has("as") ? step.get("as").getAsString() : System.getenv("CLIENTELA_API_KEY");
        String address = System.getenv("CLIENTELA_SERVER");
        return clients.computeIfAbsent(key, ours -> Clientela.builder().address(address).key(ours).connect());
    }

    private JsonElement filled(JsonElement value) throws Unexpected {
        if (value instanceof JsonObject object) {
            JsonObject whole = new JsonObject();
            for (Map.Entry<String, JsonElement> field : object.entrySet()) {
                whole.add(field.getKey(), filled(field.getValue()));
            }
            return whole;
        }
        if (value instanceof JsonArray array) {
            JsonArray whole = new JsonArray();
            for (JsonElement element : array) {
                whole.add(filled(element));
            }
            return whole;
        }
        if (!(value instanceof JsonPrimitive text) || !text.isString()) {
            return value;
        }
        Matcher name = NAME.matcher(text.getAsString());
        StringBuilder whole = new StringBuilder();
        while (name.find()) {
            expect(saved.containsKey(name.group(1)), "nothing was saved as " + name.group(1));
            name.appendReplacement(whole, Matcher.quoteReplacement(saved.get(name.group(1))));
        }
        return new JsonPrimitive(name.appendTail(whole).toString());
    }

    static JsonObject json(Message message) throws IOException {
        return JsonParser.parseString(JsonFormat.printer().print(message)).getAsJsonObject();
    }

    private static JsonElement at(JsonElement value, String path) {
        for (String part : path.split("\\.")) {
            value = value instanceof JsonArray array
                    ? array.get(Integer.parseInt(part)) : value.getAsJsonObject().get(part);
        }
        return value;
    }

    static void expect(boolean met, String why) throws Unexpected {
        if (!met) {
            throw new Unexpected(why);
        }
    }

    static void matches(JsonElement expected, JsonElement value, String where) throws Unexpected {
        if (expected instanceof JsonObject fields && value instanceof JsonObject object) {
            for (Map.Entry<String, JsonElement> field : fields.entrySet()) {
                matches(field.getValue(), object.get(field.getKey()), where + "." + field.getKey());
            }
        } else if (expected instanceof JsonArray elements && value instanceof JsonArray array) {
            expect(elements.size() == array.size(), where + " has " + array.size() + " elements");
            for (int index = 0; index < elements.size(); index++) {
                matches(elements.get(index), array.get(index), where + "." + index);
            }
        } else {
            expect(expected.equals(value), where + " is " + value + ", expected " + expected);
        }
    }

    /** The text of an error must have every expected part. */
    static void matchesText(JsonObject expected, RuntimeException refusal) throws Unexpected {
        if (expected.has("text")) {
            for (JsonElement part : expected.getAsJsonArray("text")) {
                expect(refusal.getMessage().contains(part.getAsString()), "the text is " + refusal.getMessage());
            }
        }
    }

    static void matches(JsonObject expected, ClientelaException refusal) throws Unexpected {
        matchesText(expected, refusal);
        String code = refusal.getStatus().getCode().name();
        expect(code.equals(expected.get("code").getAsString()), "refused: " + refusal);
        if (expected.has("reason")) {
            String reason = expected.get("reason").getAsString();
            expect(refusal.reason().name().equals(reason), "the reason is " + refusal.reason());
        }
        if (expected.has("metadata")) {
            for (Map.Entry<String, JsonElement> entry : expected.getAsJsonObject("metadata").entrySet()) {
                String value = refusal.metadata().get(entry.getKey());
                expect(entry.getValue().getAsString().equals(value), "the metadata is " + refusal.metadata());
            }
        }
        if (expected.has("violations")) {
            for (JsonElement field : expected.getAsJsonArray("violations")) {
                expect(refusal.violations().stream().anyMatch(one -> one.getField().equals(field.getAsString())),
                        "the violations are " + refusal.violations());
            }
        }
    }
}
