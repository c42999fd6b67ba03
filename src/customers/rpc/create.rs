//! CreateCustomer.

use futures::FutureExt as _;
use tonic::Code;
use zeroize::Zeroizing;

use super::{
    Service,
    secret::{self, Secret},
};
use crate::{
    caller::Caller,
    customers::{
        Registration, addresses, convert,
        derived::day,
        model::{Address, Customer, Kind, State},
        sql,
        write::{self, Number, Unique},
    },
    error::{Error, Result},
    feed, groups, ids,
    numbers::Sequence,
    passwords::Password,
    proto::pb::{self, ErrorReason},
    resource,
    shops::{self, Settings},
    store::{Event, LockKey, Locks, Tx},
};

/// A customer to be created.
#[derive(Clone)]
pub(super) struct Creation {
    pub(super) caller: Caller,
    pub(super) customer: Customer,
    pub(super) addresses: Vec<Address>,
    /// The groups in the form of the request.
    groups: Vec<String>,
    /// The state that the caller chose, if any.
    state: Option<State>,
    pub(super) number: Number,
    /// The password to store.
    pub(super) secret: Option<Secret>,
    /// The token of the visitor who becomes the customer; empty if there is none.
    visitor: String,
    now: i64,
}

/// The result of one attempt.
pub(super) enum Outcome {
    /// The answer.
    Made(Box<pb::Customer>),
    /// The allocated number is in use.
    DrawAgain,
    /// An earlier call with the request id was found, and its password has not been compared yet.
    Compare,
}

impl Service {
    pub(super) async fn create(
        &self,
        caller: Caller,
        request: pb::CreateCustomerRequest,
    ) -> Result<pb::Customer> {
        let pb::CreateCustomerRequest {
            customer,
            customer_id,
            addresses,
            visitor,
            validate_only,
            ..
        } = request;
        let now = self.store.clock().now();
        let id = if customer_id.is_empty() {
            ids::new_id()
        } else {
            customer_id
        };
        let addresses = addresses::new_addresses(&id, &addresses, now);
        let mut customer = customer.unwrap_or_default();
        let password = customer.password.take().map(Zeroizing::new);
        let creation = self.prepare(caller, id, customer, password.as_ref(), addresses, now);
        let mut creation = creation.await?;
        creation.visitor = visitor;
        self.make(creation, password.as_ref(), validate_only).await
    }

    /// Reads the request and hashes the password.
    pub(super) async fn prepare(
        &self,
        caller: Caller,
        id: String,
        mut sent: pb::Customer,
        password: Option<&Password>,
        addresses: Vec<Address>,
        now: i64,
    ) -> Result<Creation> {
        let mut customer = Customer {
            id,
            create_time: now,
            ..Customer::default()
        };
        // There are no addresses yet to refer to; the first one becomes the default.
        sent.default_billing_address.clear();
        sent.default_shipping_address.clear();
        let violations = convert::apply(
            &mut customer,
            &sent,
            &crate::mask::writable::<pb::Customer>(),
            now,
        );
        if !violations.is_empty() {
            return Err(Error::invalid(violations));
        }
        let number = if customer.number.is_empty() {
            Number::Drawn
        } else {
            Number::Chosen
        };
        if let Some(first) = addresses.first() {
            let (_, id) = addresses::ids_in(&first.id);
            id.clone_into(&mut customer.default_billing_address);
            id.clone_into(&mut customer.default_shipping_address);
        }
        customer.email_claim = convert::claim(&customer);
        let secret = match password {
            Some(password) => Some(self.secret(&caller, password).await?),
            None => None,
        };
        let state = State::of(sent.state);
        Ok(Creation {
            caller,
            customer,
            addresses,
            groups: sent.groups,
            state,
            number,
            secret,
            visitor: String::new(),
            now,
        })
    }

    /// Creates the customer, and allocates numbers until one is free.
    async fn make(
        &self,
        mut creation: Creation,
        password: Option<&Password>,
        validate_only: bool,
    ) -> Result<pb::Customer> {
        let caller = creation.caller.clone();
        loop {
            // A dry run uses up no number, and its answer has none.
            if creation.number == Number::Drawn && !validate_only {
                let number = self.numbers.next(&caller.shop, Sequence::Customer).await?;
                creation.customer.number = number;
            }
            let locks = creation.locks();
            let data = creation.clone();
            let outcome = if validate_only {
                self.store
                    .dry_run(locks, data, |tx, creation| run(tx, creation).boxed())
                    .await
            } else {
                self.store
                    .write_with(locks, data, |tx, creation| run(tx, creation).boxed())
                    .await
            };
            match outcome? {
                Outcome::Made(customer) => return self.finish(&caller, *customer).await,
                Outcome::DrawAgain => {}
                Outcome::Compare => {
                    if let (Some(password), Some(secret)) = (password, &mut creation.secret) {
                        self.compare(&caller, password).await?;
                        secret.compared = true;
                    }
                }
            }
        }
    }
}

