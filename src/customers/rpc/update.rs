//! UpdateCustomer.

use futures::FutureExt as _;
use zeroize::Zeroizing;

use super::{
    Service,
    create::{self, Creation, Outcome},
    not_found, replayed,
    secret::{self, Secret},
};
use crate::{
    caller::Caller,
    customers::{
        addresses, convert,
        derived::day,
        model::{Customer, State},
        sql,
        write::{self, Number},
    },
    error::{Error, Result},
    feed, ids, mask,
    numbers::Sequence,
    passwords::Password,
    proto::pb,
    shops,
    store::{Locks, Tx},
};

/// A customer to be updated.
#[derive(Clone)]
struct Update {
    caller: Caller,
    target: Target,
    sent: pb::Customer,
    paths: Vec<&'static str>,
    password: NewPassword,
    /// The customer to create if there is none.
    creation: Option<Box<Creation>>,
    validate_only: bool,
    now: i64,
}

/// The customer that the request names.
#[derive(Clone)]
enum Target {
    Id(String),
    External(pb::ExternalId),
}

/// The change of the password.
#[derive(Clone)]
enum NewPassword {
    Stays,
    Goes,
    Becomes(Secret),
}

impl Service {
    pub(super) async fn update(
        &self,
        caller: Caller,
        mut request: pb::UpdateCustomerRequest,
    ) -> Result<pb::Customer> {
        let sent = request.customer.as_mut();
        let password = sent
            .and_then(|sent| sent.password.take())
            .map(Zeroizing::new);
        let mut update = self.read_update(caller, request, password.as_ref()).await?;
        loop {
            let (locks, data) = (update.locks(), update.clone());
            let outcome = if update.validate_only {
                self.store
                    .dry_run(locks, data, |tx, update| run(tx, update).boxed())
                    .await
            } else {
                self.store
                    .write_with(locks, data, |tx, update| run(tx, update).boxed())
                    .await
            };
            match (outcome?, &mut update.creation) {
                (Outcome::Made(customer), _) => {
                    return self.finish(&update.caller, *customer).await;
                }
                (Outcome::DrawAgain, Some(creation)) => {
                    let shop = &update.caller.shop;
                    let number = self.numbers.next(shop, Sequence::Customer).await?;
                    creation.customer.number = number;
                }
                (Outcome::DrawAgain, None) => return Err(not_found()),
                (Outcome::Compare, creation) => {
                    if let Some(password) = &password {
                        self.compare(&update.caller, password).await?;
                    }
                    if let NewPassword::Becomes(secret) = &mut update.password {
                        secret.compared = true;
                    }
                    if let Some(secret) = creation.as_mut().and_then(|new| new.secret.as_mut()) {
                        secret.compared = true;
                    }
                }
            }
        }
    }

