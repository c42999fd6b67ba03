//! The one way of a write to one cart: it finds the cart or opens one, passes the gate, changes it in memory, and
//! writes it once.

use std::sync::Arc;

use futures::FutureExt as _;
use tonic::Code;

use super::Service;
use crate::caller::Caller;
use crate::carts::edit::Edit;
use crate::carts::targets::{Hints, Slot, Target};
use crate::carts::work::{self, Act, Got, Opening, Route, Work};
use crate::clock::Clock;
use crate::customers;
use crate::error::{Error, Result};
use crate::ids;
use crate::numbers::Sequence;
use crate::proto::pb::{self, ErrorReason};
use crate::store::Tx;

/// How often a call looks for its cart again after others moved it.
pub(super) const ATTEMPTS: usize = 8;

/// What a write does to a cart at a moment; run again whenever the write is.
type Apply = Arc<dyn Fn(&mut Work, &Caller, i64) -> Result<()> + Send + Sync>;

/// A write of one cart.
pub(super) struct Write {
    caller: Arc<Caller>,
    target: Target,
    opens: Option<Opens>,
    etag: String,
    validate_only: bool,
    cancels: bool,
    act: Act,
    apply: Apply,
}

/// How a cart is opened if there is none.
#[derive(Clone)]
pub(super) struct Opens {
    pub(super) storefront: String,
    pub(super) currency: String,
}

impl Write {
    /// A write of the cart that is meant, if its etag is this one; an empty one is that of any version.
    pub(super) fn new(
        caller: Arc<Caller>,
        target: Target,
        act: Act,
        etag: String,
        apply: impl Fn(&mut Work, &Caller, i64) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            caller,
            target,
            opens: None,
            etag,
            validate_only: false,
            cancels: false,
            act,
            apply: Arc::new(apply),
        }
    }

    /// A write that edits what the cart holds.
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

    /// The same write, which opens a cart if there is none.
    pub(super) fn opening(self, storefront: String, currency: String) -> Self {
        let opens = Some(Opens {
            storefront,
            currency,
        });
        Self { opens, ..self }
    }

    /// The same write; `validate_only` checks everything and changes nothing.
    pub(super) fn trying(self, validate_only: bool) -> Self {
        Self {
            validate_only,
            ..self
        }
    }

    /// The same write, of several steps of which one may undo another.
    pub(super) fn of_steps(self, steps: usize) -> Self {
        let cancels = steps > 1;
        Self { cancels, ..self }
    }
}

/// How one attempt ended.
enum Outcome {
    Done(Box<pb::Cart>),
    /// The hint was wrong.
    Moved(Slot),
    /// The number of the new cart is in use.
    NumberTaken,
}

struct Attempt {
    caller: Arc<Caller>,
    route: Route,
    etag: String,
    validate_only: bool,
    cancels: bool,
    act: Act,
    apply: Apply,
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
            etag,
            validate_only,
            cancels,
            act,
            apply,
        } = write;
        for _ in 0..ATTEMPTS {
            let route = self.route(&caller, &target, opens.as_ref()).await?;
            let locks = route.locks(&caller);
            let attempt = Attempt {
                caller: Arc::clone(&caller),
                route,
                etag: etag.clone(),
                validate_only,
                cancels,
                act,
                apply: Arc::clone(&apply),
                clock: self.store.clock().clone(),
                hints: self.hints.clone(),
            };
            let outcome = self
                .store
                .write_with(locks, attempt, |tx, attempt| once(tx, attempt).boxed());
            match outcome.await? {
                Outcome::Done(cart) => {
                    if matches!(act, Act::Edit | Act::Price) {
                        self.note_visit(&caller, &cart);
                    }
                    return Ok(*cart);
                }
                Outcome::Moved(slot) => self.hints.forget(&caller.shop, &slot),
                Outcome::NumberTaken => {}
            }
        }
        Err(moved_too_often())
    }

    /// A shopper who changes a cart is there; staff who does it for one is not the shopper.
    pub(super) fn note_visit(&self, caller: &Caller, cart: &pb::Cart) {
        let is_shopper = caller.roles.has(pb::Role::Storefront) && caller.actor.is_none();
        if is_shopper && !cart.customer.is_empty() {
            let customer = customers::id_of(&cart.customer);
            let now = self.store.clock().now();
            customers::visits::note(&self.store, &caller.shop, customer, now);
        }
    }

    /// How an edit finds its cart, or where it opens one.
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

/// Others moved the cart as often as it is looked for.
pub(super) fn moved_too_often() -> Error {
    Error::new(
        Code::Aborted,
        ErrorReason::Conflict,
        "other writes moved the cart several times in a row",
    )
}

async fn once(tx: &mut Tx, attempt: &Attempt) -> Result<Outcome> {
    let Attempt {
        caller,
        route,
        etag,
        validate_only,
        cancels,
        act,
        apply,
        clock,
        hints,
    } = attempt;
    let now = clock.now();
    let mut work = match work::find(tx, caller, route, None, now).await? {
        Got::Replay(replay) => {
            let answer = work::replayed(tx, caller, &replay).await?;
            return Ok(Outcome::Done(Box::new(answer)));
        }
        Got::Moved => {
            return match route {
                Route::Hint(slot, _) => Ok(Outcome::Moved(slot.clone())),
                _ => Err(Error::internal(
                    "a cart moved that was found without a hint",
                )),
            };
        }
        Got::Work(work) => work,
    };
    work.admit(caller, now, *act)?;
    work.check_etag(etag)?;
    let (before, met) = (cancels.then(|| work.cart.clone()), work.causes.len());
    apply(&mut work, caller, now)?;
    if before.is_some_and(|before| before == work.cart) {
        work.causes.truncate(met);
    }
    work.settle()?;
    if *validate_only {
        return Ok(Outcome::Done(Box::new(work.answer())));
    }
    if work.is_idle() {
        let answer = work.leave(tx, caller, now, work.answer()).await?;
        return Ok(Outcome::Done(Box::new(answer)));
    }
    let Some(answer) = work.save(tx, caller, now).await? else {
        return Ok(Outcome::NumberTaken);
    };
    if !matches!(route, Route::Id(_) | Route::Hint(..)) {
        work.hint(tx, caller, hints);
    }
    Ok(Outcome::Done(Box::new(answer)))
}
