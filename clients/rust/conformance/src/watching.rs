//! A watch in the background, with its events.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clientela_client::{
    Client, Error, Event, Figures, Watch,
    v1::{Cart, CartChange, CartFigures, ChangeKind, ListCartsRequest},
};
use futures::StreamExt as _;
use serde_json::Value;
use tokio::time::Instant;

use crate::{PATIENCE, Why, call::json, expect, matches, matches_error};

#[derive(Default)]
struct Told {
    fold: BTreeMap<String, Cart>,
    versions: BTreeMap<String, i64>,
    resets: BTreeSet<&'static str>,
    ready: bool,
    was_ready: bool,
    changes: u64,
    doubles: u64,
    figures: Option<CartFigures>,
    ended: Option<Error>,
}

pub struct Watching(Arc<Mutex<Told>>);

impl Watching {
    pub fn new(mut watch: Watch<CartChange>) -> Self {
        let told = Arc::<Mutex<Told>>::default();
        let noting = Arc::clone(&told);
        tokio::spawn(async move {
            while let Some(event) = watch.next().await {
                lock(&noting).note(event);
            }
        });
        Self(told)
    }

    pub fn figures(mut figures: Figures) -> Self {
        let told = Arc::<Mutex<Told>>::default();
        let noting = Arc::clone(&told);
        tokio::spawn(async move {
            while let Some(figures) = figures.next().await {
                let mut told = lock(&noting);
                match figures {
                    Ok(figures) => told.figures = Some(figures),
                    Err(error) => told.ended = Some(error),
                }
            }
        });
        Self(told)
    }

    /// Waits until the watch is as expected.
    pub async fn wait(&self, expected: &Value, client: &Client) -> Result<(), Why> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let listed = match expected["state"] {
                Value::Null => None,
                _ => Some(list(client).await.map_err(|error| error.to_string())?),
            };
            match lock(&self.0).missing(expected, listed.as_ref())? {
                None => return Ok(()),
                Some(missing) => expect(Instant::now() < deadline, || missing)?,
            }
            // The list may change before the watch does.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Told {
    fn note(&mut self, event: Result<Event<CartChange>, Error>) {
        match event {
            Ok(Event::Reset(cause)) => {
                self.fold.clear();
                self.versions.clear();
                self.ready = false;
                self.resets.insert(cause.as_str_name());
            }
            Ok(Event::Ready { .. }) => {
                self.ready = true;
                self.was_ready = true;
            }
            Ok(Event::Changed(change)) => {
                self.changes += u64::from(self.was_ready);
                let known = self.versions.insert(change.name.clone(), change.version);
                self.doubles += u64::from(known.is_some_and(|known| change.version <= known));
                match (change.kind(), change.cart) {
                    (ChangeKind::Upserted, Some(cart)) => self.fold.insert(change.name, cart),
                    _ => self.fold.remove(&change.name),
                };
            }
            Err(error) => self.ended = Some(error),
        }
    }

    /// Describes how the watch differs from the expectation.
    fn missing(
        &self,
        expected: &Value,
        listed: Option<&BTreeMap<String, Cart>>,
    ) -> Result<Option<Why>, Why> {
        match (&self.ended, &expected["ended"]) {
            (None, Value::Null) => {}
            (None, _) => return Ok(Some("the watch has not ended".to_owned())),
            (Some(error), Value::Null) => return Err(format!("the watch has ended: {error:?}")),
            (Some(error), ended) => matches_error(ended, error)?,
        }
        if !expected["figures"].is_null() {
            let Some(figures) = &self.figures else {
                return Ok(Some("there are no figures".to_owned()));
            };
            let figures = json("CartFigures", figures)?;
            return Ok(matches(&expected["figures"], &figures, "figures").err());
        }
        for cart in self.fold.values().filter(|_| !expected["cart"].is_null()) {
            if let Err(why) = matches(&expected["cart"], &json("Cart", cart)?, "cart") {
                return Ok(Some(why));
            }
        }
        let known = expected["known"].as_u64();
        if (known.is_some() || listed.is_some()) && !self.ready {
            return Ok(Some("the snapshot is not whole".to_owned()));
        }
        if listed.is_some_and(|listed| *listed != self.fold)
            || known.is_some_and(|known| known != self.fold.len() as u64)
        {
            return Ok(Some(format!(
                "the fold of {} carts is not as expected",
                self.fold.len()
            )));
        }
        if expected["changes"]
            .as_u64()
            .is_some_and(|changes| self.changes < changes)
        {
            return Ok(Some(format!("{} changes have come", self.changes)));
        }
        if expected["reset"]
            .as_str()
            .is_some_and(|reset| !self.resets.contains(reset))
        {
            return Ok(Some(format!("there were resets for {:?}", self.resets)));
        }
        let doubles = expected["doubles"].as_u64();
        expect(
            doubles.is_none_or(|doubles| doubles == self.doubles),
            || format!("{} came twice", self.doubles),
        )?;
        Ok(None)
    }
}

async fn list(client: &Client) -> Result<BTreeMap<String, Cart>, Error> {
    let mut listed = BTreeMap::new();
    let mut carts = Box::pin(client.all(ListCartsRequest::default()));
    while let Some(cart) = carts.next().await {
        let cart = cart?;
        listed.insert(cart.name.clone(), cart);
    }
    Ok(listed)
}
