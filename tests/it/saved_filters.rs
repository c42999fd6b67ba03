//! Tests SavedFilterService on both engines: which callers see a saved filter, and which requests are
//! refused.

use clientela::proto::POOL;
use clientela::proto::pb::{
    self, ChangeKind, ErrorReason, Role, saved_filter::Resource,
    saved_filter_service_client::SavedFilterServiceClient, watch_saved_filters_response::Signal,
};
use prost_types::FieldMask;
use tonic::{Code, Status, Streaming};

use crate::harness::{Shop, Transport, assert_refused, violations};
use crate::on_both_engines;

/// A client that acts as one owner.
pub type Client = SavedFilterServiceClient<Transport>;

/// Returns a saved filter for a create request.
pub fn sent(display_name: &str, shared: bool) -> pb::SavedFilter {
    pb::SavedFilter {
        display_name: display_name.to_owned(),
        resource: Resource::Carts.into(),
        filter: "state = OPEN".to_owned(),
        order_by: "update_time desc".to_owned(),
        shared,
        ..Default::default()
    }
}

/// Returns a client with the administrator's key and an acting person.
pub fn actor(shop: &Shop, name: &str) -> Client {
    shop.saved_filters_as(Shop::with_key(&shop.admin_key).and("clientela-actor", name))
}

/// Creates a saved filter. With an empty id the server chooses one.
pub async fn create(
    client: &mut Client,
    id: &str,
    saved_filter: pb::SavedFilter,
) -> Result<pb::SavedFilter, Status> {
    let request = pb::CreateSavedFilterRequest {
        saved_filter: Some(saved_filter),
        saved_filter_id: id.to_owned(),
        ..Default::default()
    };
    Ok(client.create_saved_filter(request).await?.into_inner())
}

pub async fn update(
    client: &mut Client,
    saved_filter: pb::SavedFilter,
    paths: &[&str],
) -> Result<pb::SavedFilter, Status> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let request = pb::UpdateSavedFilterRequest {
        saved_filter: Some(saved_filter),
        update_mask: Some(FieldMask { paths }),
        ..Default::default()
    };
    Ok(client.update_saved_filter(request).await?.into_inner())
}

pub async fn delete(client: &mut Client, name: &str) -> Result<(), Status> {
    let request = pb::DeleteSavedFilterRequest {
        name: name.to_owned(),
        ..Default::default()
    };
    client.delete_saved_filter(request).await.map(drop)
}

async fn get(client: &mut Client, name: &str) -> Result<pb::SavedFilter, Status> {
    let name = name.to_owned();
    let answer = client
        .get_saved_filter(pb::GetSavedFilterRequest { name })
        .await;
    answer.map(tonic::Response::into_inner)
}

/// Returns the ids of the saved filters that a caller sees.
async fn listed(client: &mut Client) -> Vec<String> {
    let count = pb::CountMode::Exact.into();
    let request = pb::ListSavedFiltersRequest {
        count,
        ..Default::default()
    };
    let page = client
        .list_saved_filters(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        page.count.unwrap().value,
        i64::try_from(page.saved_filters.len()).unwrap()
    );
    let names = page
        .saved_filters
        .iter()
        .map(|saved| &saved.name["savedFilters/".len()..]);
    names.map(str::to_owned).collect()
}

/// Sets or clears `shared`.
async fn share(client: &mut Client, id: &str, shared: bool) {
    let name = format!("savedFilters/{id}");
    let saved = pb::SavedFilter {
        name,
        shared,
        ..Default::default()
    };
    update(client, saved, &["shared"]).await.unwrap();
}

/// A stream with its last token.
struct Watch(Streaming<pb::WatchSavedFiltersResponse>, String);