impl Creation {
    fn locks(&self) -> Locks {
        let mut locks = feed::locks(&self.caller);
        self.lock_keys()
            .into_iter()
            .for_each(|key| locks.insert(key));
        locks
    }

    /// The locks of the customer and of its unique values.
    pub(super) fn lock_keys(&self) -> Vec<LockKey> {
        let shop = &*self.caller.shop;
        let mut keys = write::unique_locks(shop, None, &self.customer);
        keys.push(write::lock(shop, &self.customer.id));
        keys
    }
}

async fn run(tx: &mut Tx, creation: &Creation) -> Result<Outcome> {
    if let Some(replay) = feed::replay(tx, &creation.caller).await? {
        if creation
            .secret
            .as_ref()
            .is_some_and(|secret| !secret.compared)
        {
            return Ok(Outcome::Compare);
        }
        return super::replayed(tx, &creation.caller, &replay)
            .await
            .map(made);
    }
    match insert(tx, creation).await? {
        Some(customer) => Ok(made(convert::message(&customer))),
        None => Ok(Outcome::DrawAgain),
    }
}

pub(super) fn made(customer: pb::Customer) -> Outcome {
    Outcome::Made(Box::new(customer))
}

/// Writes a new customer and returns it; None if its allocated number is in use. The caller has the locks of
/// [`Creation::lock_keys`].
pub(super) async fn insert(tx: &mut Tx, creation: &Creation) -> Result<Option<Customer>> {
    let Creation { caller, now, .. } = creation;
    let shop = &*caller.shop;
    let mut customer = creation.customer.clone();
    let settings = shops::settings(tx, shop).await?;
    settle(caller, &settings, creation, &mut customer)?;
    write::check_groups(tx, shop, &settings, None, &customer, &creation.groups).await?;
    if !customer.title.is_empty() && !sql::title_exists(tx, shop, &customer.title).await? {
        let text = "the title does not exist";
        return Err(Error::invalid_field("customer.title", "NOT_FOUND", text));
    }
    if write::check_unique(tx, caller, None, &customer, creation.number).await? == Unique::DrawAgain
    {
        return Ok(None);
    }
    if customer.default_group.is_empty() {
        let special = write::special_group(&settings, customer.kind);
        customer.default_group = if customer.groups.iter().any(|id| id == special) {
            special.to_owned()
        } else {
            groups::memberships::default_of(tx, shop, &customer.groups).await?
        };
    }
    let registration = Registration {
        customer: customer.id.clone(),
        visitor: creation.visitor.clone(),
    };
    let registered = Event {
        caller,
        before: None,
        after: Some(&registration),
        now: *now,
    };
    // These locks are the last that are taken before the first write.
    let held = tx.hold(registered).await?;
    groups::memberships::begin(tx, shop, &customer.id, &customer.groups, caller, *now).await?;
    write::add(tx, caller, &settings, &mut customer, *now).await?;
    if let Some(Secret { digest, .. }) = &creation.secret {
        sql::set_credential(tx, shop, &customer.id, digest, *now).await?;
        secret::keep(tx, caller, *now, &customer.id, digest).await?;
    }
    for address in &creation.addresses {
        resource::insert_row(tx, caller, address, *now).await?;
    }
    tx.react_held(registered, &held).await?;
    Ok(Some(customer))
}

/// Applies the defaults of the shop's settings.
fn settle(
    caller: &Caller,
    settings: &Settings,
    creation: &Creation,
    customer: &mut Customer,
) -> Result<()> {
    let today = day(creation.now, settings.zone());
    let violations = convert::check(caller, None, customer, creation.secret.is_some(), today);
    if !violations.is_empty() {
        return Err(Error::invalid(violations));
    }
    if customer.kind == Kind::Guest && !settings.guest_checkout {
        let text = "the shop does not accept guests";
        let reason = ErrorReason::GuestCheckoutDisabled;
        return Err(Error::new(Code::FailedPrecondition, reason, text));
    }
    customer.state = match (creation.state, customer.kind) {
        (Some(state), _) => state,
        (None, Kind::Guest) => State::Active,
        (None, Kind::Registered) => {
            let state = pb::customer::State::from(settings.new_customer_state);
            State::of(state as i32).unwrap_or_default()
        }
    };
    let special = write::special_group(settings, customer.kind);
    match (customer.groups.is_empty(), customer.default_group.as_str()) {
        (true, "") => customer.groups = vec![special.to_owned()],
        (true, default) => customer.groups = vec![default.to_owned()],
        (false, "") => {}
        (false, default) if customer.groups.iter().any(|id| id == default) => {}
        (false, default) => return Err(write::default_not_member(default)),
    }
    Ok(())
}
