//! Tests freezing and locking with `clientela cart`.

use clientela::proto::pb::{self, cart_owner::Owner, cart_service_client::CartServiceClient};
use tonic::transport::Endpoint;

use super::{Server, on_both_engines};
use crate::harness::{Engine, Shop};

/// Creates a cart and returns its id.
async fn cart(server: &Server) -> String {
    let channel = Endpoint::from_shared(format!("http://{}", server.address))
        .unwrap()
        .connect_lazy();
    let keyed = Shop::with_key(&server.key("admin"));
    let mut carts = CartServiceClient::with_interceptor(channel, keyed);
    let owner = Owner::Visitor("a visitor who calls the shop".into());
    let request = pb::CreateCartRequest {
        owner: Some(pb::CartOwner {
            owner: Some(owner),
            slot: String::new(),
        }),
        cart_id: "called".into(),
        ..Default::default()
    };
    let cart = carts.create_cart(request).await.expect("a cart is made");
    cart.into_inner().name.replace("carts/", "")
}

/// Returns whether a command printed this line, with any blanks between the words.
fn has(printed: &str, line: &[&str]) -> bool {
    printed
        .lines()
        .any(|printed| printed.split_whitespace().eq(line.iter().copied()))
}

on_both_engines! {
    async fn a_cart_is_frozen_and_locked_from_the_command_line(server: Server) {
        let cart = cart(&server).await;
        let run = |arguments: &[&str]| {
            let cart = [&["cart"], arguments, &["--actor", "staff/anna"]].concat();
            server.printed(&cart)
        };

        let soft = run(&["freeze", &cart]);
        let hard = run(&["freeze", &cart, "--hard"]);
        let locked = run(&["lock", &cart, "--purpose", "Telephone", "--lease", "900"]);
        let taken = ["cart", "unlock", &cart, "--actor", "staff/ben"];
        let taken = server.complaint(1, &taken);
        let short = ["cart", "lock", &cart, "--lease", "9"];
        let short = server.complaint(1, &short);
        let shown = server.printed(&["cart", "show", &cart]);
        let forced = ["cart", "unlock", &cart, "--force", "--actor", "staff/ben"];
        let free = server.printed(&forced);
        let thawed = run(&["unfreeze", &cart]);

        assert!(has(&soft, &["frozen", "soft"]), "{soft}");
        assert!(has(&hard, &["frozen", "hard"]), "{hard}");
        for held in [locked, shown] {
            assert!(has(&held, &["held", "by", "staff/anna"]), "{held}");
            assert!(has(&held, &["purpose", "Telephone"]) && held.contains("until"), "{held}");
        }
        assert!(taken.contains("CART_LOCKED") && taken.contains("unlock --force"), "{taken}");
        assert!(short.contains("lease"), "{short}");
        assert!(!free.contains("held by") && has(&free, &["frozen", "hard"]), "{free}");
        assert!(!thawed.contains("frozen"), "{thawed}");
    }
}
