package dev.clientela;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.clientela.v1.Cart;
import dev.clientela.v1.CreateCartRequest;
import dev.clientela.v1.ErrorReason;
import dev.clientela.v1.SnapshotBegin.Cause;
import dev.clientela.v1.WatchCartsRequest;
import io.grpc.ChannelCredentials;
import io.grpc.InsecureServerCredentials;
import io.grpc.ServerCredentials;
import io.grpc.Status;
import io.grpc.TlsChannelCredentials;
import io.grpc.TlsServerCredentials;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.util.logging.Level;
import java.util.logging.Logger;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLException;
import javax.net.ssl.TrustManagerFactory;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** Tests of the servers that a client trusts, and of plaintext. */
@Timeout(60)
class TlsTest {
    // It logs each connection that fails.
    private static final Logger OF_THE_SERVER =
            Logger.getLogger("io.grpc.netty.shaded.io.grpc.netty.NettyServerTransport");

    private static final char[] PASSWORD = "of-the-test".toCharArray();
    private static ServerCredentials certified;
    private static ChannelCredentials trusting;

    @RegisterExtension
    final Fake server = new Fake();

    /** A self-signed certificate for localhost. */
    @BeforeAll
    static void certify(@TempDir Path folder) throws Exception {
        OF_THE_SERVER.setLevel(Level.OFF);
        Path file = folder.resolve("server.p12");
        String tool = Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
        Process keytool = new ProcessBuilder(tool, "-genkeypair", "-keystore", file.toString(),
                "-storetype", "PKCS12", "-storepass", new String(PASSWORD), "-alias", "server", "-keyalg", "EC",
                "-groupname", "secp256r1", "-dname", "CN=Server of the tests", "-validity", "1",
                "-ext", "SAN=dns:localhost").inheritIO().start();
        assertEquals(0, keytool.waitFor());
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream bytes = Files.newInputStream(file)) {
            store.load(bytes, PASSWORD);
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(store, PASSWORD);
        certified = TlsServerCredentials.newBuilder().keyManager(keys.getKeyManagers()).build();
        KeyStore known = KeyStore.getInstance("PKCS12");
        known.load(null, null);
        known.setCertificateEntry("server", store.getCertificate("server"));
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(known);
        trusting = TlsChannelCredentials.newBuilder().trustManager(trust.getTrustManagers()).build();
    }

    @Test
    void a_call_and_a_watch_reach_a_server_of_a_known_authority() throws Exception {
        listen(certified);
        server.answer(Fake.DONE).stream(observer -> observer.onNext(Sent.CARTS.begin(Cause.CAUSE_INITIAL)));

        try (Clientela client = to("localhost").tls(trusting).connect();
                var watch = client.watchCarts(WatchCartsRequest.getDefaultInstance())) {
            assertEquals("carts/a", create(client).getName());
            assertEquals(new Event.Reset<>(Cause.CAUSE_INITIAL), watch.next());
        }
    }

    @Test
    void a_server_of_an_unknown_authority_is_told_nothing() throws Exception {
        listen(certified);

        assertUntrusted(refused(to("localhost").tls(TlsChannelCredentials.create())));
    }

    @Test
    void a_server_that_is_certified_for_another_host_is_told_nothing() throws Exception {
        listen(certified);

        assertUntrusted(refused(to("127.0.0.1").tls(trusting)));
    }

    @Test
    void a_server_without_tls_is_told_nothing_if_tls_was_asked_for() throws Exception {
        listen(InsecureServerCredentials.create());

        refused(to("localhost").tls(trusting));
    }

    @Test
    void another_host_is_called_in_plaintext_only_if_that_was_asked_for_by_name() throws Exception {
        listen(InsecureServerCredentials.create());
        // It leads to this machine, but does not count as loopback.
        refused(to("[::ffff:127.0.0.1]"));

        server.answer(Fake.DONE);
        try (Clientela client = to("[::ffff:127.0.0.1]").plaintext().connect()) {
            assertEquals("carts/a", create(client).getName());
        }
    }

    /** Starts the server on the network, instead of in the process. */
    private void listen(ServerCredentials credentials) throws Exception {
        server.stop();
        server.start(NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", 0), credentials));
    }

    private Clientela.Builder to(String host) {
        return Clientela.builder().address(host + ":" + server.port()).key("clt_test");
    }

    /** The error of a call that sent nothing to the server. */
    private ClientelaException refused(Clientela.Builder builder) {
        try (Clientela client = builder.connect()) {
            ClientelaException refusal = assertThrows(ClientelaException.class, () -> create(client));
            assertEquals(Status.Code.UNAVAILABLE, refusal.getStatus().getCode());
            assertEquals(ErrorReason.ERROR_REASON_UNSPECIFIED, refusal.reason());
            assertTrue(server.headers.isEmpty());
            return refusal;
        }
    }

    private static void assertUntrusted(ClientelaException refusal) {
        Throwable cause = refusal;
        while (cause != null && !(cause instanceof SSLException)) {
            cause = cause.getCause();
        }
        assertTrue(cause != null, () -> "not for its certificate: " + refusal);
    }

    private static Cart create(Clientela client) {
        return Clientela.call(() -> client.carts().createCart(CreateCartRequest.getDefaultInstance()));
    }
}
