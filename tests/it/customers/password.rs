//! Tests VerifyPassword.

use clientela::limits;
use clientela::proto::pb::{self, ErrorReason, Role, customer};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{Client, client_as, create, delete, person, try_create, update};
use crate::harness::{assert_refused, eventually, violations};
use crate::on_both_engines;

const PASSWORD: &str = "correct horse";

fn with_password(name: &str) -> pb::Customer {
    pb::Customer {
        password: Some(PASSWORD.to_owned()),
        ..person(name)
    }
}

async fn verify(client: &mut Client, email: &str, password: &str) -> Result<pb::Customer, Status> {
    let request = pb::VerifyPasswordRequest {
        email: email.to_owned(),
        password: password.to_owned(),
    };
    Ok(client
        .verify_password(request)
        .await?
        .into_inner()
        .customer
        .expect("a customer"))
}

on_both_engines! {
    async fn the_right_password_opens_the_account_in_any_spelling_of_the_email(shop: Shop) {
        let mut client = client_as(&shop, Role::Storefront).await;
        let ada = create(&mut client, with_password("Ada")).await;

        for email in [ada.email.clone(), format!(" {} ", ada.email.to_uppercase())] {
            assert_eq!(verify(&mut client, &email, PASSWORD).await.unwrap().name, ada.name);
        }
    }

    async fn a_password_is_never_shown(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, with_password("Ada")).await;
        let again = verify(&mut client, &ada.email, PASSWORD).await.unwrap();
        let changed = pb::Customer { password: Some("another horse".to_owned()), ..ada.clone() };
        let changed = update(&mut client, changed, &["password"]).await.unwrap();

        assert_eq!((ada.password, again.password, changed.password), (None, None, None));
    }

    async fn all_refusals_are_identical(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, with_password("Ada")).await;
        let bare = create(&mut client, person("Bare")).await;
        let gone = create(&mut client, with_password("Gone")).await;
        delete(&mut client, &gone.name).await;
        let mut others = Vec::new();
        for state in
            [customer::State::Disabled, customer::State::PendingApproval, customer::State::Invited]
        {
            let other = pb::Customer { state: state as i32, ..with_password("Other") };
            others.push(create(&mut client, other).await.email);
        }
        let mut attempts = vec![
            (ada.email, "wrong horse"),
            ("nobody@example.test".to_owned(), PASSWORD),
            ("no address".to_owned(), PASSWORD),
            (bare.email, PASSWORD),
            (gone.email, PASSWORD),
        ];
        attempts.extend(others.into_iter().map(|email| (email, PASSWORD)));

        let mut refusals = Vec::new();
        for (email, password) in attempts {
            refusals.push(verify(&mut client, &email, password).await.unwrap_err());
        }

        for refused in &refusals {
            assert_refused(refused, Code::Unauthenticated, ErrorReason::WrongCredentials);
            assert_eq!(refused.message(), refusals[0].message());
            assert_eq!(refused.details(), refusals[0].details());
        }
    }

    async fn a_deleted_customer_does_not_sign_in_even_while_its_email_is_kept(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, with_password("Ada")).await;
        let request = pb::DeleteCustomerRequest {
            name: ada.name.clone(),
            re_registration: pb::delete_customer_request::ReRegistration::Forbid as i32,
            ..Default::default()
        };
        client.delete_customer(request).await.unwrap();

        let refused = verify(&mut client, &ada.email, PASSWORD).await.unwrap_err();
        assert_refused(&refused, Code::Unauthenticated, ErrorReason::WrongCredentials);

        let request = pb::UndeleteCustomerRequest { name: ada.name, ..Default::default() };
        client.undelete_customer(request).await.unwrap();
        verify(&mut client, &ada.email, PASSWORD).await.unwrap();
    }

    async fn a_password_is_replaced_and_removed_by_updates(shop: Shop) {
        let mut client = shop.customers();
        let ada = create(&mut client, with_password("Ada")).await;
        let sent = |password: Option<&str>| pb::Customer {
            name: ada.name.clone(),
            password: password.map(str::to_owned),
            ..Default::default()
        };

        update(&mut client, sent(Some("another horse")), &["password"]).await.unwrap();
        let refused = verify(&mut client, &ada.email, PASSWORD).await.unwrap_err();
        assert_refused(&refused, Code::Unauthenticated, ErrorReason::WrongCredentials);
        verify(&mut client, &ada.email, "another horse").await.unwrap();
        update(&mut client, sent(None), &["password"]).await.unwrap();
        let refused = verify(&mut client, &ada.email, "another horse").await.unwrap_err();
        assert_refused(&refused, Code::Unauthenticated, ErrorReason::WrongCredentials);
    }

    async fn an_invited_customer_becomes_active_with_a_password(shop: Shop) {
        let mut client = shop.customers();
        let invited = pb::Customer { state: customer::State::Invited as i32, ..person("Ada") };
        let invited = create(&mut client, invited).await;
        let mut storefront = client_as(&shop, Role::Storefront).await;
        let sent = pb::Customer {
            name: invited.name,
            password: Some(PASSWORD.to_owned()),
            ..Default::default()
        };

        let accepted = update(&mut storefront, sent, &["password"]).await.unwrap();

        assert_eq!(accepted.state(), customer::State::Active);
        verify(&mut storefront, &accepted.email, PASSWORD).await.unwrap();
    }

    async fn guests_have_no_password(shop: Shop) {
        let guest =
            pb::Customer { kind: customer::Kind::Guest as i32, ..with_password("Ada") };

        let refused = try_create(&mut shop.customers(), guest).await.unwrap_err();

        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        assert_eq!(violations(&refused), [("customer.password".into(), "NOT_ALLOWED".into())]);
    }

    async fn a_request_with_another_password_is_not_a_repetition(shop: Shop) {
        let mut client = shop.customers();
        let customer = with_password("Ada");
        let request = |password: &str| pb::CreateCustomerRequest {
            customer: Some(pb::Customer {
                password: Some(password.to_owned()),
                ..customer.clone()
            }),
            request_id: "one".to_owned(),
            ..Default::default()
        };
        let first = client.create_customer(request(PASSWORD)).await.unwrap().into_inner();

        let again = client.create_customer(request(PASSWORD)).await.unwrap().into_inner();
        let reused = client.create_customer(request("another horse")).await.unwrap_err();

        assert_eq!(again, first);
        assert_refused(&reused, Code::InvalidArgument, ErrorReason::RequestIdReused);
        verify(&mut client, &first.email, PASSWORD).await.unwrap();
    }

    /// Customers of one shop sign in, however many passwords another shop tries.
    async fn many_passwords_in_one_shop_block_no_sign_in_of_another(shop: Shop) {
        let request = pb::CreateShopRequest {
            shop_id: "second".into(),
            shop: Some(pb::Shop::default()),
            ..Default::default()
        };
        shop.admin_as(&shop.operator_key).create_shop(request).await.unwrap();
        let key = shop.key_of("second", &[Role::Storefront]).await;
        let mut quiet = shop.customers_as(&key);
        let ada = create(&mut quiet, with_password("Ada")).await;
        let ended = tokio_util::sync::CancellationToken::new();
        let floods: Vec<_> = (0..limits::HASH_QUEUE_MAX)
            .map(|_| tokio::spawn(guess(shop.customers(), ended.clone())))
            .collect();
        // The queue of the other shop is full.
        eventually("a refusal", async || {
            let refused = verify(&mut shop.customers(), "nobody@example.test", "guess").await;
            let status = refused.unwrap_err();
            (status.code() == Code::ResourceExhausted).then_some(())
        })
        .await;

        for _ in 0..5 {
            // A busy machine may take longer than a call waits, but the queue always has a place.
            let signed_in = eventually("a sign-in", async || {
                match verify(&mut quiet.clone(), &ada.email, PASSWORD).await {
                    Ok(signed_in) => Some(signed_in),
                    Err(status) => {
                        assert_ne!(status.code(), Code::ResourceExhausted, "{status:?}");
                        assert_ne!(status.code(), Code::Unauthenticated, "{status:?}");
                        None
                    }
                }
            })
            .await;
            assert_eq!(signed_in.name, ada.name);
        }

        ended.cancel();
        for flood in floods {
            flood.await.unwrap();
        }
    }
}

/// Tries passwords until it is cancelled. Each attempt is wrong, exceeds the queue, or gets no turn in time.
async fn guess(mut client: Client, ended: tokio_util::sync::CancellationToken) {
    while !ended.is_cancelled() {
        let guessed = verify(&mut client, "nobody@example.test", "guess").await;
        let status = guessed.unwrap_err();
        match status.code() {
            Code::ResourceExhausted => {
                assert_refused(&status, Code::ResourceExhausted, ErrorReason::Overloaded);
                assert!(status.get_details_retry_info().is_some());
            }
            Code::DeadlineExceeded => {
                assert_refused(&status, Code::DeadlineExceeded, ErrorReason::DeadlinePassed);
            }
            // The many concurrent calls may find no connection on a busy machine.
            Code::Unavailable => {
                assert_refused(&status, Code::Unavailable, ErrorReason::DatabaseUnavailable);
            }
            // The client's own deadline ended the call, as calls of tests have one minute.
            Code::Cancelled => assert!(status.get_details_error_info().is_none(), "{status:?}"),
            _ => assert_refused(
                &status,
                Code::Unauthenticated,
                ErrorReason::WrongCredentials,
            ),
        }
    }
}
