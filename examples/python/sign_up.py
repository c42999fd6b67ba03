"""Signs a customer up, adds it to a group, fills a cart, and watches it.

With the package `clientela` installed: `CLIENTELA_API_KEY=clt_… python sign_up.py [ADDRESS]`, an admin key.
"""

from __future__ import annotations

import os
import sys
import uuid

import clientela
from clientela import v1


def euros(cents: int) -> v1.Money:
    """Returns an amount: millionths of the currency's major unit."""
    return v1.Money(currency_code="EUR", micros=cents * 10_000)


def group_of_regulars(client: clientela.Client) -> v1.Group:
    """Returns the group, and makes it the first time."""
    try:
        wanted = v1.Group(display_names={"en": "Regulars"}, discount_percent="10")
        return client.groups.CreateGroup(v1.CreateGroupRequest(group=wanted, group_id="example-regulars"))
    except clientela.Error as error:
        if error.reason != "NAME_TAKEN":
            raise
        return client.groups.GetGroup(v1.GetGroupRequest(name=error.metadata["name"]))


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CLIENTELA_SERVER", "127.0.0.1:50051")
    with clientela.connect(address) as client:
        email = f"ada-{uuid.uuid4().hex[:8]}@example.com"
        wanted = v1.Customer(first_name="Ada", last_name="Lovelace", email=email)
        ada = client.customers.CreateCustomer(v1.CreateCustomerRequest(customer=wanted))
        print("signed up", ada.name)

        try:
            client.customers.CreateCustomer(v1.CreateCustomerRequest(customer=wanted))
        except clientela.Error as error:
            assert error.reason == "EMAIL_TAKEN", error
            print("that address belongs to", error.metadata["customer"])

        group = group_of_regulars(client)
        client.groups.AddMembers(
            v1.AddMembersRequest(
                group=group.name, members=[ada.name], source=v1.MEMBERSHIP_SOURCE_STAFF, make_default=True
            )
        )
        print("is in", group.name, "with", group.discount_percent, "% off")

        owner = v1.CartTarget(owner=v1.CartOwner(customer=ada.name))
        for product, cents in (("mug", 1190), ("tea", 500)):
            price = v1.ItemPrice(list_price=euros(cents), price_includes_tax=True, tax_rate="20")
            item = v1.ItemInput(product=product, quantity=2, price=price)
            cart = client.carts.AddItem(v1.AddItemRequest(target=owner, item=item))
        print(cart.name, "comes to", cart.total.micros / 1_000_000, cart.total.currency_code)

        for event in client.watch_carts(names=[cart.name]):
            if isinstance(event, clientela.Ready):
                # In a shop another program does this.
                client.carts.ClearCart(v1.ClearCartRequest(target=v1.CartTarget(cart=cart.name)))
            elif isinstance(event, clientela.Change):
                print("version", event.version, "has", event.cart.item_count, "pieces")
                if event.cart.item_count == 0:
                    break


if __name__ == "__main__":
    main()
