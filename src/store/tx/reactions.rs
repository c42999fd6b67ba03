//! Reactions: the work of higher areas in the transaction of a lower one.
//!
//! An area does not know the areas above it. It announces a write as an [`Event`], and the areas above
//! register a [`Reaction`] to it. A reaction changes rows of its own area or enqueues a job.
//!
//! Invariant: the locks of a reaction are taken before the first write of the transaction, with those of the
//! write.

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
    /// The caller of the write. If an operator calls, its shop may differ from that of the row.
    pub caller: &'e Caller,
    /// The row before the write; None for a new one.
    pub before: Option<&'e R>,
    /// The row after the write; None for a deleted one.
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

/// The reaction of an area to a transaction that writes an `R`.
pub trait Reaction<R>: Send + Sync + 'static {
    /// Refuses the write, or finds the rows that the reaction will change and takes their locks with
    /// [`Tx::require_all`]. Returns the ids of those rows. It must not write.
    ///
    /// # Errors
    /// The refusal, an error of the database, or that of a missing lock, which is to be passed on.
    fn hold<'t>(
        &'t self,
        _tx: &'t mut Tx,
        _event: Event<'t, R>,
    ) -> BoxFuture<'t, Result<Vec<String>>> {
        async { Ok(Vec::new()) }.boxed()
    }

    /// Reacts, after the row and its change in the log are written. `held` is the result of
    /// [`hold`](Self::hold).
    ///
    /// # Errors
    /// An error of the database. An error rolls back the whole write.
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
    /// Adds a reaction after the others.
    pub fn add<R: 'static>(&mut self, reaction: impl Reaction<R>) {
        let reaction: Box<dyn Reaction<R>> = Box::new(reaction);
        self.0.push(Box::new(reaction));
    }

    /// Adds the reactions of `others` after these.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    fn to<R: 'static>(&self) -> impl Iterator<Item = &dyn Reaction<R>> {
        let all = self.0.iter();
        all.filter_map(|reaction| Some(&**reaction.downcast_ref::<Box<dyn Reaction<R>>>()?))
    }
}

/// The rows that the reactions to an event have found and locked, for [`Tx::react_held`].
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
                // Later reactions report their missing locks, too, so that one more run takes all.
                Err(error) if !self.state.needed.is_empty() => missing = Err(error),
                Err(error) => return Err(error),
            }
        }
        missing.map(|()| Held(held, PhantomData))
    }

    /// Runs the reactions to an event whose row and change are written. `held` is the result of
    /// [`hold`](Self::hold).
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

    /// Runs the reactions to an event whose row and change are written, without an earlier
    /// [`hold`](Self::hold). They have no locks but those of the write.
    ///
    /// # Errors
    /// The errors of [`Reaction::hold`], a missing lock among them, and of [`Reaction::react`].
    pub async fn react<R: Sync + 'static>(&mut self, event: Event<'_, R>) -> Result<()> {
        let held = self.hold(event).await?;
        self.react_held(event, &held).await
    }
}
