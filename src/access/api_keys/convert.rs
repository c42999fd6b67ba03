//! Conversion between the contract's messages and the stored form of a key.

use super::model::{ApiKey, ApiKeyDoc};
use crate::caller::Roles;
use crate::error::{Error, Result, Violation};
use crate::feed::{self, timestamp};
use crate::proto::pb::{self, Role};

/// The full name of a key.
pub fn key_name(id: &str) -> String {
    format!("apiKeys/{id}")
}

/// The id in a name of the form `apiKeys/{id}`, which the access layer has checked.
pub fn id_of(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}

/// Converts a key to its message.
pub fn api_key(key: &ApiKey) -> pb::ApiKey {
    pb::ApiKey {
        name: key_name(&key.id),
        display_name: key.doc.display_name.clone(),
        roles: key.doc.roles.clone(),
        may_act: key.doc.may_act,
        shop: key
            .shop
            .as_deref()
            .map(|shop| format!("shops/{shop}"))
            .unwrap_or_default(),
        expire_time: key.expire_time.map(timestamp),
        create_time: Some(timestamp(key.create_time)),
        revoke_time: key.revoke_time.map(timestamp),
    }
}

/// A key as a request describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewKey {
    /// Its purpose and its roles.
    pub doc: ApiKeyDoc,
    /// When it expires, in microseconds.
    pub expire_time: Option<i64>,
}

impl NewKey {
    /// Whether the key is not bound to a shop.
    pub fn is_operator(&self) -> bool {
        Roles::from_numbers(self.doc.roles.iter().copied()).has(Role::Operator)
    }
}

/// Reads the key that a request asks for.
pub fn new_key(sent: &pb::ApiKey, now: i64) -> Result<NewKey> {
    let mut violations = Vec::new();
    let mut roles: Vec<i32> = sent.roles.clone();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() {
        violations.push(Violation::new(
            "api_key.roles",
            "REQUIRED",
            "must name at least one role",
        ));
    }
    for (index, role) in sent.roles.iter().enumerate() {
        if matches!(Role::try_from(*role), Err(_) | Ok(Role::Unspecified)) {
            let field = format!("api_key.roles[{index}]");
            violations.push(Violation::new(field, "NOT_ALLOWED", "is not a role"));
        }
    }
    if roles.len() > 1 && roles.contains(&Role::Operator.into()) {
        let text = "ROLE_OPERATOR is not bound to a shop and does not go with other roles";
        violations.push(Violation::new("api_key.roles", "NOT_ALLOWED", text));
    }
    let expire_time = sent.expire_time.as_ref().map(feed::micros);
    if expire_time.is_some_and(|time| time <= now) {
        let text = "lies in the past";
        violations.push(Violation::new("api_key.expire_time", "IN_PAST", text));
    }
    if !violations.is_empty() {
        return Err(Error::invalid(violations));
    }
    let doc = ApiKeyDoc {
        display_name: sent.display_name.clone(),
        roles,
        may_act: sent.may_act,
        ..ApiKeyDoc::default()
    };
    Ok(NewKey { doc, expire_time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_roles_that_go_together_and_ends_in_the_future() {
        let key = |roles: &[Role], seconds: i64| pb::ApiKey {
            roles: roles.iter().map(|role| (*role).into()).collect(),
            expire_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
            ..pb::ApiKey::default()
        };
        let now = 1_000_000;

        assert!(new_key(&key(&[Role::Admin, Role::Support], 2), now).is_ok());
        assert!(
            new_key(&key(&[Role::Operator], 2), now)
                .unwrap()
                .is_operator()
        );
        assert!(new_key(&key(&[], 2), now).is_err());
        assert!(new_key(&key(&[Role::Unspecified], 2), now).is_err());
        assert!(new_key(&key(&[Role::Operator, Role::Admin], 2), now).is_err());
        assert!(new_key(&key(&[Role::Admin], 1), now).is_err());
    }
}
