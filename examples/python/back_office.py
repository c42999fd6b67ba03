"""The calls of a shop's back office: a customer on the telephone, a price by hand, and the order's webhook.

It is a stub: a real back office calls these functions from its pages and webhooks; `main` plays one afternoon
with them. `CLIENTELA_API_KEY=clt_… python back_office.py [ADDRESS]`, an admin key.
"""

from __future__ import annotations

import os
import sys
import threading
import uuid

import clientela
from clientela import v1


class BackOffice:
    """The calls, for one member of staff."""

    def __init__(self, address: str, key: str, clerk: str) -> None:
        # Every change stores its actor, so the key must be allowed to name the acting person.
        self.client = clientela.connect(address, key, actor=clerk)

    def look_up(self, email: str) -> v1.Customer | None:
        """Returns the customer with an e-mail address."""
        try:
            key = v1.CustomerKey(email=email)
            return self.client.customers.LookupCustomer(v1.LookupCustomerRequest(key=key))
        except clientela.Error as error:
            if error.reason == "NOT_FOUND":
                return None
            raise

    def give_group(self, customer: str, group: str, reason: str) -> bool:
        """Adds a customer to a group, and returns whether the customer is a new member."""
        answer = self.client.groups.AddMembers(
            v1.AddMembersRequest(
                group=group, members=[customer], source=v1.MEMBERSHIP_SOURCE_STAFF, reason=reason, make_default=True
            )
        )
        return bool(answer.results[0].outcome == v1.MemberResult.OUTCOME_CHANGED)

    def cart_of(self, customer: str) -> v1.Cart:
        """Returns the customer's open cart."""
        owner = v1.CartTarget(owner=v1.CartOwner(customer=customer))
        return self.client.carts.GetCart(v1.GetCartRequest(target=owner))

    def give_price(self, cart: str, product: str, price: v1.Money, reason: str) -> v1.Cart:
        """Sets the price of a product of a cart by hand, with the cart locked."""
        target = v1.CartTarget(cart=cart)
        held = self.client.carts.LockCart(v1.LockCartRequest(target=target, purpose="Telephone"))
        try:
            item = next(item for item in held.items if item.product == product)
            override = v1.PriceOverride(amount=price, reason=reason)
            self.client.carts.UpdateItem(v1.UpdateItemRequest(name=item.name, price_override=override))
        finally:
            free = self.client.carts.UnlockCart(v1.UnlockCartRequest(name=cart))
        return free

    def on_paid(self, cart: str, order: str, paid: v1.Money) -> v1.Cart:
        """The webhook of the payment. It orders the cart once, however often it is delivered."""
        target = v1.CartTarget(cart=cart)
        return self.client.carts.OrderCart(
            v1.OrderCartRequest(target=target, order_reference=order, expected_total=paid)
        )

    def follow(self, ready: threading.Event, ordered: threading.Event, cart: str) -> None:
        """A screen with the open carts, until one of them is ordered."""
        known: dict[str, v1.Cart] = {}
        for event in self.client.watch_carts("state = OPEN"):
            if isinstance(event, clientela.Reset):
                known.clear()
            elif isinstance(event, clientela.Ready):
                ready.set()
            elif event.kind == clientela.UPSERTED:
                known[event.name] = event.cart
            else:
                known.pop(event.name, None)
            if ready.is_set() and cart not in known:
                ordered.set()
                return


def key_of_clerks(address: str) -> str:
    """Makes a key for the back office that may name the acting person."""
    with clientela.connect(address) as admin:
        wanted = v1.ApiKey(display_name="back office", roles=[v1.ROLE_SUPPORT], may_act=True)
        return admin.admin.CreateApiKey(v1.CreateApiKeyRequest(api_key=wanted)).secret


def shopper(address: str) -> tuple[str, str]:
    """Makes a customer with a cart, and a group. Returns the e-mail address and the group."""
    with clientela.connect(address) as client:
        mark = uuid.uuid4().hex[:8]
        wanted = v1.Customer(first_name="Grace", last_name="Hopper", email=f"grace-{mark}@example.com")
        grace = client.customers.CreateCustomer(v1.CreateCustomerRequest(customer=wanted))
        group = v1.Group(display_names={"en": "Friends"}, discount_percent="5")
        made = client.groups.CreateGroup(v1.CreateGroupRequest(group=group, group_id=f"friends-{mark}"))
        price = v1.ItemPrice(list_price=v1.Money(currency_code="EUR", micros=40_000_000), price_includes_tax=True)
        owner = v1.CartTarget(owner=v1.CartOwner(customer=grace.name))
        item = v1.ItemInput(product="teapot", quantity=1, price=price)
        client.carts.AddItem(v1.AddItemRequest(target=owner, item=item))
        return grace.email, made.name


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CLIENTELA_SERVER", "127.0.0.1:50051")
    email, group = shopper(address)
    office = BackOffice(address, key_of_clerks(address), "clerk@shop.example")

    assert office.look_up("nobody@example.com") is None
    grace = office.look_up(email)
    assert grace is not None
    print("on the telephone:", grace.first_name, grace.last_name)

    assert office.give_group(grace.name, group, "asked for it")
    assert not office.give_group(grace.name, group, "asked again")
    cart = office.cart_of(grace.name)

    ready, ordered = threading.Event(), threading.Event()
    screen = threading.Thread(target=office.follow, args=[ready, ordered, cart.name], daemon=True)
    screen.start()
    assert ready.wait(60), "the screen shows nothing"

    price = v1.Money(currency_code="EUR", micros=30_000_000)
    cart = office.give_price(cart.name, "teapot", price, "the lid is chipped")
    print("the teapot is", cart.items[0].price_override.amount.micros / 1_000_000, "now")
    assert cart.total.micros == 30_000_000, cart.total

    order = f"order-{uuid.uuid4().hex[:8]}"
    once, twice = (office.on_paid(cart.name, order, cart.total) for _ in range(2))
    assert once == twice, "the second delivery did something"
    print("ordered once, as", twice.order_reference)

    try:
        office.on_paid(cart.name, f"{order}-other", cart.total)
        raise AssertionError("another order took the same cart")
    except clientela.Error as error:
        assert error.reason == "CART_NOT_OPEN", error
        print("another order is refused:", error.reason, error.metadata["order_reference"])
    assert ordered.wait(60), "the screen does not see that it was ordered"
    office.client.close()


if __name__ == "__main__":
    main()
