//! Tests AddMembers, RemoveMembers and ListMembers.

use clientela::proto::pb::member_result::Outcome;
use clientela::proto::pb::{self, ErrorReason, MembershipSource, Role};
use clientela::{execute, on};
use futures::FutureExt as _;
use tonic::Code;

use super::{
    adding, create, customer, delete, done, get, get_customer, groups_of, plain, removing, sent,
};
use crate::harness::{Engine, Shop, assert_refused, eventually, violations};
use crate::on_both_engines;

async fn add(shop: &Shop, request: pb::AddMembersRequest) -> Vec<pb::MemberResult> {
    shop.groups()
        .add_members(request)
        .await
        .expect("members are added")
        .into_inner()
        .results
}

async fn remove(shop: &Shop, request: pb::RemoveMembersRequest) -> Vec<pb::MemberResult> {
    shop.groups()
        .remove_members(request)
        .await
        .expect("members are removed")
        .into_inner()
        .results
}

fn outcomes(results: &[pb::MemberResult]) -> Vec<Outcome> {
    results.iter().map(pb::MemberResult::outcome).collect()
}

async fn members(shop: &Shop, group: &str) -> Vec<pb::Member> {
    let request = pb::ListMembersRequest {
        group: format!("groups/{group}"),
        ..pb::ListMembersRequest::default()
    };
    shop.groups()
        .list_members(request)
        .await
        .expect("a page")
        .into_inner()
        .members
}

fn names(members: &[pb::Member]) -> Vec<&str> {
    members
        .iter()
        .map(|member| member.customer.as_ref().expect("whole").name.as_str())
        .collect()
}

async fn staff(shop: &Shop, id: &str) {
    let customer = pb::Customer {
        first_name: id.to_owned(),
        account_type: pb::customer::AccountType::Staff.into(),
        groups: vec!["groups/desk".to_owned()],
        default_group: "groups/desk".to_owned(),
        ..pb::Customer::default()
    };
    let request = pb::CreateCustomerRequest {
        customer: Some(customer),
        customer_id: id.to_owned(),
        ..pb::CreateCustomerRequest::default()
    };
    shop.customers()
        .create_customer(request)
        .await
        .expect("staff is made");
}

async fn delete_customer(shop: &Shop, id: &str) {
    let name = format!("customers/{id}");
    let request = pb::DeleteCustomerRequest {
        name,
        ..pb::DeleteCustomerRequest::default()
    };
    shop.customers()
        .delete_customer(request)
        .await
        .expect("the customer is deleted");
}

/// Makes the database refuse every change of one customer, as if the server had been killed there.
async fn refuse_changes_of(shop: &Shop, customer: &str) {
    let statements = match shop.engine {
        Engine::Sqlite => vec![format!(
            "CREATE TRIGGER stop BEFORE UPDATE ON customers WHEN NEW.id = '{customer}'
             BEGIN SELECT RAISE(ABORT, 'stopped'); END"
        )],
        Engine::Postgres => vec![
            "CREATE OR REPLACE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql
             AS $$ BEGIN RAISE EXCEPTION 'stopped'; END $$"
                .to_owned(),
            format!(
                "CREATE TRIGGER stop BEFORE UPDATE ON customers FOR EACH ROW
                 WHEN (NEW.id = '{customer}') EXECUTE FUNCTION stop()"
            ),
        ],
    };
    run(shop, statements).await;
}

async fn accept_all_changes(shop: &Shop) {
    let drop = match shop.engine {
        Engine::Sqlite => "DROP TRIGGER stop",
        Engine::Postgres => "DROP TRIGGER stop ON customers",
    };
    run(shop, vec![drop.to_owned()]).await;
}

async fn run(shop: &Shop, statements: Vec<String>) {
    for statement in statements {
        let locks = clientela::store::Locks::none();
        let run = shop.store().write(locks, move |tx| {
            let statement = statement.clone();
            async move {
                execute!(tx, sqlx::query(sqlx::AssertSqlSafe(statement.as_str())))?;
                Ok(())
            }
            .boxed()
        });
        run.await.expect("the database takes it");
    }
}

