//! Tests titles.

use clientela::proto::pb::{self, ErrorReason, title::Gender};
use tonic::Code;

use super::metadata;
use crate::harness::{assert_refused, violations};
use crate::on_both_engines;

fn doctor() -> pb::CreateTitleRequest {
    pb::CreateTitleRequest {
        title: Some(pb::Title {
            display_names: [("en".to_owned(), "Dr.".to_owned())].into(),
            ..Default::default()
        }),
        title_id: "dr".to_owned(),
        ..Default::default()
    }
}

on_both_engines! {
    async fn every_shop_begins_with_four_titles(shop: Shop) {
        let list = shop.customers().list_titles(pb::ListTitlesRequest::default()).await.unwrap();

        let titles = list.into_inner().titles;
        let names: Vec<(&str, &str)> = titles
            .iter()
            .map(|title| (title.name.as_str(), title.display_names["en"].as_str()))
            .collect();
        assert_eq!(names, [
            ("titles/miss", "Miss"),
            ("titles/mr", "Mr."),
            ("titles/ms", "Ms."),
            ("titles/unknown", "Unknown"),
        ]);
        assert_eq!(titles[1].gender(), Gender::Male);
    }

    async fn a_title_is_created_changed_and_deleted(shop: Shop) {
        let mut client = shop.customers();
        let made = client.create_title(doctor()).await.unwrap().into_inner();
        assert_eq!((made.name.as_str(), made.gender()), ("titles/dr", Gender::Neutral));

        let sent = pb::Title { gender: Gender::Female as i32, ..made.clone() };
        let mask = prost_types::FieldMask { paths: vec!["gender".to_owned()] };
        let request = pb::UpdateTitleRequest {
            title: Some(sent),
            update_mask: Some(mask),
            ..Default::default()
        };
        let changed = client.update_title(request.clone()).await.unwrap().into_inner();
        assert_eq!(changed.gender(), Gender::Female);
        assert_eq!(changed.display_names, made.display_names);
        let get = || pb::GetTitleRequest { name: made.name.clone() };
        assert_eq!(client.get_title(get()).await.unwrap().into_inner(), changed);
        let stale = client.update_title(request).await.unwrap_err();
        assert_refused(&stale, Code::Aborted, ErrorReason::EtagMismatch);
        let request = pb::DeleteTitleRequest {
            name: made.name.clone(),
            etag: changed.etag.clone(),
            ..Default::default()
        };
        client.delete_title(request.clone()).await.unwrap();
        let refused = client.get_title(get()).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
        let refused = client.delete_title(request).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, ErrorReason::NotFound);
        let again = client.create_title(doctor()).await.unwrap().into_inner();
        assert_ne!(again.etag, made.etag);
    }

    async fn an_invalid_title_is_refused(shop: Shop) {
        let mut client = shop.customers();
        client.create_title(doctor()).await.unwrap();
        let taken = client.create_title(doctor()).await.unwrap_err();
        assert_refused(&taken, Code::AlreadyExists, ErrorReason::NameTaken);
        assert_eq!(metadata(&taken, "name").as_deref(), Some("titles/dr"));

        let nameless = pb::CreateTitleRequest {
            title: Some(pb::Title::default()),
            title_id: "none".to_owned(),
            ..Default::default()
        };
        let refused = client.create_title(nameless).await.unwrap_err();
        assert_eq!(violations(&refused), [("title.display_names".into(), "REQUIRED".into())]);
        let emptied = pb::UpdateTitleRequest {
            title: Some(pb::Title { name: "titles/dr".to_owned(), ..Default::default() }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["display_names".to_owned()] }),
            ..Default::default()
        };
        let refused = client.update_title(emptied).await.unwrap_err();
        assert_eq!(violations(&refused), [("title.display_names".into(), "REQUIRED".into())]);
    }

    async fn a_validation_and_a_repetition_create_no_second_title(shop: Shop) {
        let mut client = shop.customers();
        let dry_run = pb::CreateTitleRequest { validate_only: true, ..doctor() };
        client.create_title(dry_run).await.unwrap();
        let request = pb::CreateTitleRequest { request_id: "one".to_owned(), ..doctor() };

        let first = client.create_title(request.clone()).await.unwrap().into_inner();
        let again = client.create_title(request).await.unwrap().into_inner();

        assert_eq!(again, first);
    }

    async fn pages_go_by_id(shop: Shop) {
        let mut client = shop.customers();
        let mut request = pb::ListTitlesRequest { page_size: 3, ..Default::default() };

        let first = client.list_titles(request.clone()).await.unwrap().into_inner();
        request.page_token = first.next_page_token;
        let second = client.list_titles(request).await.unwrap().into_inner();

        assert_eq!((first.titles.len(), second.titles.len()), (3, 1));
        assert_eq!(second.next_page_token, "");
    }
}
