//! Tests the server against the contract. The cases are generated from the descriptors and the table of
//! limits, so that a new RPC or field needs no line here.

mod acting;
pub mod call;
mod cases;
mod fields;
mod input;
mod limits;
pub mod messages;
mod shops;
mod spellings;
mod unchanged;
pub mod world;

use bytes::Bytes;
use clientela::proto::pb::{self, ErrorReason, Role};
use tonic::Code;

use crate::harness::assert_refused;
use crate::on_both_engines;
use call::{allowed, call, keys, method, methods};

on_both_engines! {
    async fn every_rpc_is_open_to_its_roles_and_to_no_other(shop: Shop) {
        let mut cells = 0;
        for (role, key) in keys(&shop).await {
            for method in methods() {
                let answer = call(&shop, &key, &method, Bytes::new()).await;
                let name = format!("{} as {role:?}", method.full_name());
                if allowed(&method).contains(&role) {
                    if let Err(status) = answer {
                        let refused = [Code::PermissionDenied, Code::Unauthenticated];
                        // The call lacks fields, but has passed the check of the role.
                        assert!(!refused.contains(&status.code()), "{name}: {status:?}");
                        assert_ne!(status.code(), Code::Internal, "{name}: {status:?}");
                        assert_ne!(status.code(), Code::Unimplemented, "{name}: {status:?}");
                    }
                } else {
                    let status = answer.expect_err(&name);
                    assert_refused(&status, Code::PermissionDenied, ErrorReason::RoleNotAllowed);
                }
                cells += 1;
            }
        }
        assert!(cells >= 6 * 55, "the contract has shrunk: {cells}");
    }

    async fn no_rpc_answers_without_a_live_key(shop: Shop) {
        let revoked = shop.key(&[Role::Admin]).await;
        let list = pb::ListApiKeysRequest::default();
        let keys = shop.admin().list_api_keys(list).await.unwrap().into_inner().api_keys;
        let name = keys.iter().find(|key| key.display_name == "a test").unwrap().name.clone();
        let revoke = pb::RevokeApiKeyRequest { name, request_id: String::new() };
        shop.admin().revoke_api_key(revoke).await.unwrap();
        crate::harness::eventually("the refusal of the revoked key", || async {
            call(&shop, &revoked, &method("ListTitles"), Bytes::new()).await.err()
        })
        .await;

        for method in methods() {
            for key in ["", "nonsense", "clt_0000000000000000000000000000000000000000000", &revoked] {
                let status = call(&shop, key, &method, Bytes::new()).await.unwrap_err();
                assert_refused(&status, Code::Unauthenticated, ErrorReason::KeyMissing);
            }
        }
    }

    async fn every_rpc_refuses_bytes_that_are_no_message(shop: Shop) {
        for method in methods() {
            // A length beyond the end, and an unfinished tag.
            for bytes in [&[0x0a, 0xff, 0x01][..], &[0xff, 0xff, 0xff]] {
                let message = Bytes::copy_from_slice(bytes);
                let answer = call(&shop, &shop.operator_key, &method, message).await;
                let status = answer.expect_err(method.full_name());
                assert_refused(&status, Code::InvalidArgument, ErrorReason::MalformedRequest);
            }
        }
    }
}