impl Watch {
    /// Opens a watch of all saved filters, or of some names. Returns the names in its snapshot, which is
    /// empty with a token.
    async fn open(client: &mut Client, names: &[&str], token: &str) -> (Self, Vec<String>) {
        let names = names
            .iter()
            .map(|id| format!("savedFilters/{id}"))
            .collect();
        let delivery_mode = pb::DeliveryMode::Every.into();
        let resume_token = token.to_owned();
        let options = Some(pb::WatchOptions {
            resume_token,
            delivery_mode,
            ..Default::default()
        });
        let request = pb::WatchSavedFiltersRequest {
            names,
            options,
            ..Default::default()
        };
        let stream = client
            .watch_saved_filters(request)
            .await
            .unwrap()
            .into_inner();
        let (mut watch, mut snapshot) = (Self(stream, String::new()), Vec::new());
        while token.is_empty() {
            let message = watch.message().await;
            snapshot.extend(message.changes.into_iter().map(|change| change.name));
            if let Some(Signal::SnapshotEnd(_)) = message.signal {
                break;
            }
        }
        (watch, snapshot)
    }

    async fn message(&mut self) -> pb::WatchSavedFiltersResponse {
        let message = tokio::time::timeout(crate::harness::PATIENCE, self.0.message()).await;
        let message = message
            .expect("a message arrives in time")
            .unwrap()
            .expect("the watch stays open");
        self.1.clone_from(&message.resume_token);
        message
    }

    /// Reads the changes up to that of the resource with this id. Returns their ids and kinds.
    async fn until(&mut self, last: &str) -> Vec<(String, ChangeKind)> {
        let mut received: Vec<(String, ChangeKind)> = Vec::new();
        while received.last().is_none_or(|(id, _)| id != last) {
            for change in self.message().await.changes {
                let id = change.name["savedFilters/".len()..].to_owned();
                received.push((id, change.kind()));
            }
        }
        received
    }
}

fn changes(expected: &[(&str, ChangeKind)]) -> Vec<(String, ChangeKind)> {
    expected
        .iter()
        .map(|(id, kind)| ((*id).to_owned(), *kind))
        .collect()
}

/// Returns all texts of a refusal, without a name.
fn said(status: &Status, name: &str) -> (Code, String, String) {
    let details = String::from_utf8_lossy(status.details()).replace(name, "");
    (status.code(), status.message().replace(name, ""), details)
}

/// A new list with a filter needs a new value of `Resource`.
#[test]
fn each_list_with_a_filter_is_a_resource_of_saved_filters() {
    let resources = POOL
        .get_enum_by_name("clientela.v1.SavedFilter.Resource")
        .unwrap();
    let mut lists = Vec::new();
    for service in POOL.services() {
        for method in service
            .methods()
            .filter(|method| method.name().starts_with("List"))
        {
            if method.input().get_field_by_name("filter").is_some() {
                lists.push(method.name()["List".len()..].to_owned());
            }
        }
    }
    let mut saved: Vec<String> = resources
        .values()
        .filter(|value| value.number() != 0)
        .map(|value| value.name().replace("RESOURCE_", "").replace('_', ""))
        .collect();
    lists
        .iter_mut()
        .for_each(|list| *list = list.to_uppercase());
    lists.sort();
    saved.sort();
    assert_eq!(saved, lists);
}

