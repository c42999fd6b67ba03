//! Tests how customers are found and ordered by their names, in any script and language.

use clientela::customers::INDEX_NOTED;
use clientela::execute;
use clientela::proto::pb::{self, ErrorReason};
use clientela::store::{Engine, Locks};
use futures::FutureExt as _;
use tonic::Code;

use super::{Client, create, person, update};
use crate::harness::{Shop, assert_refused, eventually};
use crate::on_both_engines;

/// Returns a customer of this name.
fn named(first_name: &str, last_name: &str) -> pb::Customer {
    pb::Customer {
        first_name: first_name.to_owned(),
        last_name: last_name.to_owned(),
        ..person("x")
    }
}

/// Returns the first names of the customers that a search finds.
async fn found(client: &mut Client, query: &str) -> Vec<String> {
    let request = pb::ListCustomersRequest {
        query: query.to_owned(),
        ..Default::default()
    };
    let page = client.list_customers(request).await.unwrap().into_inner();
    assert_eq!(page.next_page_token, "");
    let mut names: Vec<String> = page
        .customers
        .into_iter()
        .map(|found| found.first_name)
        .collect();
    names.sort_unstable();
    names
}

/// Returns the last names in an order, read in pages of this size.
async fn ordered(client: &mut Client, order_by: &str, page_size: i32) -> Vec<String> {
    let mut request = pb::ListCustomersRequest {
        order_by: order_by.to_owned(),
        page_size,
        ..Default::default()
    };
    let mut names = Vec::new();
    loop {
        let page = client
            .list_customers(request.clone())
            .await
            .unwrap()
            .into_inner();
        names.extend(
            page.customers
                .into_iter()
                .map(|customer| customer.last_name),
        );
        if page.next_page_token.is_empty() {
            return names;
        }
        request.page_token = page.next_page_token;
    }
}

async fn set_languages(shop: &Shop, languages: &[&str]) {
    let settings = pb::ShopSettings {
        language_codes: languages
            .iter()
            .map(|language| (*language).to_owned())
            .collect(),
        ..Default::default()
    };
    let request = pb::UpdateShopSettingsRequest {
        settings: Some(settings),
        ..Default::default()
    };
    shop.admin().update_shop_settings(request).await.unwrap();
}

/// Waits until the customers are listed in this order.
async fn until_ordered(shop: &Shop, order_by: &str, expected: &[&str]) {
    eventually("the order", || async {
        let names = ordered(&mut shop.customers(), order_by, 50).await;
        (names == expected).then_some(())
    })
    .await;
}

