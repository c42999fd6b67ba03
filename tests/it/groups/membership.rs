//! Tests memberships that expire.

use std::time::Duration;

use clientela::clock::Clock;
use clientela::proto::pb;

use super::{adding, customer, get, groups_of, plain};
use crate::harness::store::START;
use crate::harness::{Engine, Setup, Shop, eventually};

/// A shop whose clock is held.
async fn shop(engine: Engine) -> Shop {
    let setup = Setup {
        clock: Clock::held_at(START),
        ..Setup::default()
    };
    Shop::start_with(engine, setup).await
}

async fn a_membership_ends_when_its_grant_expires(shop: Shop) {
    plain(&shop, "trial").await;
    customer(&shop, "ada", &[]).await;
    customer(&shop, "bob", &[]).await;
    let seconds = START / 1_000_000 + 3_600;
    let expire_time = Some(prost_types::Timestamp { seconds, nanos: 0 });
    let request = pb::AddMembersRequest {
        expire_time,
        make_default: true,
        ..adding("trial", &["customers/ada", "customers/bob"])
    };
    shop.groups().add_members(request).await.unwrap();
    let request = pb::AddMembersRequest {
        source: pb::MembershipSource::Order.into(),
        ..adding("trial", &["customers/bob"])
    };
    shop.groups().add_members(request).await.unwrap();

    shop.clock.advance(Duration::from_secs(3_599));
    assert_eq!(groups_of(&shop, "ada").await.1, "trial");
    shop.clock.advance(Duration::from_secs(1));

    let after = eventually("the end of the membership", || async {
        let after = groups_of(&shop, "ada").await;
        (after.1 != "trial").then_some(after)
    });
    assert_eq!(
        after.await,
        (vec!["customer".to_owned()], "customer".to_owned())
    );
    assert_eq!(groups_of(&shop, "bob").await.0, ["customer", "trial"]);
    assert_eq!(get(&shop, "trial").await.unwrap().member_count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_membership_ends_when_its_grant_expires_on_sqlite() {
    a_membership_ends_when_its_grant_expires(shop(Engine::Sqlite).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_membership_ends_when_its_grant_expires_on_postgres() {
    a_membership_ends_when_its_grant_expires(shop(Engine::Postgres).await).await;
}
