package dev.clientela;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Tests of the methods that write messages. */
class MessagesTest {
    @Test
    void a_target_names_a_cart_or_its_owner() {
        assertEquals("carts/a", Messages.cart("carts/a").getCart());
        assertEquals("customers/ada", Messages.customerCart("customers/ada").getOwner().getCustomer());
        assertEquals("a-token-of-a-visitor", Messages.visitorCart("a-token-of-a-visitor").getOwner().getVisitor());
    }

    @Test
    void money_is_exact() {
        long largest = (1L << 53) - 1;
        Map<String, Long> wanted = Map.of("11.90", 11_900_000L, "0", 0L, "-0.01", -10_000L, "13.445378", 13_445_378L,
                "007", 7_000_000L, "9007199254.740991", largest, "-9007199254.740991", -largest);
        wanted.forEach((amount, micros) -> {
            assertEquals(micros, Messages.money("EUR", amount).getMicros(), amount);
            assertEquals("EUR", Messages.money("EUR", amount).getCurrencyCode());
        });
    }

    @Test
    void money_that_is_not_a_decimal_number_is_refused() {
        for (String amount : List.of("", "11,90", "1.2345678", "1e3", ".5", "1.", "+1", " 1", "1\n", "\u0663",
                "9007199254.740992", "99999999999999999999")) {
            Exception refusal = assertThrows(IllegalArgumentException.class, () -> Messages.money("EUR", amount));
            assertTrue(refusal.getMessage().startsWith("amount "), refusal.getMessage());
        }
    }
}
