package dev.clientela;

import dev.clientela.v1.CartOwner;
import dev.clientela.v1.CartTarget;
import dev.clientela.v1.Money;
import java.math.BigDecimal;

/** Short ways to write the messages that almost every program needs. Import its methods statically. */
public final class Messages {
    private static final long MICROS_MAX = (1L << 53) - 1;

    private Messages() {}

    /** Returns the target of the cart with this name, for example {@code carts/019a}. */
    public static CartTarget cart(String name) {
        return CartTarget.newBuilder().setCart(name).build();
    }

    /**
     * Returns the target of the open cart of a customer, for example {@code customers/ada}, in the slot {@code main}.
     */
    public static CartTarget customerCart(String customer) {
        return CartTarget.newBuilder().setOwner(CartOwner.newBuilder().setCustomer(customer)).build();
    }

    /**
     * Returns the target of the open cart of a visitor in the slot {@code main}. The token is the one that the
     * storefront gave to the visitor: 16 to 256 characters.
     */
    public static CartTarget visitorCart(String token) {
        return CartTarget.newBuilder().setOwner(CartOwner.newBuilder().setVisitor(token)).build();
    }

    /**
     * Returns an amount of a currency: {@code money("EUR", "11.90")} is 11.90 euros.
     *
     * @throws IllegalArgumentException if the amount is not a decimal number with at most six places, or too large for
     *     the contract
     */
    public static Money money(String currency, String amount) {
        if (!amount.matches("-?[0-9]+(\\.[0-9]{1,6})?")) {
            throw new IllegalArgumentException("amount \"" + amount
                    + "\" is not a decimal number with at most six places, for example \"11.90\"");
        }
        BigDecimal micros = new BigDecimal(amount).movePointRight(6);
        if (micros.abs().compareTo(BigDecimal.valueOf(MICROS_MAX)) > 0) {
            throw new IllegalArgumentException("amount \"" + amount + "\" is too large: at most 9007199254.740991");
        }
        return Money.newBuilder().setCurrencyCode(currency).setMicros(micros.longValueExact()).build();
    }
}
