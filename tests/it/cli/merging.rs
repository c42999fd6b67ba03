//! Tests `clientela cart merge`: the outcome of each line, as a table.

use clientela::proto::pb::{self, cart_service_client::CartServiceClient};
use tonic::transport::Endpoint;

use super::{Server, on_both_engines};
use crate::carts::{item, visitor};
use crate::harness::{Engine, Shop};

/// Creates a visitor's cart with shirts and returns its id.
async fn cart(server: &Server, shirts: i32) -> String {
    let channel = Endpoint::from_shared(format!("http://{}", server.address))
        .unwrap()
        .connect_lazy();
    let keyed = Shop::with_key(&server.key("admin"));
    let request = pb::CreateCartRequest {
        owner: Some(visitor()),
        items: vec![item("shirt", shirts)],
        ..Default::default()
    };
    let mut client = CartServiceClient::with_interceptor(channel, keyed);
    let made = client.create_cart(request).await.unwrap().into_inner();
    made.name.strip_prefix("carts/").unwrap().to_owned()
}

on_both_engines! {
    async fn carts_are_merged_and_each_line_is_shown(server: Server) {
        let (source, target) = (cart(&server, 2).await, cart(&server, 3).await);

        let printed = server.printed(&["cart", "merge", &source, &target, "--policy", "max"]);
        let shown = server.printed(&["cart", "show", &source]);
        let complaint = server.complaint(1, &["cart", "merge", &target, &target]);

        let line = printed.lines().find(|line| line.starts_with("shirt")).expect("the line is shown");
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[..5], ["shirt", "kept", "2", "3", "3"], "{printed}");
        assert!(printed.contains(&format!("carts/{target} now comes to ")), "{printed}");
        assert!(shown.contains(&format!("carts/{target}")), "{shown}");
        assert!(complaint.contains("target"), "{complaint}");
    }
}
