//! The write of one cart. It finds the cart or opens one, passes the gate, changes the cart in memory, and
//! writes it once.

use std::future::ready;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tonic::Code;

use super::Service;
use crate::caller::Caller;
use crate::carts::edit::Edit;
use crate::carts::targets::{Hints, Slot, Target, cart_id};
use crate::carts::work::{self, Act, Lookup, Opening, Route, Work};
use crate::clock::Clock;
use crate::customers;
use crate::error::{Error, Result};
use crate::ids;
use crate::numbers::Sequence;
use crate::proto::pb::{self, ErrorReason};
use crate::store::{LockKey, Locks, Tx};

/// How often a call looks for its cart again after other writes moved it.
pub(super) const ATTEMPTS: usize = 8;

/// A write of one cart.
pub(super) struct Write {
    caller: Arc<Caller>,
    target: Target,
    opens: Option<Opens>,
    locks: Locks,
    validate_only: bool,
    is_silent: bool,
    notes_visit: bool,
    step: Arc<dyn Step>,
}

/// The part of a write that is specific to a call. It changes the cart in the write's transaction, and runs
/// again whenever the transaction does.
pub(super) trait Step: Send + Sync + 'static {
    /// Looks for an answer that does not depend on the cart.
    fn answer<'t>(
        &'t self,
        _tx: &'t mut Tx,
        _at: At<'t>,
    ) -> Option<BoxFuture<'t, Result<Option<pb::Cart>>>> {
        None
    }

    /// Passes the gate and changes the cart.
    fn apply<'t>(
        &'t self,
        tx: &'t mut Tx,
        work: &'t mut Work,
        at: At<'t>,
    ) -> BoxFuture<'t, Result<End>>;
}

/// The context of a write: its caller, its time, and the way to its cart.
#[derive(Clone, Copy)]
pub(super) struct At<'t> {
    pub(super) caller: &'t Caller,
    pub(super) now: i64,
    pub(super) route: &'t Route,
    pub(super) hints: &'t Hints,
}

/// The rest of a write after its step.
pub(super) enum End {
    /// Price the cart, and write it if it has changed.
    Settle,
    /// Write the cart.
    Save,
    /// Write nothing; this is the answer.
    Done(Box<pb::Cart>),
}

/// A step that needs nothing but the cart, as most do.
struct Change<F> {
    act: Act,
    etag: String,
    apply: F,
}

impl<F> Step for Change<F>
where
    F: Fn(&mut Work, &Caller, i64) -> Result<()> + Send + Sync + 'static,
{
    fn apply<'t>(
        &'t self,
        _: &'t mut Tx,
        work: &'t mut Work,
        at: At<'t>,
    ) -> BoxFuture<'t, Result<End>> {
        let mut change = || {
            work.admit(at.caller, at.now, self.act)?;
            work.check_etag(&self.etag)?;
            (self.apply)(work, at.caller, at.now)?;
            Ok(End::Settle)
        };
        ready(change()).boxed()
    }
}

impl Write {
    /// A write of the target cart.
    pub(super) fn of(caller: Arc<Caller>, target: Target, step: impl Step) -> Self {
        Self {
            caller,
            target,
            opens: None,
            locks: Locks::none(),
            validate_only: false,
            is_silent: false,
            notes_visit: false,
            step: Arc::new(step),
        }
    }

    /// A write that changes the cart in memory, if its etag matches. An empty etag matches any version.
    pub(super) fn new(
        caller: Arc<Caller>,
        target: Target,
        act: Act,
        etag: String,
        apply: impl Fn(&mut Work, &Caller, i64) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let write = Self::of(caller, target, Change { act, etag, apply });
        match act {
            Act::Edit | Act::Price => write.of_shopper(),
            _ => write,
        }
    }

    /// A write that edits the content of the cart.
    pub(super) fn edit(
        caller: Arc<Caller>,
        target: Target,
        act: Act,
        etag: String,
        apply: impl Fn(&mut Edit<'_>) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::new(caller, target, act, etag, move |work, caller, now| {
            work.edit(caller, now, |edit| apply(edit))
        })
    }

    /// Lets the write open a cart if there is none.
    pub(super) fn opening(self, storefront: String, currency: String) -> Self {
        let opens = Some(Opens {
            storefront,
            currency,
        });
        Self { opens, ..self }
    }

    /// Adds a lock to the write.
    pub(super) fn locking(self, lock: LockKey) -> Self {
        let locks = self.locks.and(lock);
        Self { locks, ..self }
    }

    /// With `validate_only` the write checks everything and changes nothing.
    pub(super) fn trying(self, validate_only: bool) -> Self {
        Self {
            validate_only,
            ..self
        }
    }

    /// Makes the answer empty: a repeated request need not find the cart again.
    pub(super) fn silent(self) -> Self {
        Self {
            is_silent: true,
            ..self
        }
    }

    /// Counts the write as a visit of the shopper.
    pub(super) fn of_shopper(self) -> Self {
        Self {
            notes_visit: true,
            ..self
        }
    }
}

/// The parameters of a cart that is opened if there is none.
#[derive(Clone)]
pub(super) struct Opens {
    pub(super) storefront: String,
    pub(super) currency: String,
}

/// The result of one attempt.
enum Outcome {
    Done(Box<pb::Cart>),
    /// The hint was wrong.
    StaleHint(Slot),
    /// The number of the new cart is in use.
    NumberTaken,
}

struct Attempt {
    caller: Arc<Caller>,
    route: Route,
    validate_only: bool,
    is_silent: bool,
    step: Arc<dyn Step>,
    clock: Clock,
    hints: Hints,
}

