//! Tests editing customers, groups, members, operations and settings from the command line, and the ways to
//! name a resource.

use std::io::Write as _;
use std::process::Stdio;

use clientela::proto::pb::{self, cart_service_client::CartServiceClient};
use serde_json::Value;
use tonic::transport::Endpoint;

use super::{Server, on_both_engines};
use crate::carts::{customer, item};
use crate::harness::{Engine, Shop};

fn json(printed: &str) -> Value {
    serde_json::from_str(printed).expect("one line of JSON")
}

/// Creates a customer's cart and returns its id and number.
async fn cart(server: &Server, owner: &str, id: &str) -> (String, String) {
    let channel = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let keyed = Shop::with_key(&server.key("admin"));
    let mut carts = CartServiceClient::with_interceptor(channel.connect_lazy(), keyed);
    let request = pb::CreateCartRequest {
        owner: Some(customer(owner)),
        cart_id: id.to_owned(),
        items: vec![item("shirt", 2)],
        ..Default::default()
    };
    let cart = carts.create_cart(request).await.unwrap().into_inner();
    let id = cart.name.strip_prefix("carts/").unwrap().to_owned();
    (id, cart.number)
}

on_both_engines! {
    async fn a_customer_is_created_edited_deleted_and_restored(server: Server) {
        let create = ["customer", "create", "--id", "ada", "first_name=Ada", "email=ada@example.test"];
        let made = server.printed(&create);
        let edit = ["customer", "edit", "ada", "phone=555-0100", "attributes.size=5", "--json"];
        let edited = json(&server.printed(&edit));
        let further = ["customer", "edit", "ada@example.test", "attributes.color=red", "phone=", "--json"];
        let further = json(&server.printed(&further));
        let deleted = server.printed(&["customer", "delete", "ada", "--re-registration", "forbid"]);
        let taken = server.complaint(1, &["customer", "create", "email=ADA@example.test"]);
        let refused = server.complaint(1, &["customer", "edit", "ada", "phone=1"]);
        let back = server.printed(&["customer", "undelete", "ada"]);

        assert!(made.contains("customers/ada") && made.contains("ada@example.test"), "{made}");
        assert_eq!(edited["phone"], "555-0100");
        assert_eq!(further["phone"], Value::Null);
        assert_eq!(further["attributes"]["size"], 5.0);
        assert_eq!(further["attributes"]["color"], "red");
        assert!(deleted.contains("Deleted customers/ada"), "{deleted}");
        assert!(taken.contains("EMAIL_TAKEN"), "{taken}");
        assert!(refused.contains("CUSTOMER_DELETED"), "{refused}");
        assert!(!back.contains("deleted"), "{back}");
    }

    async fn a_password_comes_from_standard_input(server: Server) {
        let create = ["customer", "create", "--id", "ben", "email=ben@example.test", "--password-stdin"];
        let short = server.complaint(1, &create);
        let mut command = server.command(&create);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = process.stdin.take().unwrap();
        input.write_all(b"a long secret\n").unwrap();
        drop(input);
        let output = process.wait_with_output().unwrap();
        let shown = server.complaint(2, &["customer", "edit", "ben", "password=a long secret"]);

        assert!(short.contains("password"), "{short}");
        assert!(output.status.success());
        assert!(shown.contains("--password-stdin"), "{shown}");
        assert!(!shown.contains("a long secret"), "{shown}");
    }

    async fn a_validated_customer_is_not_created(server: Server) {
        let create = ["customer", "create", "--id", "eve", "email=eve@example.test", "--validate-only"];
        server.printed(&create);
        let absent = server.complaint(1, &["customer", "show", "eve"]);
        let wrong = ["customer", "create", "email=nonsense", "--validate-only"];
        let wrong = server.complaint(1, &wrong);
        let unknown = server.complaint(2, &["customer", "create", "frist_name=Eve"]);

        assert!(absent.contains("NOT_FOUND"), "{absent}");
        assert!(wrong.contains("customer.email"), "{wrong}");
        assert!(unknown.contains("did you mean first_name?"), "{unknown}");
    }

    async fn a_group_gets_members_and_loses_them(server: Server) {
        let create = ["group", "create", "trade", "display_names.en=Trade", "discount_percent=10"];
        let made = server.printed(&create);
        let edit = ["group", "edit", "trade", "display_names.fr=Pro", "discount_percent=12.50"];
        let edited = server.printed(&edit);
        server.printed(&["customer", "create", "--id", "ada", "email=ada@example.test"]);
        server.printed(&["customer", "create", "--id", "ben", "email=ben@example.test", "number=B-7"]);
        let add = ["group", "add-members", "trade", "ada", "B-7", "--make-default", "--reason", "trade fair"];
        let added = server.printed(&add);
        let nobody = ["group", "add-members", "trade", "ben@example.test", "nobody@example.test"];
        let nobody = server.run(&nobody);
        let members = server.printed(&["group", "members", "trade"]);
        let removed = server.printed(&["group", "remove-members", "trade", "ben@example.test"]);
        let left = server.printed(&["group", "members", "trade", "--json"]);

        assert!(made.contains("10.00 %") && edited.contains("12.50 %"), "{made}{edited}");
        assert!(edited.contains("Trade (en), Pro (fr)"), "{edited}");
        assert_eq!(added.matches("changed").count(), 2, "{added}");
        assert_eq!(nobody.status.code(), Some(1));
        let outcomes = String::from_utf8_lossy(&nobody.stdout);
        assert!(outcomes.contains("unchanged") && outcomes.contains("not found"), "{outcomes}");
        let complaint = String::from_utf8_lossy(&nobody.stderr);
        assert!(complaint.contains("1 of 2 customers could not be added"), "{complaint}");
        assert!(members.contains("ada") && members.contains("ben") && members.contains("staff"), "{members}");
        assert!(removed.contains("changed"), "{removed}");
        assert_eq!(left.lines().count(), 1, "{left}");
    }

    async fn the_operation_of_a_deletion_can_be_watched(server: Server) {
        server.printed(&["group", "create", "trade", "display_names.en=Trade"]);
        server.printed(&["customer", "create", "--id", "ada", "email=ada@example.test"]);
        server.printed(&["group", "add-members", "trade", "ada"]);

        let deleted = server.printed(&["group", "delete", "trade", "--wait"]);
        let listed = server.printed(&["operation", "list", "--filter", "kind = DELETE_GROUP", "--json"]);
        let operation = json(&listed);
        let id = operation["name"].as_str().unwrap().strip_prefix("operations/").unwrap();
        let watched = server.printed(&["operation", "watch", id]);
        server.printed(&["operation", "wait", id]);
        let shown = server.printed(&["operation", "show", id]);
        let table = server.printed(&["operation", "list"]);
        let ended = server.complaint(1, &["operation", "cancel", id]);
        let absent = server.complaint(1, &["operation", "watch", "nothing"]);

        assert!(deleted.contains("Deleted groups/trade"), "{deleted}");
        assert_eq!(operation["state"], "STATE_DONE");
        assert!(watched.contains("done"), "{watched}");
        assert!(shown.contains("groups/trade") && shown.contains("delete group"), "{shown}");
        assert!(table.contains(id), "{table}");
        assert!(ended.contains("OPERATION_ENDED"), "{ended}");
        assert!(absent.contains("NOT_FOUND"), "{absent}");
        let customer = server.printed(&["customer", "show", "ada"]);
        assert!(!customer.contains("trade"), "{customer}");
    }

    async fn every_setting_can_be_changed(server: Server) {
        let settings = [
            ("default_currency_code", "JPY"),
            ("language_codes", "fr,en"),
            ("time_zone", "Europe/Paris"),
            ("visitor_group", "groups/guest"),
            ("guest_group", "groups/guest"),
            ("customer_group", "groups/customer"),
            ("guest_checkout", "false"),
            ("new_customer_state", "pending-approval"),
            ("re_registration", "forbid"),
            ("visitor_cart_retention_days", "0"),
            ("customer_cart_retention_days", "400"),
            ("empty_cart_retention_hours", "1"),
            ("cart_idle_after_minutes", "10"),
            ("cart_abandoned_after_minutes", "120"),
            ("if_open_cart_exists", "guest-wins"),
        ];
        let help = server.printed(&["shop", "settings", "--help"]);
        let of_help: Vec<&str> = help
            .lines()
            .filter_map(|line| line.strip_prefix("  ")?.split_once('='))
            .filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
            .map(|(name, _)| name)
            .collect();
        let values: Vec<String> =
            settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut change = vec!["shop", "settings"];
        change.extend(values.iter().map(String::as_str));

        let changed = server.printed(&change);
        let shown = server.printed(&["shop", "settings"]);
        let wrong = server.complaint(1, &["shop", "settings", "cart_idle_after_minutes=0"]);
        let unknown = server.complaint(2, &["shop", "settings", "re_registration=perhaps"]);

        let mut names: Vec<&str> = settings.iter().map(|(name, _)| *name).collect();
        let mut sorted = of_help.clone();
        names.sort_unstable();
        sorted.sort_unstable();
        assert_eq!(sorted, names, "{help}");
        assert_eq!(changed, shown);
        for (name, value) in settings {
            let line = shown.lines().find(|line| line.starts_with(name)).expect(name);
            assert_eq!(line.split_whitespace().last(), Some(value), "{shown}");
        }
        assert!(wrong.contains("settings.cart_idle_after_minutes"), "{wrong}");
        assert!(unknown.contains("allow, forbid"), "{unknown}");
    }

    async fn an_id_a_number_or_an_address_is_enough(server: Server) {
        server.printed(&["customer", "create", "--id", "ada", "email=ada@example.test", "number=17"]);
        server.printed(&["customer", "create", "--id", "17", "email=seventeen@example.test"]);
        server.printed(&["customer", "create", "--id", "ben", "email=ben@example.test", "number=B-7"]);
        let (id, number) = cart(&server, "customers/ada", "").await;

        for given in ["ada", "customers/ada", "ada@example.test"] {
            let shown = server.printed(&["customer", "show", given]);
            assert!(shown.contains("customers/ada"), "{given}: {shown}");
        }
        let shown = server.printed(&["customer", "show", "B-7"]);
        assert!(shown.contains("customers/ben"), "{shown}");
        let both = server.complaint(2, &["customer", "show", "17"]);
        assert!(both.contains("write customers/17 or customers/ada"), "{both}");
        let full = format!("carts/{id}");
        for given in [&id, &number, &full, "customers/ada", "ada@example.test"] {
            let shown = server.printed(&["cart", "show", given]);
            assert!(shown.contains(&full), "{given}: {shown}");
        }
        let locked = server.printed(&["cart", "lock", &number]);
        assert!(locked.contains("held by"), "{locked}");
        let free = server.printed(&["cart", "unlock", "ada@example.test"]);
        assert!(!free.contains("held by"), "{free}");
        let (other, _) = cart(&server, "customers/ben", &number).await;
        let both = server.complaint(2, &["cart", "show", &number]);
        assert!(both.contains(&format!("write carts/{other} or {full}")), "{both}");
        for absent in [["customer", "show", "nobody"], ["cart", "show", "0"], ["cart", "show", "a b"]] {
            let absent = server.complaint(1, &absent);
            assert!(absent.contains("NOT_FOUND"), "{absent}");
        }
    }

    async fn lists_are_ordered_on_request(server: Server) {
        for (id, name) in [("a", "Ben"), ("b", "Ada")] {
            let (name, email) = (format!("last_name={name}"), format!("email={id}@example.test"));
            server.printed(&["customer", "create", "--id", id, &name, &email]);
        }
        let first = |arguments: &[&str]| {
            let printed = server.printed(arguments);
            printed.lines().nth(1).and_then(|line| line.split(' ').next().map(str::to_owned))
        };

        assert_eq!(first(&["customer", "list"]).as_deref(), Some("a"));
        assert_eq!(first(&["customer", "list", "--order-by", "last_name"]).as_deref(), Some("b"));
        let groups = ["group", "list", "--order-by", "name desc"];
        assert_eq!(first(&groups).as_deref(), Some("visitor"));
    }
}
