//! Reactions: what higher areas do in the transaction of a lower one.
//!
//! An area does not know the areas above it. It says what it writes, as an [`Event`], and the areas above register
//! what they do then, as a [`Reaction`]. A reaction changes rows of its own area or enqueues a job.
//!
//! Invariant: the locks of a reaction are taken before the first write of the transaction, with those of the write.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::Tx;
use crate::caller::Caller;
use crate::error::Result;

/// An `R` that the transaction makes, changes or deletes.
pub struct Event<'e, R> {
    /// The caller of the write. Its shop may be another one than that of the row, where an operator calls.
    pub caller: &'e Caller,
    /// The row as it was; None for a new one.
    pub before: Option<&'e R>,
    /// The row as it becomes; None for one that goes.
    pub after: Option<&'e R>,
    /// The time of the write, in microseconds.
    pub now: i64,
}

impl<R> Copy for Event<'_, R> {}

impl<R> Clone for Event<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

/// What an area does when a transaction writes an `R`.
pub trait Reaction<R>: Send + Sync + 'static {
    /// Refuses the write, or finds the rows that the reaction will change and takes their locks with
    /// [`Tx::require_all`]. Returns the ids of those rows. It must not write.
    ///
    /// # Errors
    /// Those of the refusal, the database's, and that of a missing lock, which is to be passed on.
    fn hold<'t>(
        &'t self,
        _tx: &'t mut Tx,
        _event: Event<'t, R>,
    ) -> BoxFuture<'t, Result<Vec<String>>> {
        async { Ok(Vec::new()) }.boxed()
    }

    /// Reacts, after the row and its change in the log are written. `held` is what [`hold`](Self::hold) returned.
    ///
    /// # Errors
    /// The database's. An error takes the whole write back.
    fn react<'t>(
        &'t self,
        tx: &'t mut Tx,
        event: Event<'t, R>,
        held: &'t [String],
    ) -> BoxFuture<'t, Result<()>>;
}

/// The reactions of all areas, in the order in which they run. The default has none.
#[derive(Default)]
pub struct Reactions(Vec<Box<dyn Any + Send + Sync>>);

impl Reactions {
    /// Adds a reaction, behind the others.
    pub fn add<R: 'static>(&mut self, reaction: impl Reaction<R>) {
        let reaction: Box<dyn Reaction<R>> = Box::new(reaction);
        self.0.push(Box::new(reaction));
    }

    /// Adds the reactions of `others`, behind these.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    fn to<R: 'static>(&self) -> impl Iterator<Item = &dyn Reaction<R>> {
        let all = self.0.iter();
        all.filter_map(|reaction| Some(&**reaction.downcast_ref::<Box<dyn Reaction<R>>>()?))
    }
}

/// What the reactions to an event have found and locked, for [`Tx::react_held`].
pub struct Held<R>(Vec<Vec<String>>, PhantomData<fn(R)>);

impl Tx {
    /// Lets the reactions to an event take their locks, before the transaction writes anything.
    ///
    /// # Errors
    /// Those of [`Reaction::hold`].
    pub async fn hold<R: Sync + 'static>(&mut self, event: Event<'_, R>) -> Result<Held<R>> {
        let reactions = Arc::clone(&self.reactions);
        let (mut held, mut missing) = (Vec::new(), Ok(()));
        for reaction in reactions.to::<R>() {
            match reaction.hold(self, event).await {
                Ok(ids) => held.push(ids),
                // The reactions behind it say what they miss, too: one new start then takes all locks.
                Err(error) if !self.state.needed.is_empty() => missing = Err(error),
                Err(error) => return Err(error),
            }
        }
        missing.map(|()| Held(held, PhantomData))
    }

    /// Runs the reactions to an event whose row and change are written, with what they hold.
    ///
    /// # Errors
    /// Those of [`Reaction::react`].
    pub async fn react_held<R: Sync + 'static>(
        &mut self,
        event: Event<'_, R>,
        held: &Held<R>,
    ) -> Result<()> {
        let reactions = Arc::clone(&self.reactions);
        for (reaction, ids) in reactions.to::<R>().zip(&held.0) {
            reaction.react(self, event, ids).await?;
        }
        Ok(())
    }

    /// Runs the reactions to an event whose row and change are written, and that none of them prepared for: they have
    /// no locks but those of the write.
    ///
    /// # Errors
    /// Those of [`Reaction::hold`], a missing lock among them, and of [`Reaction::react`].
    pub async fn react<R: Sync + 'static>(&mut self, event: Event<'_, R>) -> Result<()> {
        let held = self.hold(event).await?;
        self.react_held(event, &held).await
    }
}
