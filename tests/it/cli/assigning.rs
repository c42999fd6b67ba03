//! Tests `clientela cart assign`: every choice for two carts.

use clientela::proto::pb::{self, CartOwner, cart_service_client::CartServiceClient};
use clientela::proto::pb::{
    assign_cart_request::IfOpenCartExists, customer_service_client::CustomerServiceClient,
};
use tonic::transport::{Channel, Endpoint};

use super::{Server, on_both_engines};
use crate::carts::{customer, item, visitor};
use crate::harness::{Engine, Keyed, Shop, unique};

fn connect(server: &Server) -> (Channel, Keyed) {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    (
        endpoint.connect_lazy(),
        Shop::with_key(&server.key("admin")),
    )
}

/// Creates an owner's cart with shirts and returns its id.
async fn cart(server: &Server, owner: CartOwner, shirts: i32) -> String {
    let request = pb::CreateCartRequest {
        owner: Some(owner),
        items: vec![item("shirt", shirts)],
        ..Default::default()
    };
    let (channel, keyed) = connect(server);
    let mut client = CartServiceClient::with_interceptor(channel, keyed);
    let made = client.create_cart(request).await.unwrap().into_inner();
    made.name.strip_prefix("carts/").unwrap().to_owned()
}

/// Creates a customer with a cart of three shirts and returns the id.
async fn ada(server: &Server) -> String {
    let ada = pb::Customer {
        email: format!("ada{}@example.test", unique()),
        ..Default::default()
    };
    let request = pb::CreateCustomerRequest {
        customer: Some(ada),
        ..Default::default()
    };
    let (channel, keyed) = connect(server);
    let mut client = CustomerServiceClient::with_interceptor(channel, keyed);
    let made = client.create_customer(request).await.unwrap().into_inner();
    cart(server, customer(&made.name), 3).await;
    made.name.strip_prefix("customers/").unwrap().to_owned()
}

/// Returns whether a command printed this line, with any blanks between the words.
fn has(printed: &str, line: &[&str]) -> bool {
    let mut lines = printed.lines();
    lines.any(|printed| printed.split_whitespace().eq(line.iter().copied()))
}

on_both_engines! {
    async fn the_command_has_every_choice_of_the_contract(server: Server) {
        // For each choice: the outcome for two shirts in the cart and three in the other, and the slot.
        let cases = [
            ("keep-both", "main-2", None),
            ("replace", "main", None),
            ("sum", "main", Some(["shirt", "summed", "2", "3", "5"])),
            ("max", "main", Some(["shirt", "kept", "2", "3", "3"])),
            ("guest-wins", "main", Some(["shirt", "replaced", "2", "3", "2"])),
            ("customer-wins", "main", Some(["shirt", "kept", "2", "3", "3"])),
        ];
        // The enum also has `fail`. Its unspecified value is not counted.
        let values = (1..).map_while(|number| IfOpenCartExists::try_from(number).ok());
        assert_eq!(values.count(), cases.len() + 1);
        for (choice, slot, outcome) in cases {
            let (ada, guest) = (ada(&server).await, cart(&server, visitor(), 2).await);

            let refusals = [
                server.complaint(1, &["cart", "assign", &guest, &ada]),
                server.complaint(1, &["cart", "assign", &guest, &ada, "--if-open-cart-exists", "fail"]),
            ];
            let printed =
                server.printed(&["cart", "assign", &guest, &ada, "--if-open-cart-exists", choice]);

            for refused in refusals {
                assert!(refused.contains("OPEN_CART_EXISTS"), "{refused}");
            }
            let full = format!("customers/{ada}");
            assert!(has(&printed, &["customer", &full]), "{choice}: {printed}");
            assert!(has(&printed, &["slot", slot]), "{choice}: {printed}");
            let line = printed.lines().find(|line| line.starts_with("shirt"));
            let words = line.map(|line| line.split_whitespace().take(5).collect::<Vec<_>>());
            assert_eq!(words, outcome.map(|words| words.to_vec()), "{choice}: {printed}");
        }
        let unknown = ["cart", "assign", "a", "b", "--if-open-cart-exists", "ask"];
        let unknown = server.complaint(2, &unknown);
        assert!(unknown.contains("guest-wins"), "{unknown}");
    }
}
