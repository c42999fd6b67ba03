//! Tests WatchGroups: the snapshot, changes, filters and deletions.

use clientela::proto::pb::watch_groups_response::Signal;
use clientela::proto::pb::{self, ChangeKind, ErrorReason};
use tonic::{Code, Streaming};

use super::{create, customer, delete, plain, sent};
use crate::harness::{Shop, assert_refused};
use crate::on_both_engines;

/// A watch after its snapshot, with the content of that snapshot.
struct Watch {
    stream: Streaming<pb::WatchGroupsResponse>,
    snapshot: Vec<pb::GroupChange>,
}

impl Watch {
    async fn open(shop: &Shop, request: pb::WatchGroupsRequest) -> Self {
        let stream = shop.groups().watch_groups(request).await.expect("a stream");
        let mut stream = stream.into_inner();
        let mut snapshot = Vec::new();
        loop {
            let message = stream
                .message()
                .await
                .expect("the stream continues")
                .expect("it does not end");
            snapshot.extend(message.changes);
            if let Some(Signal::SnapshotEnd(end)) = message.signal {
                assert_eq!(usize::try_from(end.count).unwrap(), snapshot.len());
                return Self { stream, snapshot };
            }
        }
    }

    async fn next(&mut self) -> pb::GroupChange {
        loop {
            let message = self
                .stream
                .message()
                .await
                .expect("the stream continues")
                .expect("it does not end");
            assert!(message.changes.len() <= 1, "{message:?}");
            if let Some(change) = message.changes.into_iter().next() {
                return change;
            }
        }
    }
}

fn names(changes: &[pb::GroupChange]) -> Vec<&str> {
    changes.iter().map(|change| change.name.as_str()).collect()
}

async fn set_priority(shop: &Shop, id: &str, priority: i32) {
    let group = pb::Group {
        name: format!("groups/{id}"),
        priority,
        ..pb::Group::default()
    };
    let request = pb::UpdateGroupRequest {
        group: Some(group),
        ..Default::default()
    };
    shop.groups()
        .update_group(request)
        .await
        .expect("it changes");
}

on_both_engines! {
    async fn a_watch_sends_the_state_and_then_changes(shop: Shop) {
        let made = create(&shop, "vip", sent("VIP", "5")).await;
        let mut watch = Watch::open(&shop, pb::WatchGroupsRequest::default()).await;
        assert_eq!(
            names(&watch.snapshot),
            ["groups/customer", "groups/guest", "groups/vip", "groups/visitor"]
        );
        let whole = pb::Group { display_name: String::new(), ..made };
        assert_eq!(watch.snapshot[2].group, Some(whole));

        set_priority(&shop, "vip", 3).await;
        let changed = watch.next().await;
        // Memberships are not part of the group.
        customer(&shop, "ada", &["vip"]).await;
        delete(&shop, "vip").await;
        let deleted = watch.next().await;

        assert_eq!((changed.kind(), changed.version), (ChangeKind::Upserted, 2));
        assert_eq!(changed.group.unwrap().priority, 3);
        assert!(changed.commit_time.is_some());
        assert_eq!((deleted.kind(), deleted.version), (ChangeKind::Deleted, 3));
        assert_eq!((deleted.name.as_str(), deleted.group), ("groups/vip", None));
    }

    async fn a_group_enters_and_leaves_a_filter(shop: Shop) {
        plain(&shop, "vip").await;
        let filter = "priority > 5 AND priority < 10".to_owned();
        let request = pb::WatchGroupsRequest { filter, ..pb::WatchGroupsRequest::default() };
        let mut watch = Watch::open(&shop, request).await;
        assert!(watch.snapshot.is_empty());

        set_priority(&shop, "vip", 3).await;
        set_priority(&shop, "vip", 6).await;
        let entered = watch.next().await;
        set_priority(&shop, "vip", 11).await;
        let left = watch.next().await;

        assert_eq!((entered.kind(), entered.version), (ChangeKind::Upserted, 3));
        assert_eq!((left.kind(), left.version), (ChangeKind::LeftFilter, 4));
        assert_eq!(left.group, None);
    }

    async fn a_watch_of_names_sends_only_these(shop: Shop) {
        plain(&shop, "vip").await;
        plain(&shop, "other").await;
        let names_only = vec!["groups/vip".to_owned()];
        let request = pb::WatchGroupsRequest { names: names_only.clone(), ..Default::default() };
        let mut watch = Watch::open(&shop, request).await;
        assert_eq!(names(&watch.snapshot), ["groups/vip"]);

        set_priority(&shop, "other", 1).await;
        set_priority(&shop, "vip", 1).await;

        assert_eq!(watch.next().await.name, "groups/vip");
        let both = pb::WatchGroupsRequest {
            names: names_only,
            filter: "priority = 1".to_owned(),
            ..pb::WatchGroupsRequest::default()
        };
        let refused = shop.groups().watch_groups(both).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
    }
}
