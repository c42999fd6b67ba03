package dev.clientela;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.rpc.BadRequest;
import com.google.rpc.Code;
import dev.clientela.v1.Cart;
import dev.clientela.v1.CreateCartRequest;
import dev.clientela.v1.ErrorReason;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Tests of calls: their headers, their repetition, their refusals. */
@Timeout(60)
class CallTest {
    private static final Consumer<StreamObserver<Cart>> UNAVAILABLE =
            observer -> observer.onError(Status.UNAVAILABLE.asRuntimeException());

    @RegisterExtension
    final Fake server = new Fake();

    @Test
    void a_call_carries_the_key() throws InterruptedException {
        server.answer(Fake.DONE);

        create(CreateCartRequest.getDefaultInstance());

        Metadata.Key<String> authorization = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
        assertEquals("Bearer clt_test", server.headers.take().get(authorization));
    }

    @Test
    void a_call_is_repeated_with_the_same_request_id() throws InterruptedException {
        server.answer(UNAVAILABLE).answer(UNAVAILABLE).answer(Fake.DONE);

        assertEquals("carts/a", create(CreateCartRequest.getDefaultInstance()).getName());

        String id = server.creations.take().getRequestId();
        assertEquals(36, id.length());
        assertEquals(id, server.creations.take().getRequestId());
        assertEquals(id, server.creations.take().getRequestId());
    }

    @Test
    void a_request_id_of_the_caller_stays() throws InterruptedException {
        server.answer(Fake.DONE);

        create(CreateCartRequest.newBuilder().setRequestId("mine").build());

        assertEquals("mine", server.creations.take().getRequestId());
    }

    @Test
    void repeating_ends_after_five_times() {
        for (int call = 0; call < 5; call++) {
            server.answer(UNAVAILABLE);
        }

        ClientelaException refusal = refused();

        assertEquals(Status.Code.UNAVAILABLE, refusal.getStatus().getCode());
        assertEquals(ErrorReason.ERROR_REASON_UNSPECIFIED, refusal.reason());
        assertEquals(5, server.creations.size());
    }

    @Test
    void a_refusal_tells_reason_metadata_and_fields() {
        BadRequest.FieldViolation violation = BadRequest.FieldViolation.newBuilder()
                .setField("cart.currency_code").setReason("REQUIRED").setDescription("is missing").build();
        server.answer(observer -> observer.onError(Fake.refusal(Code.ALREADY_EXISTS, "EMAIL_TAKEN", violation)));

        ClientelaException refusal = refused();

        assertEquals(Status.Code.ALREADY_EXISTS, refusal.getStatus().getCode());
        assertEquals(ErrorReason.EMAIL_TAKEN, refusal.reason());
        assertEquals("customers/ada", refusal.metadata().get("customer"));
        assertEquals(List.of(violation), refusal.violations());
        assertTrue(refusal.retryAfter().isEmpty());
        assertEquals(1, server.creations.size());
    }

    @Test
    void a_reason_of_a_newer_server_is_no_failure() {
        server.answer(observer -> observer.onError(Fake.refusal(Code.ABORTED, "OF_TOMORROW")));

        ClientelaException refusal = refused();

        assertEquals(ErrorReason.UNRECOGNIZED, refusal.reason());
    }

    @Test
    void what_cannot_be_a_key_or_an_address_is_refused_before_a_call() {
        for (String key : List.of("clt_\n", "clé")) {
            IllegalArgumentException refusal =
                    assertThrows(IllegalArgumentException.class, () -> Clientela.builder().key(key).connect());
            assertFalse(refusal.getMessage().contains(key), refusal.getMessage());
        }
        for (String address : List.of("", "127.0.0.1", "http://127.0.0.1:1", "a b:1", ":1")) {
            assertThrows(IllegalArgumentException.class,
                    () -> Clientela.builder().key("clt_a").address(address).connect(), address);
        }
    }

    @Test
    void a_client_without_a_key_is_refused_before_any_call() {
        for (String key : new String[] {null, ""}) {
            ClientelaException refusal =
                    assertThrows(ClientelaException.class, () -> Clientela.builder().key(key).connect());
            assertEquals(ErrorReason.KEY_MISSING, refusal.reason());
            assertEquals(Status.Code.UNAUTHENTICATED, refusal.getStatus().getCode());
            assertTrue(refusal.getMessage().contains("CLIENTELA_API_KEY"), refusal.getMessage());
        }
    }

    @Test
    void the_text_of_an_error_names_every_violation() {
        BadRequest.FieldViolation email = BadRequest.FieldViolation.newBuilder()
                .setField("customer.email").setDescription("is not an e-mail address").build();
        BadRequest.FieldViolation phone = BadRequest.FieldViolation.newBuilder()
                .setField("customer.phone").setDescription("is too long").build();
        server.answer(observer -> observer.onError(Fake.refusal(Code.INVALID_ARGUMENT, "INVALID_FIELD", email, phone)))
                .answer(observer -> observer.onError(Fake.refusal(Code.NOT_FOUND, "NOT_FOUND")));

        assertEquals("INVALID_FIELD: customer.email: is not an e-mail address; customer.phone: is too long",
                refused().getMessage());
        assertEquals("NOT_FOUND: no", refused().getMessage());
    }

    @Test
    void an_address_of_ipv6_is_taken() {
        for (String address : List.of("[::1]:1", "[2001:db8::1]:50051")) {
            Clientela.builder().key("clt_a").address(address).connect().close();
        }
    }

    @Test
    void without_a_word_only_this_machine_is_called_in_plaintext() {
        for (String address : List.of("127.0.0.1:1", "localhost:1", "[::1]:1")) {
            assertTrue(Clientela.isLoopback(address), address);
        }
        for (String address
                : List.of("10.0.0.1:1", "localhost.example.test:1", "127.0.0.1.example.test:1", "[::2]:1")) {
            assertFalse(Clientela.isLoopback(address), address);
        }
    }

    private ClientelaException refused() {
        return assertThrows(
                ClientelaException.class, () -> create(CreateCartRequest.getDefaultInstance()));
    }

    private Cart create(CreateCartRequest request) {
        return Clientela.call(() -> server.client().carts().createCart(request));
    }
}
