//! Tests WatchCustomers.

use clientela::proto::pb::{
    self, ChangeKind, CustomerChange, ErrorReason, Role, watch_customers_response::Signal,
};
use tonic::{Code, Streaming};

use super::{Client, client_as, create, delete, person, update};
use crate::harness::{PATIENCE, assert_refused};
use crate::on_both_engines;

struct Watch(Streaming<pb::WatchCustomersResponse>);

impl Watch {
    async fn open(client: &mut Client, request: pb::WatchCustomersRequest) -> Self {
        Self(
            client
                .watch_customers(request)
                .await
                .expect("the watch is opened")
                .into_inner(),
        )
    }

    /// Reads changes until `enough` of them have come.
    async fn until(&mut self, enough: impl Fn(&[CustomerChange]) -> bool) -> Vec<CustomerChange> {
        let mut changes = Vec::new();
        while !enough(&changes) {
            changes.extend(self.next().await.changes);
        }
        changes
    }

    /// Returns the content of the snapshot.
    async fn snapshot(&mut self) -> Vec<CustomerChange> {
        let mut changes = Vec::new();
        loop {
            let message = self.next().await;
            changes.extend(message.changes);
            if let Some(Signal::SnapshotEnd(end)) = message.signal {
                assert_eq!(usize::try_from(end.count).unwrap(), changes.len());
                return changes;
            }
        }
    }

    async fn next(&mut self) -> pb::WatchCustomersResponse {
        let message = tokio::time::timeout(PATIENCE, self.0.message()).await;
        message
            .expect("a message comes")
            .expect("the stream continues")
            .expect("it has no end")
    }
}

fn filtered(filter: &str) -> pb::WatchCustomersRequest {
    pb::WatchCustomersRequest {
        filter: filter.to_owned(),
        ..Default::default()
    }
}

on_both_engines! {
    async fn a_watch_sends_the_state_and_then_changes(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        let gone = create(&mut client, person("Gone")).await;
        delete(&mut client, &gone.name).await;
        let mut watch = Watch::open(&mut client, filtered("")).await;
        let snapshot = watch.snapshot().await;
        assert_eq!(snapshot.len(), 1);
        assert_eq!(snapshot[0].customer.as_ref(), Some(&ada));

        let bob = create(&mut client, person("Bob")).await;
        let phone = pb::Customer { phone: "1".to_owned(), ..ada.clone() };
        let ada = update(&mut client, phone, &["phone"]).await.unwrap();
        delete(&mut client, &bob.name).await;

        // The deletion of Gone may be sent once more, as it happened just before the snapshot.
        let deleted = |changes: &[CustomerChange]| {
            let mut of_bob = changes.iter().filter(|change| change.name == bob.name);
            of_bob.any(|change| change.kind() == ChangeKind::Deleted)
        };
        let changes = watch.until(deleted).await;
        let of = |name: &str| {
            changes.iter().rfind(|change| change.name == name).expect("a change came")
        };
        assert_eq!(of(&ada.name).customer.as_ref(), Some(&ada));
        assert_eq!(of(&bob.name).kind(), ChangeKind::Deleted);
        assert_eq!(of(&bob.name).customer, None);
    }

    async fn a_filter_sends_customers_that_enter_and_leave(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        let mut watch = Watch::open(&mut client, filtered("last_name:lovelace")).await;
        assert_eq!(watch.snapshot().await, []);
        let named = |last_name: &str| pb::Customer {
            name: ada.name.clone(),
            last_name: last_name.to_owned(),
            ..Default::default()
        };

        update(&mut client, named("Lovelace"), &["last_name"]).await.unwrap();
        let came = watch.until(|changes| !changes.is_empty()).await;
        update(&mut client, named("Byron"), &["last_name"]).await.unwrap();
        let left = watch.until(|changes| !changes.is_empty()).await;

        assert_eq!(came[0].kind(), ChangeKind::Upserted);
        assert_eq!((left[0].kind(), left[0].name.as_str()), (ChangeKind::LeftFilter, &*ada.name));
        assert!(left[0].version > came[0].version);
    }

    async fn names_limit_a_watch(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, person("Ada")).await;
        let bob = create(&mut client, person("Bob")).await;
        let names = vec![bob.name.clone()];
        let mut watch =
            Watch::open(&mut client, pb::WatchCustomersRequest { names, ..filtered("") }).await;
        assert_eq!(watch.snapshot().await.len(), 1);

        for customer in [ada, bob.clone()] {
            let phone = pb::Customer { phone: "1".to_owned(), ..customer };
            update(&mut client, phone, &["phone"]).await.unwrap();
        }

        let changes = watch.until(|changes| !changes.is_empty()).await;
        assert_eq!(changes[0].name, bob.name);
    }

    async fn an_invalid_watch_is_refused(shop: Shop) {
        let mut client = shop.customers();
        let both = pb::WatchCustomersRequest {
            names: vec!["customers/ada".to_owned()],
            ..filtered("state = ACTIVE")
        };
        let refused = client.watch_customers(both).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        let refused = client.watch_customers(filtered("shoe_size = 3")).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidFilter);
    }

    async fn a_monitor_does_not_see_fields_of_other_roles(shop: Shop) {
        let mut client = shop.customers();
        let ada = pb::Customer {
            accounting_number: "4711".to_owned(),
            credit_limit: Some(pb::Money { currency_code: "EUR".to_owned(), micros: 1 }),
            ..person("Ada")
        };
        create(&mut client, ada.clone()).await;
        let mut monitor = client_as(&shop, Role::Monitor).await;
        let mut watch = Watch::open(&mut monitor, filtered("")).await;

        let snapshot = watch.snapshot().await;
        create(&mut client, pb::Customer { email: "b@example.test".to_owned(), ..ada }).await;
        let changes = watch.until(|changes| !changes.is_empty()).await;

        for change in snapshot.iter().chain(&changes) {
            let customer = change.customer.as_ref().unwrap();
            assert_eq!((customer.accounting_number.as_str(), &customer.credit_limit), ("", &None));
        }
        let refused = monitor.watch_customers(filtered("risk = HIGH")).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidFilter);
    }
}
