//! Tests of the reactions of areas to writes of others.

use super::*;
use crate::caller::Caller;

struct Counter(&'static str);

/// Adds to a counter of its own, under the lock of that counter.
struct Follow(&'static str);

impl Reaction<Counter> for Follow {
    fn hold<'t>(
        &'t self,
        tx: &'t mut Tx,
        _event: Event<'t, Counter>,
    ) -> BoxFuture<'t, Result<Vec<String>>> {
        async move {
            tx.require_all([LockKey::of("counter", "s", self.0)])?;
            Ok(vec![self.0.to_owned()])
        }
        .boxed()
    }

    fn react<'t>(
        &'t self,
        tx: &'t mut Tx,
        _event: Event<'t, Counter>,
        held: &'t [String],
    ) -> BoxFuture<'t, Result<()>> {
        async move {
            for name in held {
                assert!(tx.holds(LockKey::of("counter", "s", name)));
                increment(tx, name).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// Refuses the write.
struct Refuse;

impl Reaction<Counter> for Refuse {
    fn react<'t>(
        &'t self,
        _tx: &'t mut Tx,
        _event: Event<'t, Counter>,
        _held: &'t [String],
    ) -> BoxFuture<'t, Result<()>> {
        async { Err(refusal()) }.boxed()
    }
}

/// Whether the reactions may take locks before the write.
#[derive(Clone, Copy, PartialEq)]
enum Prepared {
    Yes,
    No,
}

/// Adds to a counter and runs the reactions; counts the runs.
async fn write(
    store: &Store,
    name: &'static str,
    prepared: Prepared,
    runs: &Arc<AtomicUsize>,
) -> Result<i64> {
    let caller = Caller::system("s".into(), None);
    let data = (caller, Counter(name), Arc::clone(runs));
    let locks = Locks::of("counter", "s", name);
    let write = store.write_with(locks, data, move |tx, (caller, counter, runs)| {
        async move {
            runs.fetch_add(1, Ordering::Relaxed);
            let event = Event {
                caller,
                before: None,
                after: Some(counter),
                now: 0,
            };
            if prepared == Prepared::No {
                let value = increment(tx, counter.0).await?;
                tx.react(event).await?;
                return Ok(value);
            }
            let held = tx.hold(event).await?;
            let value = increment(tx, counter.0).await?;
            tx.react_held(event, &held).await?;
            Ok(value)
        }
        .boxed()
    });
    write.await
}

#[tokio::test]
async fn reactions_take_all_their_locks_by_one_new_start_and_run_in_the_write() {
    for fixture in stores().await {
        let mut reactions = Reactions::default();
        reactions.add(Follow("one"));
        reactions.add(Follow("other"));
        let store = fixture.store.clone().reacting(reactions);
        let runs = Arc::default();

        write(&store, "written", Prepared::Yes, &runs)
            .await
            .unwrap();

        assert_eq!(runs.load(Ordering::Relaxed), 2);
        for name in ["written", "one", "other"] {
            assert_eq!(fixture.counter(name).await, Some(1), "{name}");
        }
    }
}

#[tokio::test]
async fn a_reaction_that_refuses_takes_the_write_back() {
    for fixture in stores().await {
        let mut reactions = Reactions::default();
        reactions.add(Follow("one"));
        reactions.add(Refuse);
        let store = fixture.store.clone().reacting(reactions);

        let refused = write(&store, "written", Prepared::Yes, &Arc::default()).await;

        assert_eq!(code(&refused), Some(Code::FailedPrecondition));
        for name in ["written", "one"] {
            assert_eq!(fixture.counter(name).await, None, "{name}");
        }
    }
}

#[tokio::test]
async fn a_reaction_takes_no_lock_after_a_write() {
    for fixture in stores().await {
        let mut reactions = Reactions::default();
        reactions.add(Follow("one"));
        let store = fixture.store.clone().reacting(reactions);

        let refused = write(&store, "written", Prepared::No, &Arc::default()).await;

        assert_eq!(code(&refused), Some(Code::Internal));
        assert_eq!(fixture.counter("written").await, None);
        // Under a lock that the write itself holds, it runs.
        write(&store, "one", Prepared::No, &Arc::default())
            .await
            .unwrap();
        assert_eq!(fixture.counter("one").await, Some(2));
    }
}

#[tokio::test]
async fn a_reaction_runs_only_for_its_own_events() {
    for fixture in stores().await {
        let mut reactions = Reactions::default();
        reactions.add::<Counter>(Follow("one"));
        let store = fixture.store.clone().reacting(reactions);
        let caller = Caller::system("s".into(), None);

        let write = store.write_with(Locks::none(), caller, |tx, caller| {
            async move {
                let event = Event {
                    caller,
                    before: None,
                    after: Some(&"no counter"),
                    now: 0,
                };
                tx.react(event).await
            }
            .boxed()
        });
        write.await.unwrap();

        assert_eq!(fixture.counter("one").await, None);
    }
}
