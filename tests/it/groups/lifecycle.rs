//! Tests creating, reading, updating and deleting groups.

use clientela::proto::pb::group::{Audience, PriceDisplay, SpecialKind, State};
use clientela::proto::pb::{self, ErrorReason, Role};
use prost_types::FieldMask;
use tonic::Code;

use super::{adding, create, customer, delete, done, get, groups_of, plain, sent};
use crate::harness::{Setup, assert_refused, violations};
use crate::on_both_engines;

fn update(group: pb::Group, paths: &[&str]) -> pb::UpdateGroupRequest {
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    pb::UpdateGroupRequest {
        group: Some(group),
        update_mask: (!paths.is_empty()).then_some(FieldMask { paths }),
        ..pb::UpdateGroupRequest::default()
    }
}

fn creating(id: &str) -> pb::CreateGroupRequest {
    pb::CreateGroupRequest {
        group: Some(sent(id, "5")),
        group_id: id.to_owned(),
        ..pb::CreateGroupRequest::default()
    }
}

on_both_engines! {
    async fn a_group_is_stored_as_it_was_created(shop: Shop) {
        let sent = pb::Group {
            price_display: PriceDisplay::TaxExcluded.into(),
            show_prices: Some(false),
            state: State::Hidden.into(),
            audience: Audience::Staff.into(),
            priority: 7,
            ..sent("Wholesale", "12.5")
        };

        let made = create(&shop, "wholesale", sent.clone()).await;

        assert_eq!(made.name, "groups/wholesale");
        assert_eq!(made.discount_percent, "12.50");
        assert_eq!(made.display_name, "Wholesale");
        assert_eq!(made.member_count, 0);
        assert!(made.etag.starts_with("\"1-"));
        assert!(made.create_time.is_some() && made.create_time == made.update_time);
        let kept = pb::Group {
            name: made.name.clone(),
            discount_percent: "12.50".to_owned(),
            display_name: "Wholesale".to_owned(),
            create_time: made.create_time,
            update_time: made.update_time,
            etag: made.etag.clone(),
            ..sent
        };
        assert_eq!(made, kept);
        assert_eq!(get(&shop, "wholesale").await.unwrap(), made);
    }

    async fn omitted_fields_get_their_defaults(shop: Shop) {
        let request = pb::CreateGroupRequest { group_id: String::new(), ..creating("any") };

        let made = shop.groups().create_group(request).await.unwrap().into_inner();

        assert_eq!(made.name.len(), "groups/".len() + 36);
        assert_eq!(made.price_display(), PriceDisplay::TaxIncluded);
        assert_eq!(made.show_prices, Some(true));
        assert_eq!((made.state(), made.audience()), (State::Active, Audience::Customer));
    }

    async fn a_second_group_of_the_same_name_is_refused(shop: Shop) {
        plain(&shop, "vip").await;

        let refused = shop.groups().create_group(creating("vip")).await.unwrap_err();

        assert_refused(&refused, Code::AlreadyExists, ErrorReason::NameTaken);
    }

    async fn a_group_needs_a_name_in_some_language(shop: Shop) {
        let request = pb::CreateGroupRequest {
            group: Some(pb::Group::default()),
            ..pb::CreateGroupRequest::default()
        };

        let refused = shop.groups().create_group(request).await.unwrap_err();

        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        assert_eq!(violations(&refused)[0].0, "group.display_names");
    }

    async fn every_shop_begins_with_its_special_groups(shop: Shop) {
        for (id, kind) in [
            ("visitor", SpecialKind::Visitor),
            ("guest", SpecialKind::Guest),
            ("customer", SpecialKind::Customer),
        ] {
            let group = get(&shop, id).await.unwrap();
            assert_eq!(group.special_kinds().collect::<Vec<_>>(), [kind]);
            assert_eq!(group.discount_percent, "0.00");
        }
    }

    async fn a_special_group_is_neither_deleted_nor_disabled(shop: Shop) {
        let name = "groups/guest".to_owned();
        let request = pb::DeleteGroupRequest { name: name.clone(), ..Default::default() };
        let disabled = pb::Group { name, state: State::Disabled.into(), ..Default::default() };

        let kept = shop.groups().delete_group(request).await.unwrap_err();
        let works = shop.groups().update_group(update(disabled, &[])).await.unwrap_err();

        assert_refused(&kept, Code::FailedPrecondition, ErrorReason::GroupSpecial);
        assert_refused(&works, Code::FailedPrecondition, ErrorReason::GroupSpecial);
        assert_eq!(get(&shop, "guest").await.unwrap().state(), State::Active);
    }

    async fn an_update_changes_the_fields_of_its_mask(shop: Shop) {
        let made = create(&shop, "vip", pb::Group { priority: 3, ..sent("VIP", "5") }).await;
        let change = pb::Group {
            name: made.name.clone(),
            etag: made.etag.clone(),
            discount_percent: "7.25".to_owned(),
            ..pb::Group::default()
        };

        let request = update(change, &["discountPercent", "show_prices", "update_time"]);
        let changed = shop.groups().update_group(request).await.unwrap().into_inner();

        assert_eq!(changed.discount_percent, "7.25");
        assert_eq!((changed.priority, changed.show_prices), (3, Some(true)));
        assert_eq!(changed.display_names, made.display_names);
        assert!(changed.etag.starts_with("\"2-"), "{}", changed.etag);
        assert_eq!(get(&shop, "vip").await.unwrap(), changed);
    }

    async fn a_stale_etag_is_refused_and_changes_nothing(shop: Shop) {
        let made = plain(&shop, "vip").await;
        let change = pb::Group { name: made.name.clone(), priority: 1, ..pb::Group::default() };
        shop.groups().update_group(update(change.clone(), &[])).await.unwrap();
        let before = get(&shop, "vip").await.unwrap();

        let stale = pb::Group { etag: made.etag.clone(), priority: 2, ..change };
        let refused = shop.groups().update_group(update(stale, &[])).await.unwrap_err();
        let request = pb::DeleteGroupRequest {
            name: made.name,
            etag: made.etag,
            ..pb::DeleteGroupRequest::default()
        };
        let not_deleted = shop.groups().delete_group(request).await.unwrap_err();

        assert_refused(&refused, Code::Aborted, ErrorReason::EtagMismatch);
        assert_refused(&not_deleted, Code::Aborted, ErrorReason::EtagMismatch);
        assert_eq!(get(&shop, "vip").await.unwrap(), before);
    }

    async fn an_update_of_nothing_or_of_unknown_fields_is_refused(shop: Shop) {
        let made = plain(&shop, "vip").await;
        let name_only = pb::Group { name: made.name.clone(), ..pb::Group::default() };
        let staff = pb::Group { audience: Audience::Staff.into(), ..name_only.clone() };
        let absent = pb::Group { name: "groups/absent".to_owned(), priority: 1, ..name_only.clone() };
        let bare = pb::Group { display_names: [].into(), ..name_only.clone() };

        for request in [
            update(name_only.clone(), &[]),
            update(name_only.clone(), &["member_count"]),
            update(name_only, &["colour"]),
            update(staff, &[]),
            update(bare, &["display_names"]),
        ] {
            let refused = shop.groups().update_group(request).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        }
        let refused = shop.groups().update_group(update(absent, &[])).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
        assert_eq!(get(&shop, "vip").await.unwrap(), made);
    }

    async fn a_validation_checks_everything_and_changes_nothing(shop: Shop) {
        let made = plain(&shop, "vip").await;
        let change = pb::Group { name: made.name.clone(), priority: 9, ..pb::Group::default() };
        let create = pb::CreateGroupRequest { validate_only: true, ..creating("new") };
        let update = pb::UpdateGroupRequest { validate_only: true, ..update(change, &[]) };
        let taken = pb::CreateGroupRequest { validate_only: true, ..creating("vip") };

        let created = shop.groups().create_group(create).await.unwrap().into_inner();
        let updated = shop.groups().update_group(update).await.unwrap().into_inner();
        let refused = shop.groups().create_group(taken).await.unwrap_err();

        assert_eq!((created.name.as_str(), updated.priority), ("groups/new", 9));
        assert_refused(&refused, Code::AlreadyExists, ErrorReason::NameTaken);
        assert_eq!(get(&shop, "vip").await.unwrap(), made);
        assert_refused(&get(&shop, "new").await.unwrap_err(), Code::NotFound, ErrorReason::NotFound);
    }

    async fn a_repeated_request_is_applied_once(shop: Shop) {
        let create = pb::CreateGroupRequest { request_id: "make".to_owned(), ..creating("vip") };
        let first = shop.groups().create_group(create.clone()).await.unwrap().into_inner();
        let change = pb::Group { name: first.name.clone(), priority: 4, ..pb::Group::default() };
        let update = pb::UpdateGroupRequest {
            request_id: "change".to_owned(),
            ..update(change, &[])
        };
        let changed = shop.groups().update_group(update.clone()).await.unwrap().into_inner();

        let again = shop.groups().create_group(create.clone()).await.unwrap().into_inner();
        let changed_again = shop.groups().update_group(update).await.unwrap().into_inner();
        let other = pb::CreateGroupRequest { group: Some(sent("Other", "")), ..create };
        let refused = shop.groups().create_group(other).await.unwrap_err();

        assert_eq!((again, changed_again), (first, changed));
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::RequestIdReused);
        let request = pb::DeleteGroupRequest {
            name: "groups/vip".to_owned(),
            request_id: "delete".to_owned(),
            ..pb::DeleteGroupRequest::default()
        };
        let operation = |response: tonic::Response<()>| {
            response.metadata().get("clientela-operation").cloned().expect("an operation")
        };
        let deleted = operation(shop.groups().delete_group(request.clone()).await.unwrap());
        let deleted_again = operation(shop.groups().delete_group(request).await.unwrap());
        assert_eq!(deleted, deleted_again);
    }

    async fn a_repeated_deletion_names_its_own_operation(shop: Shop) {
        let request = pb::DeleteGroupRequest {
            name: "groups/vip".to_owned(),
            request_id: "delete".to_owned(),
            ..pb::DeleteGroupRequest::default()
        };
        let operation = async || {
            let deleted = shop.groups().delete_group(request.clone()).await.unwrap();
            let name = deleted.metadata().get("clientela-operation").expect("an operation");
            name.to_str().unwrap().to_owned()
        };
        create(&shop, "vip", sent("VIP", "")).await;
        let first = operation().await;
        done(&shop, &first).await;
        create(&shop, "vip", sent("VIP", "")).await;
        let second = delete(&shop, "vip").await;

        let repeated = operation().await;

        assert_eq!(repeated, first);
        assert_ne!(repeated, second);
    }

    async fn names_fall_back_to_the_languages_of_the_shop(shop: Shop) {
        let names = [("de", "Großhandel"), ("en", "Wholesale"), ("pt", "Atacado")];
        let names = names.map(|(language, name)| (language.to_owned(), name.to_owned()));
        create(&shop, "wholesale", pb::Group { display_names: names.into(), ..sent("", "") }).await;
        let shown = async |language_code: &str| {
            let request = pb::GetGroupRequest {
                name: "groups/wholesale".to_owned(),
                language_code: language_code.to_owned(),
            };
            shop.groups().get_group(request).await.unwrap().into_inner().display_name
        };

        assert_eq!(shown("de-AT").await, "Großhandel");
        assert_eq!(shown("pt-BR").await, "Atacado");
        assert_eq!(shown("fr").await, "Wholesale");
        assert_eq!(shown("").await, "Wholesale");
    }

    async fn hidden_groups_are_absent_for_storefronts(shop: Shop) {
        let hidden = pb::Group { state: State::Hidden.into(), ..sent("Secret", "20") };
        create(&shop, "secret", hidden).await;
        let storefront = shop.key(&[Role::Storefront]).await;
        let support = shop.key(&[Role::Support, Role::Storefront]).await;
        let ask = |id: &str| pb::GetGroupRequest {
            name: format!("groups/{id}"),
            ..pb::GetGroupRequest::default()
        };

        let secret = shop.groups_as(&storefront).get_group(ask("secret")).await.unwrap_err();
        let absent = shop.groups_as(&storefront).get_group(ask("absent")).await.unwrap_err();
        let list = shop.groups_as(&storefront).list_groups(pb::ListGroupsRequest::default()).await;
        let visitor = shop.groups_as(&storefront).get_group(ask("visitor")).await.unwrap();

        assert_eq!(secret.message(), absent.message());
        assert_eq!(secret.details(), absent.details());
        let names: Vec<String> =
            list.unwrap().into_inner().groups.into_iter().map(|group| group.name).collect();
        assert_eq!(names, ["groups/customer", "groups/guest", "groups/visitor"]);
        assert_eq!(visitor.into_inner().member_count, 0);
        assert!(shop.groups_as(&support).get_group(ask("secret")).await.is_ok());
    }

    async fn the_members_of_a_deleted_group_are_removed(shop: Shop) {
        plain(&shop, "vip").await;
        create(&shop, "early", pb::Group { priority: 1, ..sent("Early", "") }).await;
        create(&shop, "late", pb::Group { priority: 2, ..sent("Late", "") }).await;
        customer(&shop, "alone", &["vip"]).await;
        customer(&shop, "default", &["vip", "late", "early"]).await;
        customer(&shop, "member", &["late", "vip"]).await;
        customer(&shop, "stranger", &["late"]).await;

        let operation = delete(&shop, "vip").await;
        done(&shop, &operation).await;

        let of = |groups: &[&str], default: &str| {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>();
            (groups, default.to_owned())
        };
        assert_eq!(groups_of(&shop, "alone").await, of(&["customer"], "customer"));
        assert_eq!(groups_of(&shop, "default").await, of(&["early", "late"], "early"));
        assert_eq!(groups_of(&shop, "member").await, of(&["late"], "late"));
        assert_eq!(groups_of(&shop, "stranger").await, of(&["late"], "late"));
        assert_eq!(get(&shop, "late").await.unwrap().member_count, 3);
        assert_eq!(get(&shop, "customer").await.unwrap().member_count, 1);
        assert_refused(&get(&shop, "vip").await.unwrap_err(), Code::NotFound, ErrorReason::NotFound);
    }

    async fn a_recreated_group_has_the_next_version_and_no_members(shop: Shop) {
        plain(&shop, "vip").await;
        customer(&shop, "ada", &["vip"]).await;
        let operation = delete(&shop, "vip").await;
        done(&shop, &operation).await;

        let again = plain(&shop, "vip").await;

        assert!(again.etag.starts_with("\"3-"), "{}", again.etag);
        assert_eq!(again.member_count, 0);
        assert_eq!(groups_of(&shop, "ada").await.1, "customer");
    }
}

on_both_engines! {
    /// The job begins after the group was created again, with a member.
    async fn the_members_of_a_recreated_group_stay(shop: Shop with Setup::idle()) {
        let mut shop = shop;
        plain(&shop, "vip").await;
        customer(&shop, "ada", &[]).await;
        let operation = delete(&shop, "vip").await;
        plain(&shop, "vip").await;
        shop.groups().add_members(adding("vip", &["customers/ada"])).await.unwrap();
        shop.stop().await;
        shop.start_again(Setup::default()).await;

        done(&shop, &operation).await;

        assert!(groups_of(&shop, "ada").await.0.contains(&"vip".to_owned()));
    }
}