on_both_engines! {
    async fn a_search_finds_names_of_scripts_without_blanks(shop: Shop) {
        let mut client = shop.customers();
        for (first, last) in [
            ("小明", "王"),
            ("王小明", ""),
            ("小红", "王"),
            ("太郎", "山田"),
            ("철수", "김"),
            ("สมชาย", "ใจดี"),
            ("Анна", "Иванова"),
        ] {
            create(&mut client, named(first, last)).await;
        }

        for (query, expected) in [
            ("小明", "小明 王小明"),
            ("明", "小明 王小明"),
            ("王小明", "小明 王小明"),
            ("王", "小明 小红 王小明"),
            ("王 红", "小红"),
            ("山田太郎", "太郎"),
            ("田", "太郎"),
            ("수", "철수"),
            ("김철수", "철수"),
            ("สมชายใจดี", "สมชาย"),
            ("ใจดีสมชาย", "สมชาย"),
            ("ชา", "สมชาย"),
            ("ан", "Анна"),
            ("нн", ""),
            ("ванова", "Анна"),
            ("李", ""),
        ] {
            assert_eq!(found(&mut client, query).await.join(" "), expected, "{query}");
        }
    }

    async fn a_search_requires_every_word_and_ignores_punctuation(shop: Shop) {
        let mut client = shop.customers();
        for (first, last) in [
            ("Conan", "O’Brien"),
            ("Jean-Luc", "Picard"),
            ("Ann", "Al Rashid"),
            ("علی\u{200c}رضا", "کریمی"),
        ] {
            create(&mut client, named(first, last)).await;
        }

        for (query, expected) in [
            ("O'Brien", "Conan"),
            ("obrien", "Conan"),
            ("Jean Luc", "Jean-Luc"),
            ("jeanluc", "Jean-Luc"),
            ("jean‑luc", "Jean-Luc"),
            ("al-rashid", "Ann"),
            ("عليرضا", "علی\u{200c}رضا"),
            ("كريمي", "علی\u{200c}رضا"),
            ("عـلـی", "علی\u{200c}رضا"),
            ("jean luc picard jean luc picard jean luc picard nobody", ""),
            ("jean luc picard jean luc picard jean luc picard jean", "Jean-Luc"),
            ("-", ""),
            ("'", ""),
            ("\u{640}", ""),
            ("\u{301}", ""),
            ("- ' --", ""),
        ] {
            assert_eq!(found(&mut client, query).await.join(" "), expected, "{query:?}");
        }
        assert_eq!(found(&mut client, "").await.len(), 4);
        assert_eq!(found(&mut client, "  ").await.len(), 4);
    }

    async fn names_are_ordered_by_the_shops_first_language(shop: Shop) {
        let mut client = shop.customers();
        for last in ["Zorn", "Öl", "Åke", "ahorn", "", "Oz", "de Vries"] {
            create(&mut client, named("x", last)).await;
        }

        let english = ["", "ahorn", "Åke", "de Vries", "Öl", "Oz", "Zorn"];
        let bytes = ["", "Oz", "Zorn", "ahorn", "de Vries", "Åke", "Öl"];
        for page_size in [1, 3, 50] {
            assert_eq!(ordered(&mut client, "last_name", page_size).await, english);
            assert_eq!(ordered(&mut client, "bytes(last_name)", page_size).await, bytes);
            let mut down = ordered(&mut client, "last_name desc", page_size).await;
            down.reverse();
            assert_eq!(down, english);
        }
        let first_page = |order_by: &str| pb::ListCustomersRequest {
            order_by: order_by.to_owned(),
            page_size: 2,
            ..Default::default()
        };
        let mut begun = Vec::new();
        for order_by in ["last_name", "bytes(last_name)"] {
            let mut request = first_page(order_by);
            let page = client.list_customers(request.clone()).await.unwrap().into_inner();
            request.page_token = page.next_page_token;
            begun.push(request);
        }
        let swedish = ["", "ahorn", "de Vries", "Oz", "Zorn", "Åke", "Öl"];
        set_languages(&shop, &["sv", "en"]).await;
        until_ordered(&shop, "last_name", &swedish).await;
        // In the other order its position would skip customers or repeat them.
        let [in_language, in_bytes] = begun.try_into().unwrap();
        let refused = client.list_customers(in_language).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidPageToken);
        client.list_customers(in_bytes).await.unwrap();

        let added = create(&mut client, named("x", "Ärlig")).await;
        let with_added = ["", "ahorn", "de Vries", "Oz", "Zorn", "Åke", "Ärlig", "Öl"];
        assert_eq!(ordered(&mut client, "last_name", 2).await, with_added);
        let renamed = pb::Customer { last_name: "Aa".to_owned(), ..added };
        update(&mut client, renamed, &["last_name"]).await.unwrap();
        let with_renamed = ["", "Aa", "ahorn", "de Vries", "Oz", "Zorn", "Åke", "Öl"];
        assert_eq!(ordered(&mut client, "last_name", 2).await, with_renamed);
    }

    async fn only_fields_with_a_language_have_an_order_by_bytes(shop: Shop) {
        for order_by in ["bytes(email)", "bytes(last_name", "bytes()", "bytes(last_name) up", "last_name, last_name desc"] {
            let request =
                pb::ListCustomersRequest { order_by: order_by.to_owned(), ..Default::default() };
            let refused = shop.customers().list_customers(request).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidOrderBy);
        }
        let filter = "last_name in its language = a".to_owned();
        let request = pb::ListCustomersRequest { filter, ..Default::default() };
        let refused = shop.customers().list_customers(request).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidFilter);
    }

    /// The state is that after an update from a release with other search texts and without orders of
    /// languages.
    async fn customers_from_before_an_update_are_found_and_ordered(shop: Shop) {
        let mut client = shop.customers();
        for last in ["Zorn", "Öl", "O’Brien"] {
            create(&mut client, named(last, last)).await;
        }
        shop.store()
            .write_job_with(Locks::none(), (), |tx, ()| {
                async move {
                    let old = "UPDATE customers SET search_text = ' old', last_name_key = '',
                        last_name_folded = last_name";
                    execute!(tx, sqlx::query(old))?;
                    if tx.engine() == Engine::Sqlite {
                        tx.before_commit(INDEX_NOTED);
                    }
                    execute!(tx, sqlx::query("UPDATE shops SET customers_index = ''"))?;
                    Ok(())
                }
                .boxed()
            })
            .await
            .unwrap();

        until_ordered(&shop, "last_name", &["O’Brien", "Öl", "Zorn"]).await;

        assert_eq!(found(&mut client, "obrien").await, ["O’Brien"]);
        assert_eq!(found(&mut client, "old").await, Vec::<String>::new());
        let request = pb::ListCustomersRequest {
            filter: "last_name:ol".to_owned(),
            ..Default::default()
        };
        let page = client.list_customers(request).await.unwrap().into_inner();
        assert_eq!(page.customers.len(), 1);
        assert_eq!(page.customers[0].etag.split('-').next(), Some("\"1"), "the customer has no new version");
    }

    async fn times_of_nanoseconds_compare_exactly(shop: Shop) {
        let mut client = shop.customers();
        let time = create(&mut client, person("Ada")).await.create_time.unwrap();
        let micros = time.nanos / 1_000;
        let at = |nanos: i32| {
            let instant = jiff::Timestamp::new(time.seconds, nanos).unwrap();
            format!("{instant:.9}")
        };
        let (exactly, just_after, just_before) =
            (at(micros * 1_000), at(micros * 1_000 + 1), at((micros * 1_000 - 1).max(0)));
        assert_eq!(just_after.len(), "2026-01-31T12:00:00.123456789Z".len());

        let mut cases = vec![
            (format!("create_time = {exactly}"), true),
            (format!("create_time >= {exactly}"), true),
            (format!("create_time > {exactly}"), false),
            (format!("create_time = {just_after}"), false),
            (format!("create_time != {just_after}"), true),
            (format!("create_time > {just_after}"), false),
            (format!("create_time >= {just_after}"), false),
            (format!("create_time < {just_after}"), true),
            (format!("create_time <= {just_after}"), true),
        ];
        if micros > 0 {
            cases.extend([
                (format!("create_time > {just_before}"), true),
                (format!("create_time >= {just_before}"), true),
                (format!("create_time < {just_before}"), false),
                (format!("create_time <= {just_before}"), false),
            ]);
        }
        for (filter, matches) in cases {
            let request = pb::ListCustomersRequest { filter: filter.clone(), ..Default::default() };
            let page = client.list_customers(request).await.unwrap().into_inner();
            assert_eq!(page.customers.len(), usize::from(matches), "{filter}");
        }
        let filter = format!("create_time > {}1", just_after.trim_end_matches('Z'));
        let request = pb::ListCustomersRequest { filter, ..Default::default() };
        let refused = client.list_customers(request).await.unwrap_err();
        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidFilter);
    }
}