on_both_engines! {
    /// There are more members than one transaction handles. One of the first has another e-mail address when
    /// the call is repeated.
    async fn a_repeat_after_an_interruption_answers_as_the_first_call_would_have(shop: Shop) {
        plain(&shop, "vip").await;
        let mut members = Vec::new();
        for number in 10..40 {
            let id = format!("m{number}");
            let made = customer(&shop, &id, &["customer"]).await;
            members.push(if number == 11 { made.email } else { made.name });
        }
        // One of them is a member already.
        add(&shop, adding("vip", &["customers/m12"])).await;
        let expected = |number: usize| match number {
            12 => Outcome::Unchanged,
            _ => Outcome::Changed,
        };
        let expected: Vec<Outcome> = (10..40).map(expected).collect();
        let names: Vec<&str> = members.iter().map(String::as_str).collect();
        let request = pb::AddMembersRequest {
            request_id: "all of them".into(),
            ..adding("vip", &names)
        };

        refuse_changes_of(&shop, "m30").await;
        let stopped = shop.groups().add_members(request.clone()).await.unwrap_err();
        assert_eq!(stopped.code(), Code::Internal, "{stopped:?}");
        accept_all_changes(&shop).await;
        assert_eq!(groups_of(&shop, "m11").await.0, ["customer", "vip"], "some are done");
        let moved = pb::UpdateCustomerRequest {
            customer: Some(pb::Customer {
                name: "customers/m11".into(),
                email: "elsewhere@example.test".into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        shop.customers().update_customer(moved).await.unwrap();
        let other = pb::AddMembersRequest { make_default: true, ..request.clone() };
        let reused = shop.groups().add_members(other).await.unwrap_err();
        assert_refused(&reused, Code::InvalidArgument, ErrorReason::RequestIdReused);

        let first = add(&shop, request.clone()).await;
        assert_eq!(outcomes(&first), expected);
        assert_eq!(first[1].customer, "customers/m11");
        assert_eq!(add(&shop, request).await, first);

        let names: Vec<String> = (10..40).map(|number| format!("customers/m{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let request = pb::RemoveMembersRequest {
            request_id: "all of them again".into(),
            ..removing("vip", &names)
        };
        refuse_changes_of(&shop, "m30").await;
        shop.groups().remove_members(request.clone()).await.unwrap_err();
        accept_all_changes(&shop).await;
        let removed = remove(&shop, request.clone()).await;
        assert_eq!(outcomes(&removed), [Outcome::Changed; 30]);
        assert_eq!(remove(&shop, request).await, removed);
    }

    async fn each_entry_gets_its_own_result(shop: Shop) {
        plain(&shop, "vip").await;
        let desk = pb::Group { audience: pb::group::Audience::Staff.into(), ..sent("Desk", "") };
        create(&shop, "desk", desk).await;
        customer(&shop, "ada", &[]).await;
        customer(&shop, "bob", &["vip"]).await;
        customer(&shop, "gone", &[]).await;
        delete_customer(&shop, "gone").await;
        staff(&shop, "anna").await;

        let entries = [
            "customers/ada",
            "customers/bob",
            "customers/gone",
            "customers/absent",
            "nobody@example.test",
            "customers/anna",
            "ADA@example.test",
        ];
        let results = add(&shop, adding("vip", &entries)).await;

        assert_eq!(
            outcomes(&results),
            [
                Outcome::Changed,
                Outcome::Unchanged,
                Outcome::Deleted,
                Outcome::NotFound,
                Outcome::NotFound,
                Outcome::WrongAccountType,
                Outcome::Unchanged,
            ]
        );
        let sent: Vec<&str> = results.iter().map(|result| result.member.as_str()).collect();
        assert_eq!(sent, entries);
        assert_eq!(results[6].customer, "customers/ada");
        assert_eq!(results[3].customer, "");
        assert_eq!(names(&members(&shop, "vip").await), ["customers/ada", "customers/bob"]);
        assert_eq!(get(&shop, "vip").await.unwrap().member_count, 2);
    }

    async fn joining_changes_the_customer_and_joining_again_does_not(shop: Shop) {
        plain(&shop, "vip").await;
        let before = customer(&shop, "ada", &[]).await;

        add(&shop, adding("vip", &["customers/ada"])).await;
        let joined = get_customer(&shop, "ada").await;
        add(&shop, adding("vip", &["customers/ada"])).await;
        let same = get_customer(&shop, "ada").await;
        let default = pb::AddMembersRequest { make_default: true, ..adding("vip", &["customers/ada"]) };
        let results = add(&shop, default).await;

        assert_ne!(before.etag, joined.etag);
        assert_eq!(joined.groups, ["groups/customer", "groups/vip"]);
        assert_eq!(joined.default_group, "groups/customer");
        assert_eq!(same, joined);
        assert_eq!(outcomes(&results), [Outcome::Unchanged]);
        assert_eq!(groups_of(&shop, "ada").await.1, "vip");
    }

    async fn a_membership_lasts_while_it_has_a_grant(shop: Shop) {
        plain(&shop, "vip").await;
        customer(&shop, "ada", &[]).await;
        let request = pb::AddMembersRequest {
            source: MembershipSource::Order.into(),
            reason: "bought the card".to_owned(),
            ..adding("vip", &["customers/ada"])
        };
        let first = add(&shop, request).await;
        let second = add(&shop, adding("vip", &["customers/ada"])).await;

        let member = members(&shop, "vip").await.remove(0);
        let gone = remove(&shop, removing("vip", &["customers/ada"])).await;

        assert_eq!(outcomes(&first), [Outcome::Changed]);
        assert_eq!(outcomes(&second), [Outcome::Unchanged]);
        let sources: Vec<MembershipSource> =
            member.grants.iter().map(pb::MembershipGrant::source).collect();
        assert_eq!(sources, [MembershipSource::Staff, MembershipSource::Order]);
        assert_eq!(member.grants[1].reason, "bought the card");
        assert!(member.grants[0].start_time.is_some());
        assert!(!member.default_group);
        assert_eq!(outcomes(&gone), [Outcome::Changed]);
        assert!(members(&shop, "vip").await.is_empty());
    }

    async fn a_customer_that_leaves_the_last_group_gets_the_special_one(shop: Shop) {
        plain(&shop, "vip").await;
        customer(&shop, "ada", &["vip"]).await;

        let left = remove(&shop, removing("vip", &["customers/ada", "customers/ada"])).await;
        let last = remove(&shop, removing("customer", &["ada@example.test"])).await;
        let stranger = remove(&shop, removing("vip", &["customers/ada", "customers/absent"])).await;

        assert_eq!(outcomes(&left), [Outcome::Changed, Outcome::Unchanged]);
        assert_eq!(outcomes(&last), [Outcome::LastGroup]);
        assert_eq!(outcomes(&stranger), [Outcome::Unchanged, Outcome::NotFound]);
        assert_eq!(
            groups_of(&shop, "ada").await,
            (vec!["customer".to_owned()], "customer".to_owned())
        );
        assert_eq!(get(&shop, "vip").await.unwrap().member_count, 0);
    }

    async fn a_customer_is_in_a_hundred_groups_at_most(shop: Shop) {
        for number in 0..100 {
            plain(&shop, &format!("g{number}")).await;
        }
        let ids: Vec<String> = (0..100).map(|number| format!("g{number}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        customer(&shop, "ada", &ids).await;
        plain(&shop, "more").await;

        let results = add(&shop, adding("more", &["customers/ada"])).await;

        assert_eq!(outcomes(&results), [Outcome::TooManyGroups]);
        assert_eq!(groups_of(&shop, "ada").await.0.len(), 100);
    }

    async fn many_members_are_added_and_removed_in_one_call(shop: Shop) {
        plain(&shop, "vip").await;
        let ids: Vec<String> = (0..70).map(|number| format!("c{number:02}")).collect();
        for id in &ids {
            customer(&shop, id, &[]).await;
        }
        let entries: Vec<String> = ids.iter().map(|id| format!("customers/{id}")).collect();
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        let request = pb::AddMembersRequest {
            request_id: "all".to_owned(),
            ..adding("vip", &entries)
        };

        let added = add(&shop, request.clone()).await;
        let again = add(&shop, request.clone()).await;
        let reused = pb::AddMembersRequest { make_default: true, ..request };
        let refused = shop.groups().add_members(reused).await.unwrap_err();

        assert!(outcomes(&added).iter().all(|outcome| *outcome == Outcome::Changed));
        assert_eq!(added, again);
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::RequestIdReused);
        assert_eq!(get(&shop, "vip").await.unwrap().member_count, 70);
        let mut seen = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListMembersRequest {
                group: "groups/vip".to_owned(),
                page_size: 30,
                page_token,
            };
            let page = shop.groups().list_members(request).await.unwrap().into_inner();
            seen.extend(names(&page.members).into_iter().map(str::to_owned));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, entries);
        let removed = remove(&shop, removing("vip", &entries)).await;
        assert!(outcomes(&removed).iter().all(|outcome| *outcome == Outcome::Changed));
        assert_eq!(get(&shop, "vip").await.unwrap().member_count, 0);
    }

    async fn invalid_requests_are_refused(shop: Shop) {
        plain(&shop, "vip").await;
        customer(&shop, "ada", &[]).await;
        let past = prost_types::Timestamp { seconds: 1_000_000_000, nanos: 0 };
        let ada = adding("vip", &["customers/ada"]);
        for (request, field) in [
            (adding("vip", &[]), "members"),
            (pb::AddMembersRequest { expire_time: Some(past), ..ada.clone() }, "expire_time"),
            (
                pb::AddMembersRequest { source: MembershipSource::Rule.into(), ..ada.clone() },
                "source",
            ),
        ] {
            let refused = shop.groups().add_members(request).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
            assert_eq!(violations(&refused)[0].0, field);
        }
        let absent = adding("absent", &["customers/ada"]);
        let refused = shop.groups().add_members(absent).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
        let refused = shop.groups().remove_members(removing("absent", &["customers/ada"])).await;
        assert_refused(&refused.unwrap_err(), Code::NotFound, ErrorReason::NotFound);
        let request = pb::ListMembersRequest { group: "groups/absent".to_owned(), ..Default::default() };
        let refused = shop.groups().list_members(request).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
        assert_eq!(groups_of(&shop, "ada").await.0, ["customer"]);
    }

    /// The other call may be of another RPC, before this one or after it.
    async fn a_request_id_of_another_call_is_refused(shop: Shop) {
        plain(&shop, "vip").await;
        customer(&shop, "ada", &[]).await;
        let creating = |id: &str| pb::CreateGroupRequest {
            group: Some(super::sent("Another", "")),
            request_id: id.to_owned(),
            ..Default::default()
        };
        let with = |id: &str| pb::AddMembersRequest {
            request_id: id.to_owned(),
            ..adding("vip", &["customers/ada"])
        };
        let reused = |status: tonic::Status| {
            assert_refused(&status, Code::InvalidArgument, ErrorReason::RequestIdReused);
        };
        shop.groups().create_group(creating("first")).await.unwrap();

        reused(shop.groups().add_members(with("first")).await.unwrap_err());
        assert_eq!(groups_of(&shop, "ada").await.0, ["customer"]);
        let added = add(&shop, with("second")).await;
        reused(shop.groups().create_group(creating("second")).await.unwrap_err());

        assert_eq!(add(&shop, with("second")).await, added);
    }

    async fn the_source_of_another_system_is_import(shop: Shop) {
        plain(&shop, "vip").await;
        customer(&shop, "ada", &[]).await;
        let ingest = shop.key(&[Role::Ingest]).await;

        let request = adding("vip", &["customers/ada"]);
        shop.groups_as(&ingest).add_members(request).await.unwrap();

        let member = members(&shop, "vip").await.remove(0);
        assert_eq!(member.grants[0].source(), MembershipSource::Import);
    }

    async fn deleted_customers_are_not_counted_and_restored_ones_are_members(shop: Shop) {
        plain(&shop, "vip").await;
        plain(&shop, "old").await;
        customer(&shop, "ada", &["vip", "old"]).await;
        customer(&shop, "bob", &["vip"]).await;
        delete_customer(&shop, "ada").await;

        assert_eq!(get(&shop, "vip").await.unwrap().member_count, 1);
        assert_eq!(names(&members(&shop, "vip").await), ["customers/bob"]);

        let operation = delete(&shop, "vip").await;
        done(&shop, &operation).await;
        let request = pb::UndeleteCustomerRequest {
            name: "customers/ada".to_owned(),
            ..pb::UndeleteCustomerRequest::default()
        };
        shop.customers().undelete_customer(request).await.unwrap();

        assert_eq!(groups_of(&shop, "ada").await, (vec!["old".to_owned()], "old".to_owned()));
        assert_eq!(get(&shop, "old").await.unwrap().member_count, 1);
    }
}

/// Returns the number of rows that hold the member count of a group.
async fn count_rows(shop: &Shop, id: &'static str) -> i64 {
    let rows = shop.store().read(|conn| {
        async move {
            let rows: i64 = on!(conn, |e| sqlx::query_scalar(
                "SELECT COUNT(*) FROM member_counts WHERE group_id = $1"
            )
            .bind(id)
            .fetch_one(e)
            .await)?;
            Ok(rows)
        }
        .boxed()
    });
    rows.await.unwrap()
}

on_both_engines! {
    async fn the_rows_of_a_member_count_are_merged_repeatedly(shop: Shop) {
        plain(&shop, "vip").await;
        let names: Vec<String> = (0..140).map(|number| format!("ada{number}")).collect();
        for name in &names {
            customer(&shop, name, &[]).await;
        }
        let members: Vec<String> = names.iter().map(|name| format!("customers/{name}")).collect();

        for part in members.chunks(70) {
            let part: Vec<&str> = part.iter().map(String::as_str).collect();
            shop.groups().add_members(adding("vip", &part)).await.unwrap();
            eventually("one row is left", || async {
                (count_rows(&shop, "vip").await <= 64).then_some(())
            }).await;
        }

        assert_eq!(get(&shop, "vip").await.unwrap().member_count, 140);
    }
}