    async fn read_update(
        &self,
        caller: Caller,
        request: pb::UpdateCustomerRequest,
        password: Option<&Password>,
    ) -> Result<Update> {
        let pb::UpdateCustomerRequest {
            customer,
            update_mask,
            r#match,
            allow_missing,
            validate_only,
            ..
        } = request;
        let now = self.store.clock().now();
        let sent = customer.unwrap_or_default();
        let target = target(&sent.name, r#match, allow_missing)?;
        let paths = mask::of_also(update_mask.as_ref(), &sent, |path| {
            path == "password" && password.is_some()
        })?;
        let creation = match &target {
            Target::External(external) if allow_missing => {
                let whole = with_external_id(sent.clone(), external);
                let id = ids::new_id();
                let new = self.prepare(caller.clone(), id, whole, password, Vec::new(), now);
                Some(Box::new(new.await?))
            }
            Target::External(_) | Target::Id(_) => None,
        };
        let all = update_mask.is_some_and(|mask| mask.paths.iter().any(|path| path == "*"));
        let made = creation.as_deref().and_then(|new| new.secret.clone());
        let password = match (password, made) {
            _ if !paths.contains(&"password") => NewPassword::Stays,
            (None, _) if all => NewPassword::Stays,
            (None, _) => NewPassword::Goes,
            (Some(_), Some(secret)) => NewPassword::Becomes(secret),
            (Some(password), None) => NewPassword::Becomes(self.secret(&caller, password).await?),
        };
        Ok(Update {
            caller,
            target,
            sent,
            paths,
            password,
            creation,
            validate_only,
            now,
        })
    }
}

fn target(name: &str, external: Option<pb::ExternalId>, allow_missing: bool) -> Result<Target> {
    match (name, external) {
        ("", Some(external)) => Ok(Target::External(external)),
        ("", None) => Err(Error::invalid_field(
            "customer.name",
            "REQUIRED",
            "a name or a match is required",
        )),
        (_, Some(_)) => {
            let text = "name the customer by its name or by a match, not by both";
            Err(Error::invalid_field("match", "NOT_ALLOWED", text))
        }
        (_, None) if allow_missing => {
            let text = "only a customer named by a match can be created";
            Err(Error::invalid_field("allow_missing", "NOT_ALLOWED", text))
        }
        (name, None) => Ok(Target::Id(convert::id_of(name).to_owned())),
    }
}

/// Adds to a customer the external id by which the request names it.
fn with_external_id(mut sent: pb::Customer, external: &pb::ExternalId) -> pb::Customer {
    if sent
        .external_ids
        .iter()
        .all(|id| id.system != external.system)
    {
        sent.external_ids.push(external.clone());
    }
    sent
}

impl Update {
    fn locks(&self) -> Locks {
        let shop = &*self.caller.shop;
        let mut locks = feed::locks(&self.caller);
        match &self.target {
            Target::Id(id) => locks.insert(write::lock(shop, id)),
            Target::External(pb::ExternalId { system, id }) => {
                locks.insert(write::external_lock(shop, system, id));
            }
        }
        locks
    }

