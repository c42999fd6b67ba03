import dev.clientela.Clientela;
import dev.clientela.ClientelaException;
import dev.clientela.Event;
import dev.clientela.Watch;
import dev.clientela.v1.AddItemRequest;
import dev.clientela.v1.AddMembersRequest;
import dev.clientela.v1.Cart;
import dev.clientela.v1.CartChange;
import dev.clientela.v1.CartOwner;
import dev.clientela.v1.CartTarget;
import dev.clientela.v1.CreateCustomerRequest;
import dev.clientela.v1.CreateGroupRequest;
import dev.clientela.v1.Customer;
import dev.clientela.v1.ErrorReason;
import dev.clientela.v1.Group;
import dev.clientela.v1.ItemInput;
import dev.clientela.v1.ItemPrice;
import dev.clientela.v1.MembershipSource;
import dev.clientela.v1.Money;
import dev.clientela.v1.WatchCartsRequest;
import java.util.UUID;

/** Signs a customer up, adds it to a group with a discount, fills a cart, and watches it. */
public final class SignUp {
    public static void main(String[] arguments) {
        String address = System.getenv().getOrDefault("CLIENTELA_SERVER", "127.0.0.1:50051");
        try (Clientela client = Clientela.builder().address(address).connect()) {
            Customer ada = signUp(client, "ada-" + UUID.randomUUID() + "@example.com");
            System.out.println("signed up " + ada.getName());
            giveGroup(client, ada);
            Cart cart = add(client, ada, 1);
            System.out.println("filled " + cart.getName());
            watch(client, ada, cart);
        }
    }

    private static Customer signUp(Clientela client, String email) {
        Customer customer = Customer.newBuilder()
                .setFirstName("Ada").setLastName("Lovelace").setEmail(email).build();
        CreateCustomerRequest request = CreateCustomerRequest.newBuilder().setCustomer(customer).build();
        Customer created = Clientela.call(() -> client.customers().createCustomer(request));
        try {
            Clientela.call(() -> client.customers().createCustomer(request));
        } catch (ClientelaException refusal) {
            if (refusal.reason() != ErrorReason.EMAIL_TAKEN) {
                throw refusal;
            }
            System.out.println("the address is taken by " + refusal.metadata().get("customer"));
        }
        return created;
    }

    private static void giveGroup(Clientela client, Customer customer) {
        Group regulars = Group.newBuilder()
                .putDisplayNames("en", "Regulars").setDiscountPercent("10").build();
        try {
            Clientela.call(() -> client.groups().createGroup(
                    CreateGroupRequest.newBuilder().setGroup(regulars).setGroupId("regulars").build()));
        } catch (ClientelaException refusal) {
            // An earlier run made it.
            if (refusal.reason() != ErrorReason.NAME_TAKEN) {
                throw refusal;
            }
        }
        Clientela.call(() -> client.groups().addMembers(AddMembersRequest.newBuilder()
                .setGroup("groups/regulars")
                .addMembers(customer.getName())
                .setSource(MembershipSource.MEMBERSHIP_SOURCE_STAFF)
                .setMakeDefault(true)
                .build()));
    }

    private static Cart add(Clientela client, Customer customer, int quantity) {
        Money price = Money.newBuilder().setCurrencyCode("EUR").setMicros(11_900_000).build();
        ItemInput mug = ItemInput.newBuilder()
                .setProduct("mug")
                .setQuantity(quantity)
                .setPrice(ItemPrice.newBuilder().setListPrice(price).setPriceIncludesTax(true).setTaxRate("20"))
                .build();
        return Clientela.call(() -> client.carts().addItem(AddItemRequest.newBuilder()
                .setTarget(CartTarget.newBuilder().setOwner(CartOwner.newBuilder().setCustomer(customer.getName())))
                .setItem(mug)
                .build()));
    }

    private static void watch(Clientela client, Customer customer, Cart cart) {
        WatchCartsRequest request = WatchCartsRequest.newBuilder().addNames(cart.getName()).build();
        try (Watch<CartChange> watch = client.watchCarts(request)) {
            for (Event<CartChange> event : watch) {
                if (event instanceof Event.Ready<CartChange>) {
                    System.out.println("watching; two more go in");
                    add(client, customer, 2);
                } else if (event instanceof Event.Changed<CartChange> changed) {
                    Cart now = changed.change().getCart();
                    System.out.printf("%d in the cart, %.2f EUR%n", now.getItemCount(), now.getTotal().getMicros() / 1e6);
                    if (now.getItemCount() == 3) {
                        return;
                    }
                }
            }
        }
    }
}