on_both_engines! {
    async fn only_the_owner_sees_an_unshared_filter(shop: Shop) {
        let (mut anna, mut bert) = (actor(&shop, "staff/anna"), actor(&shop, "staff/bert"));
        let own = create(&mut anna, "own", sent("Anna's", false)).await.unwrap();
        create(&mut anna, "all", sent("Everybody's", true)).await.unwrap();
        assert_eq!(own.owner, "staff/anna");
        let renamed = |name: &str| pb::SavedFilter { name: name.into(), ..sent("Bert's", true) };
        let mut refusals = Vec::new();
        for name in [own.name.as_str(), "savedFilters/non"] {
            for refused in [
                get(&mut bert, name).await.unwrap_err(),
                update(&mut bert, renamed(name), &["display_name"]).await.unwrap_err(),
                delete(&mut bert, name).await.unwrap_err(),
            ] {
                assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
                refusals.push(said(&refused, name));
            }
        }
        assert!(refusals.iter().all(|refused| *refused == refusals[0]), "{refusals:?}");
        assert_eq!(listed(&mut bert).await, ["all"]);
        assert_eq!(listed(&mut anna).await, ["all", "own"]);
        let taken = create(&mut bert, "own", sent("Bert's", false)).await.unwrap_err();
        assert_refused(&taken, Code::AlreadyExists, ErrorReason::NameTaken);

        // Everybody may change a shared filter. Its owner stays the same.
        let changed = update(&mut bert, renamed("savedFilters/all"), &["display_name"]).await.unwrap();
        assert_eq!((&*changed.owner, &*changed.display_name), ("staff/anna", "Bert's"));
        share(&mut anna, "own", true).await;
        assert_eq!(get(&mut bert, &own.name).await.unwrap().display_name, "Anna's");
        share(&mut bert, "own", false).await;
        assert_refused(&get(&mut bert, &own.name).await.unwrap_err(), Code::NotFound, ErrorReason::NotFound);
        delete(&mut anna, &own.name).await.unwrap();
    }

    /// A key without an acting person is an owner of its own, and no actor can have its name.
    async fn the_owner_is_the_acting_person_or_the_key(shop: Shop) {
        let mut keys = Vec::new();
        for role in [Role::Admin, Role::Support] {
            let key = Shop::with_key(&shop.key(&[role]).await);
            let mut client = shop.saved_filters_as(key.clone());
            let id = format!("of-{}", role as i32);
            let made = create(&mut client, &id, sent("a key's", false)).await.unwrap();
            assert!(made.owner.starts_with("apiKeys/"), "{made:?}");
            assert_eq!(listed(&mut client).await, [id]);
            keys.push((key, made.owner));
        }
        // Another key with the same actor sees this filter.
        create(&mut actor(&shop, "staff/anna"), "", sent("Anna's", false)).await.unwrap();

        let ((key, _), (_, other)) = (&keys[0], &keys[1]);
        for (name, seen) in [(other.as_str(), 0), ("staff/anna", 1)] {
            let mut client = shop.saved_filters_as(key.clone().and("clientela-actor", name));
            assert_eq!(listed(&mut client).await.len(), seen, "{name}");
            create(&mut client, "", sent("one more", false)).await.unwrap();
            assert_eq!(listed(&mut client).await.len(), seen + 1, "{name}");
        }
    }

    async fn a_watch_sends_nothing_that_its_caller_may_not_see(shop: Shop) {
        let (mut anna, mut bert) = (actor(&shop, "staff/anna"), actor(&shop, "staff/bert"));
        for (id, shared) in [("all", true), ("own", false), ("gone", false)] {
            create(&mut anna, id, sent("Anna's", shared)).await.unwrap();
        }
        let (mut watch, snapshot) = Watch::open(&mut bert, &[], "").await;
        assert_eq!(snapshot, ["savedFilters/all"]);
        let (mut named, snapshot) = Watch::open(&mut bert, &["own", "all"], "").await;
        assert_eq!(snapshot, ["savedFilters/all"]);
        let (mut hers, snapshot) = Watch::open(&mut anna, &[], "").await;
        assert_eq!(snapshot.len(), 3);

        let rename = |id: &str, to: &str| pb::SavedFilter {
            name: format!("savedFilters/{id}"),
            ..sent(to, true)
        };
        update(&mut anna, rename("own", "Hers"), &["display_name"]).await.unwrap();
        update(&mut anna, rename("all", "Ours"), &["display_name"]).await.unwrap();
        let upserted = ChangeKind::Upserted;
        assert_eq!(watch.until("all").await, changes(&[("all", upserted)]));
        assert_eq!(named.until("all").await, changes(&[("all", upserted)]));
        assert_eq!(hers.until("all").await, changes(&[("own", upserted), ("all", upserted)]));

        // A resumed stream does not know the earlier changes, and must still hide the other filters.
        let token = watch.1.clone();
        drop((watch, named));
        update(&mut anna, rename("own", "Anna's"), &["display_name"]).await.unwrap();
        delete(&mut anna, "savedFilters/gone").await.unwrap();
        share(&mut anna, "all", false).await;
        share(&mut anna, "own", true).await;
        let (mut watch, _) = Watch::open(&mut bert, &[], &token).await;
        let left = ChangeKind::LeftFilter;
        assert_eq!(watch.until("own").await, changes(&[("all", left), ("own", upserted)]));
        share(&mut anna, "own", false).await;
        share(&mut anna, "all", true).await;
        delete(&mut anna, "savedFilters/own").await.unwrap();
        delete(&mut anna, "savedFilters/all").await.unwrap();
        create(&mut anna, "end", sent("the end", true)).await.unwrap();
        let deleted = ChangeKind::Deleted;
        let expected = [("own", left), ("all", upserted), ("all", deleted), ("end", upserted)];
        assert_eq!(watch.until("end").await, changes(&expected));

        // The token of one caller gives another caller a snapshot.
        let (_, snapshot) = Watch::open(&mut anna, &[], "").await;
        assert_eq!(snapshot, ["savedFilters/end"]);
        let options = Some(pb::WatchOptions { resume_token: watch.1.clone(), ..Default::default() });
        let request = pb::WatchSavedFiltersRequest { options, ..Default::default() };
        let mut stream = anna.watch_saved_filters(request).await.unwrap().into_inner();
        let first = stream.message().await.unwrap().unwrap();
        assert!(matches!(first.signal, Some(Signal::SnapshotBegin(_))), "{first:?}");
    }

    async fn a_request_id_of_another_caller_reveals_nothing(shop: Shop) {
        let (mut anna, mut bert) = (actor(&shop, "staff/anna"), actor(&shop, "staff/bert"));
        let request = pb::CreateSavedFilterRequest {
            saved_filter: Some(sent("Mine", false)),
            request_id: "one".into(),
            ..Default::default()
        };
        let made = anna.create_saved_filter(request.clone()).await.unwrap().into_inner();

        let again = anna.create_saved_filter(request.clone()).await.unwrap().into_inner();
        let refused = bert.create_saved_filter(request).await.unwrap_err();

        assert_eq!(again, made);
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::RequestIdReused);
    }

    async fn a_repeated_change_that_hid_the_filter_gets_the_same_answer(shop: Shop) {
        let (mut anna, mut bert) = (actor(&shop, "staff/anna"), actor(&shop, "staff/bert"));
        create(&mut anna, "all", sent("Ours", true)).await.unwrap();
        let hide = pb::UpdateSavedFilterRequest {
            saved_filter: Some(pb::SavedFilter {
                name: "savedFilters/all".into(),
                shared: false,
                ..Default::default()
            }),
            update_mask: Some(FieldMask { paths: vec!["shared".into()] }),
            request_id: "hide".into(),
            ..Default::default()
        };
        let hidden = bert.update_saved_filter(hide.clone()).await.unwrap().into_inner();

        let again = bert.update_saved_filter(hide.clone()).await.unwrap().into_inner();
        let refused = anna.update_saved_filter(hide).await.unwrap_err();

        assert_eq!(again, hidden);
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::RequestIdReused);
    }

    async fn only_its_caller_may_repeat_a_deletion(shop: Shop) {
        let (mut anna, mut bert) = (actor(&shop, "staff/anna"), actor(&shop, "staff/bert"));
        create(&mut anna, "own", sent("Mine", false)).await.unwrap();
        let request = pb::DeleteSavedFilterRequest {
            name: "savedFilters/own".into(),
            request_id: "delete".into(),
            ..Default::default()
        };
        anna.delete_saved_filter(request.clone()).await.unwrap();

        anna.delete_saved_filter(request.clone()).await.unwrap();
        let refused = bert.delete_saved_filter(request).await.unwrap_err();

        assert_refused(&refused, Code::InvalidArgument, ErrorReason::RequestIdReused);
    }

    async fn a_watch_without_a_snapshot_sends_removals(shop: Shop) {
        let (mut anna, mut bert) = (actor(&shop, "staff/anna"), actor(&shop, "staff/bert"));
        for (id, shared) in [("hidden", true), ("deleted", true), ("own", false)] {
            create(&mut anna, id, sent("Anna's", shared)).await.unwrap();
        }
        let options = Some(pb::WatchOptions {
            skip_snapshot: true,
            delivery_mode: pb::DeliveryMode::Every.into(),
            ..Default::default()
        });
        let request = pb::WatchSavedFiltersRequest { options, ..Default::default() };
        let stream = bert.watch_saved_filters(request).await.unwrap().into_inner();
        let mut watch = Watch(stream, String::new());
        // The stream may begin with changes made just before it was opened.
        create(&mut anna, "begin", sent("the beginning", true)).await.unwrap();
        watch.until("begin").await;

        delete(&mut anna, "savedFilters/own").await.unwrap();
        share(&mut anna, "hidden", false).await;
        delete(&mut anna, "savedFilters/deleted").await.unwrap();
        create(&mut anna, "end", sent("the end", true)).await.unwrap();

        let (left, deleted, upserted) = (ChangeKind::LeftFilter, ChangeKind::Deleted, ChangeKind::Upserted);
        let expected = [("hidden", left), ("deleted", deleted), ("end", upserted)];
        assert_eq!(watch.until("end").await, changes(&expected));
    }

    /// The refusal has the same words as that of the list.
    async fn a_saved_filter_is_checked_like_the_filter_of_its_list(shop: Shop) {
        let mut client = shop.saved_filters();
        let good = create(&mut client, "good", sent("Good", true)).await.unwrap();
        let bad = [
            ("shoe_size = 3", ""),
            ("name = ", ""),
            ("state = BLUE", ""),
            ("", "shoe_size"),
            ("", "name, name"),
            ("create_time > yesterday", "shoe_size"),
        ];
        macro_rules! refused {
            ($client:expr, $list:ident, $request:ident { $($field:ident),* }) => {{
                let request = pb::$request { $($field,)* ..Default::default() };
                $client.$list(request).await.unwrap_err()
            }};
        }
        for resource in 1..=5 {
            for (filter, order_by) in bad {
                let (filter, order_by) = (filter.to_owned(), order_by.to_owned());
                let saved = pb::SavedFilter {
                    resource,
                    filter: filter.clone(),
                    order_by: order_by.clone(),
                    ..sent("Bad", true)
                };
                let made = create(&mut client, "", saved.clone()).await.unwrap_err();
                let changed = pb::SavedFilter { name: good.name.clone(), ..saved };
                let paths = ["resource", "filter", "order_by"];
                let changed = update(&mut client, changed, &paths).await.unwrap_err();
                assert_eq!(said(&changed, ""), said(&made, ""));
                let by_list = match Resource::try_from(resource).unwrap() {
                    Resource::Customers => {
                        refused!(shop.customers(), list_customers, ListCustomersRequest { filter, order_by })
                    }
                    Resource::Groups => {
                        refused!(shop.groups(), list_groups, ListGroupsRequest { filter, order_by })
                    }
                    Resource::Carts => {
                        refused!(shop.carts(), list_carts, ListCartsRequest { filter, order_by })
                    }
                    Resource::SavedFilters => {
                        refused!(client, list_saved_filters, ListSavedFiltersRequest { filter, order_by })
                    }
                    // ListOperations has no order.
                    _ if !order_by.is_empty() => continue,
                    _ => refused!(shop.operations(), list_operations, ListOperationsRequest { filter }),
                };
                assert_eq!(said(&made, ""), said(&by_list, ""));
            }
        }
        assert_eq!(get(&mut client, &good.name).await.unwrap(), good);
    }

    async fn missing_required_fields_are_named(shop: Shop) {
        let mut client = shop.saved_filters();
        let refused = create(&mut client, "", pb::SavedFilter::default()).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        let required = |field: &str| (format!("saved_filter.{field}"), "REQUIRED".to_owned());
        assert_eq!(violations(&refused), [required("display_name"), required("resource")]);
        let unknown = pb::SavedFilter { resource: 99, ..sent("Unknown", true) };
        let refused = create(&mut client, "", unknown).await.unwrap_err();
        let unknown = ("saved_filter.resource".to_owned(), "UNKNOWN_VALUE".to_owned());
        assert_eq!(violations(&refused), [unknown]);
    }
}