    fn names(&self, path: &str) -> bool {
        self.paths.contains(&path)
    }
}

async fn run(tx: &mut Tx, update: &Update) -> Result<Outcome> {
    let Update { caller, .. } = update;
    if let Some(replay) = feed::replay(tx, caller).await? {
        let secret = match (&update.password, &update.creation) {
            (NewPassword::Becomes(secret), _) => Some(secret),
            (_, Some(creation)) => creation.secret.as_ref(),
            (_, None) => None,
        };
        if secret.is_some_and(|secret| !secret.compared) {
            return Ok(Outcome::Compare);
        }
        return replayed(tx, caller, &replay).await.map(create::made);
    }
    let shop = &*caller.shop;
    let before = match &update.target {
        Target::Id(id) => sql::get(tx, shop, id).await?,
        Target::External(pb::ExternalId { system, id }) => {
            match sql::external_holder(tx, shop, system, id).await? {
                Some(id) => {
                    tx.require(write::lock(shop, &id))?;
                    sql::get(tx, shop, &id).await?
                }
                None => None,
            }
        }
    };
    match (before, &update.creation) {
        (Some(before), _) => change(tx, update, &before).await.map(create::made),
        (None, Some(creation)) => make(tx, creation, update.validate_only).await,
        (None, None) => Err(not_found()),
    }
}

async fn make(tx: &mut Tx, creation: &Creation, validate_only: bool) -> Result<Outcome> {
    let undrawn = creation.number == Number::Drawn && creation.customer.number.is_empty();
    if undrawn && !validate_only {
        return Ok(Outcome::DrawAgain);
    }
    tx.require_all(creation.lock_keys())?;
    match create::insert(tx, creation).await? {
        Some(customer) => Ok(create::made(convert::message(&customer))),
        None => Ok(Outcome::DrawAgain),
    }
}

async fn change(tx: &mut Tx, update: &Update, before: &Customer) -> Result<pb::Customer> {
    let Update {
        caller, sent, now, ..
    } = update;
    let shop = &*caller.shop;
    if before.is_deleted() {
        return Err(write::deleted());
    }
    feed::check_etag(&sent.etag, &convert::name(&before.id), before.version)?;
    let settings = shops::settings(tx, shop).await?;
    let mut after = before.clone();
    let mut violations = convert::apply(&mut after, sent, &update.paths, *now);
    complete_fields(update, before, &mut after);
    let sets_password = matches!(update.password, NewPassword::Becomes(_));
    let today = day(*now, settings.zone());
    violations.extend(convert::check(
        caller,
        Some(before),
        &after,
        sets_password,
        today,
    ));
    if !violations.is_empty() {
        return Err(Error::invalid(violations));
    }
    if after.email != before.email {
        after.email_claim = convert::claim(&after);
    }
    let regroups = update.names("groups");
    if regroups && after.groups.is_empty() {
        after.groups = vec![write::special_group(&settings, after.kind).to_owned()];
    }
    let asks_default = after.default_group != before.default_group;
    if asks_default && !regroups && !before.groups.contains(&after.default_group) {
        return Err(write::default_not_member(&after.default_group));
    }
    tx.require_all(write::unique_locks(shop, Some(before), &after))?;
    write::check_groups(tx, shop, &settings, Some(before), &after, &sent.groups).await?;
    check_references(tx, shop, before, &after).await?;
    write::check_unique(tx, caller, Some(before), &after, Number::Chosen).await?;

    if after == *before && matches!(update.password, NewPassword::Stays) {
        return unchanged(tx, caller, before, *now).await;
    }
    if regroups {
        write::set_groups(tx, caller, &mut after, asks_default, *now).await?;
    }
    let sets_or_takes = match &update.password {
        NewPassword::Stays => false,
        NewPassword::Goes => sql::remove_credential(tx, shop, &after.id).await?,
        NewPassword::Becomes(Secret { digest, .. }) => {
            sql::set_credential(tx, shop, &after.id, digest, *now).await?;
            secret::keep(tx, caller, *now, &after.id, digest).await?;
            true
        }
    };
    // There may have been no password to remove, and others may have granted the same groups.
    if after == *before && !sets_or_takes {
        return unchanged(tx, caller, before, *now).await;
    }
    let language = Some(settings.language());
    write::store(tx, caller, language, before, &mut after, *now).await?;
    Ok(convert::message(&after))
}

/// Ends an update that changes nothing, without a new version.
async fn unchanged(
    tx: &mut Tx,
    caller: &Caller,
    customer: &Customer,
    now: i64,
) -> Result<pb::Customer> {
    let answer = convert::message(customer);
    feed::remember(tx, caller, now, &customer.id, &answer).await?;
    Ok(answer)
}

/// Restores fields that cannot be empty, and sets fields that depend on others.
fn complete_fields(update: &Update, before: &Customer, after: &mut Customer) {
    if after.default_group.is_empty() {
        after.default_group.clone_from(&before.default_group);
    }
    // A second call with the same match must find the customer again.
    if let Target::External(pb::ExternalId { system, id }) = &update.target {
        after
            .external_ids
            .entry(system.clone())
            .or_insert_with(|| id.clone());
    }
    // The password completes the account of an invited customer.
    let invited = after.state == State::Invited && update.sent.state == 0;
    if invited && matches!(update.password, NewPassword::Becomes(_)) {
        after.state = State::Active;
    }
}

async fn check_references(
    tx: &mut Tx,
    shop: &str,
    before: &Customer,
    after: &Customer,
) -> Result<()> {
    let is_new = |was: &str, is: &str| was != is && !is.is_empty();
    if is_new(&before.title, &after.title) && !sql::title_exists(tx, shop, &after.title).await? {
        return Err(Error::invalid_field(
            "customer.title",
            "NOT_FOUND",
            "the title does not exist",
        ));
    }
    let addresses = [
        (
            "billing",
            &before.default_billing_address,
            &after.default_billing_address,
        ),
        (
            "shipping",
            &before.default_shipping_address,
            &after.default_shipping_address,
        ),
    ];
    for (purpose, was, is) in addresses {
        if is_new(was, is) && !addresses::exists(tx, shop, &after.id, is).await? {
            let field = format!("customer.default_{purpose}_address");
            let text = "the customer has no such address";
            return Err(Error::invalid_field(field, "NOT_FOUND", text));
        }
    }
    Ok(())
}
