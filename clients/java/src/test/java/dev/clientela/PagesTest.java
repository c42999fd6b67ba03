package dev.clientela;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.clientela.v1.Cart;
import dev.clientela.v1.ErrorReason;
import dev.clientela.v1.ListCartsRequest;
import dev.clientela.v1.ListCartsResponse;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Tests of the iterator over all pages. */
@Timeout(60)
class PagesTest {
    @RegisterExtension
    final Fake server = new Fake();

    @Test
    void every_item_of_every_page_is_yielded() {
        // A page may be empty and still not be the last.
        server.pages.addAll(List.of(page("p1", "a", "b"), page("p2"), page("", "c")));
        List<String> names = new ArrayList<>();

        all(2).forEach(cart -> names.add(cart.getName()));

        assertEquals(List.of("a", "b", "c"), names);
        assertEquals(List.of("", "p1", "p2"), server.lists.stream().map(ListCartsRequest::getPageToken).toList());
        assertEquals(List.of(2, 2, 2), server.lists.stream().map(ListCartsRequest::getPageSize).toList());
    }

    @Test
    void a_page_that_is_not_read_is_not_fetched() {
        server.pages.addAll(List.of(page("p1", "a", "b"), page("", "c")));

        assertEquals("a", all(0).iterator().next().getName());

        assertEquals(1, server.lists.size());
    }

    @Test
    void the_error_of_a_page_ends_the_iterator() {
        server.pages.add(page("p1", "a"));
        Iterator<Cart> carts = all(0).iterator();

        assertEquals("a", carts.next().getName());

        assertEquals(ErrorReason.ROLE_NOT_ALLOWED, assertThrows(ClientelaException.class, carts::next).reason());
    }

    private Iterable<Cart> all(int size) {
        return Clientela.all(server.client().carts()::listCarts,
                ListCartsRequest.newBuilder().setPageSize(size).build(), ListCartsResponse::getCartsList);
    }

    private static ListCartsResponse page(String token, String... names) {
        ListCartsResponse.Builder page = ListCartsResponse.newBuilder().setNextPageToken(token);
        for (String name : names) {
            page.addCarts(Cart.newBuilder().setName(name));
        }
        return page.build();
    }
}