impl Service {
    /// Runs a write.
    pub(super) async fn run(&self, write: Write) -> Result<pb::Cart> {
        let Write {
            caller,
            target,
            opens,
            locks,
            validate_only,
            is_silent,
            notes_visit,
            step,
        } = write;
        for _ in 0..ATTEMPTS {
            let route = self.route(&caller, &target, opens.as_ref()).await?;
            let locks = route.locks(&caller).with(&locks);
            let attempt = Attempt {
                caller: Arc::clone(&caller),
                route,
                validate_only,
                is_silent,
                step: Arc::clone(&step),
                clock: self.store.clock().clone(),
                hints: self.hints.clone(),
            };
            let outcome = self
                .store
                .write_with(locks, attempt, |tx, attempt| once(tx, attempt).boxed());
            match outcome.await? {
                Outcome::Done(cart) => {
                    if notes_visit {
                        self.note_visit(&caller, &cart);
                    }
                    return Ok(*cart);
                }
                Outcome::StaleHint(slot) => self.hints.forget(&caller.shop, &slot),
                Outcome::NumberTaken => {}
            }
        }
        Err(moved_too_often())
    }

    /// Notes a visit of the shopper who changes the cart. Staff who change it for the shopper do not count.
    pub(super) fn note_visit(&self, caller: &Caller, cart: &pb::Cart) {
        let is_shopper = caller.roles.has(pb::Role::Storefront) && caller.actor.is_none();
        if is_shopper && !cart.customer.is_empty() {
            let customer = customers::id_of(&cart.customer);
            let now = self.store.clock().now();
            customers::visits::note(&self.store, &caller.shop, customer, now);
        }
    }

    /// The way to the cart of an edit, or to the slot where it opens one.
    pub(super) async fn route(
        &self,
        caller: &Caller,
        target: &Target,
        opens: Option<&Opens>,
    ) -> Result<Route> {
        let slot = match target {
            Target::Cart(id) => return Ok(Route::Id(id.clone())),
            Target::Slot(slot) => slot.clone(),
        };
        if let Some(id) = self.hints.get(&caller.shop, &slot) {
            return Ok(Route::Hint(slot, id));
        }
        let Some(Opens {
            storefront,
            currency,
        }) = opens.cloned()
        else {
            return Ok(Route::Open(slot));
        };
        let number = self.numbers.next(&caller.shop, Sequence::Cart).await?;
        Ok(Route::OpenOrNew(
            slot,
            Opening {
                id: ids::new_id(),
                number,
                storefront,
                currency,
            },
        ))
    }
}

/// The id in the required name of a cart.
pub(super) fn named(name: &str) -> Result<String> {
    if name.is_empty() {
        return Err(Error::invalid_field("name", "REQUIRED", "is required"));
    }
    cart_id(name)
}

/// The way to the cart of a write that opens none and uses no hint.
pub(super) fn route_to(target: Target) -> Route {
    match target {
        Target::Cart(id) => Route::Id(id),
        Target::Slot(slot) => Route::Open(slot),
    }
}

/// The refusal of a call whose cart was moved at each attempt.
pub(super) fn moved_too_often() -> Error {
    Error::new(
        Code::Aborted,
        ErrorReason::Conflict,
        "other writes moved the cart several times in a row; try again",
    )
}

async fn once(tx: &mut Tx, attempt: &Attempt) -> Result<Outcome> {
    let Attempt {
        caller,
        route,
        step,
        hints,
        ..
    } = attempt;
    let now = attempt.clock.now();
    let at = At {
        caller,
        now,
        route,
        hints,
    };
    let found = match work::find(tx, caller, route, None, now).await {
        Ok(Lookup::Replay(_)) if attempt.is_silent => return Ok(done(pb::Cart::default())),
        Ok(Lookup::Replay(replay)) => return Ok(done(work::replayed(tx, caller, &replay).await?)),
        Ok(Lookup::StaleHint) => return moved(route),
        Ok(Lookup::Work(work)) => Ok(work),
        Err(error) if error.reason() == ErrorReason::NotFound => Err(error),
        Err(error) => return Err(error),
    };
    if let Some(answer) = step.answer(tx, at)
        && let Some(answer) = answer.await?
    {
        return Ok(done(answer));
    }
    let mut work = found?;
    let end = step.apply(tx, &mut work, at).await?;
    match end {
        End::Settle => work.settle()?,
        End::Save => {}
        End::Done(answer) => return Ok(Outcome::Done(answer)),
    }
    if attempt.validate_only {
        return Ok(done(work.answer()));
    }
    if matches!(end, End::Settle) && work.is_idle() {
        return Ok(done(work.leave(tx, caller, now, work.answer()).await?));
    }
    let Some(answer) = work.save(tx, caller, now).await? else {
        return Ok(Outcome::NumberTaken);
    };
    if matches!(route, Route::Open(_) | Route::OpenOrNew(..)) && work.cart.is_open() {
        work.hint(tx, caller, hints);
    }
    Ok(done(answer))
}

fn done(answer: pb::Cart) -> Outcome {
    Outcome::Done(Box::new(answer))
}

/// The result of an attempt whose cart is not where it was last seen.
fn moved(route: &Route) -> Result<Outcome> {
    match route {
        Route::Hint(slot, _) => Ok(Outcome::StaleHint(slot.clone())),
        _ => Err(Error::internal(
            "a cart moved that was found without a hint",
        )),
    }
}
