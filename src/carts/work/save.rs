//! The end of a write: the next version of the cart in its row, or its deletion, and the change in the log.

use prost::Message as _;

use super::{Work, cart_too_large, name_taken, topic};
use crate::caller::Caller;
use crate::carts::convert;
use crate::carts::edit::Cause;
use crate::carts::model::Abandonment;
use crate::carts::sql;
use crate::error::Result;
use crate::feed::{self, Change, LogRow};
use crate::limits::CART_BYTES_MAX;
use crate::proto::pb::{self, cart_cause};
use crate::store::Tx;

impl Work {
    /// Writes the next version of the cart and appends it to the log. None, and nothing written, if the cart
    /// is new and its number is in use by now.
    ///
    /// # Errors
    /// CART_TOO_LARGE, or an error of the database.
    pub async fn save(
        &mut self,
        tx: &mut Tx,
        caller: &Caller,
        now: i64,
    ) -> Result<Option<pb::Cart>> {
        let (change, message) = self.next_version(caller, now)?;
        let row = LogRow::new(tx, caller, now, change);
        if !self.is_new {
            sql::update(tx, &caller.shop, &self.cart, &row).await?;
        } else if sql::insert(tx, &caller.shop, &self.cart).await? {
            feed::append_row(tx, &row).await?;
        } else {
            return self.clash(tx, caller).await.map(|()| None);
        }
        Ok(Some(message))
    }

    /// Makes the next version of the cart. Returns the change to append.
    fn next_version(&mut self, caller: &Caller, now: i64) -> Result<(Change, pb::Cart)> {
        self.require_admitted(caller)?;
        let cart = &mut self.cart;
        if !cart.is_open() && cart.lock.take().is_some() {
            // There is nothing left to hold.
            self.causes.push(Cause::of_cart(cart_cause::Kind::Unlocked));
        }
        cart.version += 1;
        // Clocks of replicas differ, but a cart's own time does not go back.
        cart.update_time = now.max(cart.update_time);
        if !caller.is_system() {
            self.note_recovery();
        }
        let cart = &self.cart;
        let message = convert::message(cart);
        if message.encoded_len() > CART_BYTES_MAX {
            return Err(cart_too_large());
        }
        let change = Change::upserted(crate::carts::KIND, cart.id.clone(), cart.version, &message)
            .because(&self.cause_messages(caller, now));
        let present = topic(cart);
        let before = std::mem::replace(&mut self.topic, present);
        let left = before.filter(|before| self.topic.as_ref() != Some(before));
        Ok((change.leaving(left), message))
    }

    /// Notes that somebody changed the cart, which recovers an abandoned one. A caller whose write only
    /// included updates of the service changed nothing. Staff who only take or release a hold do not recover
    /// the cart. A write without a cause is that of a shopper who used a recovery link.
    fn note_recovery(&mut self) {
        let cart = &mut self.cart;
        let causes = &self.causes;
        if !causes.is_empty() && causes.iter().all(Cause::is_of_service) {
            return;
        }
        cart.activity_time = cart.update_time;
        let is_apart = |cause: &Cause| cause.is_of_service() || cause.is_of_lock();
        let only_held = !causes.is_empty() && causes.iter().all(is_apart);
        if cart.abandonment != Abandonment::Abandoned || only_held {
            return;
        }
        cart.abandonment = Abandonment::Recovered;
        cart.recover_time = Some(cart.update_time);
        // First, because a change has room for a limited number of causes.
        let recovered = Cause::of_cart(cart_cause::Kind::Recovered);
        self.causes.insert(0, recovered);
    }

    /// Deletes the cart. Returns the change to append.
    ///
    /// # Errors
    /// An error of the database.
    pub async fn remove(&mut self, tx: &mut Tx, caller: &Caller, now: i64) -> Result<Change> {
        self.require_admitted(caller)?;
        self.cart.version += 1;
        sql::delete(tx, &caller.shop, &self.cart, now).await?;
        let change = Change::deleted(crate::carts::KIND, self.cart.id.clone(), self.cart.version);
        Ok(change
            .because(&self.cause_messages(caller, now))
            .leaving(self.topic.take()))
    }

    /// The causes as messages of the feed.
    fn cause_messages(&self, caller: &Caller, now: i64) -> Vec<pb::CartCause> {
        let name = self.cart.name();
        let actor = caller.actor.as_deref().unwrap_or_default();
        self.causes
            .iter()
            .map(|cause| {
                // A lease expires by itself, whoever notices it.
                let by_itself = cause.kind == cart_cause::Kind::LockExpired;
                convert::cause(&name, cause, if by_itself { "" } else { actor }, now)
            })
            .collect()
    }

    /// Finds out why a new cart could not be inserted. `Ok` if its number is in use.
    async fn clash(&self, tx: &mut Tx, caller: &Caller) -> Result<()> {
        if sql::exists(tx, &caller.shop, &self.cart.id).await? {
            return Err(name_taken(&self.cart.id));
        }
        match sql::by_number(tx, &caller.shop, &self.cart.number).await? {
            Some(_) => Ok(()),
            None => Err(tx.run_again()),
        }
    }
}
