import dev.clientela.Clientela;
import dev.clientela.v1.AddItemRequest;
import dev.clientela.v1.Cart;
import dev.clientela.v1.CartChange;
import dev.clientela.v1.CartOwner;
import dev.clientela.v1.CartTarget;
import dev.clientela.v1.DeliveryMode;
import dev.clientela.v1.ItemInput;
import dev.clientela.v1.ItemPrice;
import dev.clientela.v1.Money;
import dev.clientela.v1.UpdateItemRequest;
import dev.clientela.v1.WatchCartsRequest;
import dev.clientela.v1.WatchOptions;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/** How many changes a second a watch takes: 20,000 are made while it is away, then it comes back. */
public final class Throughput {
    private static final int CHANGES = 20_000;
    private static final int CARTS = 64;

    public static void main(String[] arguments) throws InterruptedException {
        String address = System.getenv().getOrDefault("CLIENTELA_ADDRESS", "127.0.0.1:50051");
        try (Clientela client = Clientela.builder().address(address).connect()) {
            Cart[] carts = new Cart[CARTS];
            for (int cart = 0; cart < CARTS; cart++) {
                carts[cart] = fill(client, "throughput-" + System.nanoTime());
            }
            WatchOptions.Builder options =
                    WatchOptions.newBuilder().setDeliveryMode(DeliveryMode.DELIVERY_MODE_EVERY);
            try (Clientela.Watch<CartChange> watch = client.watchCarts(request(options))) {
                while (!(watch.next() instanceof Clientela.Event.Ready)) {}
                options.setResumeToken(watch.resumeToken());
            }
            change(client, carts);
            System.gc();
            for (int round = 1; round <= 3; round++) {
                long from = System.nanoTime();
                take(client, request(options));
                System.out.printf("round %d: %.0f changes a second%n", round, CHANGES / ((System.nanoTime() - from) / 1e9));
            }
        }
    }

    private static WatchCartsRequest request(WatchOptions.Builder options) {
        return WatchCartsRequest.newBuilder().setOptions(options).build();
    }

    private static void take(Clientela client, WatchCartsRequest request) {
        try (Clientela.Watch<CartChange> watch = client.watchCarts(request)) {
            for (int taken = 0; taken < CHANGES;) {
                taken += watch.next() instanceof Clientela.Event.Changed ? 1 : 0;
            }
        }
    }

    private static Cart fill(Clientela client, String visitor) {
        Money price = Money.newBuilder().setCurrencyCode("EUR").setMicros(11_900_000).build();
        return client.carts().addItem(AddItemRequest.newBuilder()
                .setTarget(CartTarget.newBuilder().setOwner(CartOwner.newBuilder().setVisitor(visitor)))
                .setItem(ItemInput.newBuilder().setProduct("mug").setQuantity(1)
                        .setPrice(ItemPrice.newBuilder().setListPrice(price)))
                .build());
    }

    private static void change(Clientela client, Cart[] carts) throws InterruptedException {
        ExecutorService writers = Executors.newFixedThreadPool(carts.length);
        for (Cart cart : carts) {
            writers.submit(() -> {
                for (int change = 0; change < CHANGES / CARTS + 1; change++) {
                    client.carts().updateItem(UpdateItemRequest.newBuilder()
                            .setName(cart.getItems(0).getName()).setQuantity(2 + change % 2).build());
                }
            });
        }
        writers.shutdown();
        if (!writers.awaitTermination(10, TimeUnit.MINUTES)) {
            throw new IllegalStateException("the changes are not made");
        }
    }
}
