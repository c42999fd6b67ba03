//! GetCustomer, BatchGetCustomers, LookupCustomer and BatchLookupCustomers.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use futures::FutureExt as _;

use super::{Service, not_found};
use crate::{
    caller::Caller,
    customers::{
        cache::{Entry, Epochs},
        convert,
        derived::Derived,
        model::Customer,
        sql::{self, FoundRow, Key},
    },
    error::{Error, Result, Violation},
    format, groups,
    proto::pb::{self, customer_key},
    resource::page,
    store::Conn,
};

/// A customer that was found.
struct Found {
    customer: Customer,
    derived: Derived,
}

impl Found {
    fn new(row: FoundRow) -> Result<Self> {
        let customer = sql::model(row.id, row.version, &row.doc)?;
        let derived = Derived::new(row.derived, &customer.id)?;
        Ok(Self { customer, derived })
    }

    fn answer(&self, caller: &Caller, now: i64) -> pb::Customer {
        finished(caller, convert::message(&self.customer), &self.derived, now)
    }
}

fn finished(
    caller: &Caller,
    mut customer: pb::Customer,
    derived: &Derived,
    now: i64,
) -> pb::Customer {
    derived.fill(&mut customer, now);
    if !groups::sees_hidden(caller) {
        derived.hide(&mut customer);
    }
    customer
}

impl Service {
    pub(super) async fn get(&self, caller: &Caller, name: &str) -> Result<pb::Customer> {
        let now = self.store.clock().now();
        let (shop, id) = (&caller.shop, convert::id_of(name));
        let Some(cache) = &self.cache else {
            let visible = !groups::sees_hidden(caller);
            let row = self.find(shop, id, visible).await?;
            return Ok(Found::new(row.ok_or_else(not_found)?)?.answer(caller, now));
        };
        if let Some(entry) = cache.get(shop, id) {
            return Ok(finished(
                caller,
                entry.customer.clone(),
                &entry.derived,
                now,
            ));
        }
        let epochs = Epochs::now(shop, id);
        let row = self.find(shop, id, true).await?;
        let Found { customer, derived } = Found::new(row.ok_or_else(not_found)?)?;
        let entry = Arc::new(Entry {
            customer: convert::message(&customer),
            derived,
        });
        cache.keep(shop, id, epochs, Arc::clone(&entry));
        Ok(finished(
            caller,
            entry.customer.clone(),
            &entry.derived,
            now,
        ))
    }

    async fn find(&self, shop: &Arc<str>, id: &str, visible: bool) -> Result<Option<FoundRow>> {
        let (shop, id) = (Arc::clone(shop), id.to_owned());
        self.store
            .read(|conn| async move { sql::find(conn, &shop, &id, visible).await }.boxed())
            .await
    }

    pub(super) async fn batch_get(
        &self,
        caller: &Caller,
        names: Vec<String>,
    ) -> Result<pb::BatchGetCustomersResponse> {
        if names.is_empty() {
            let text = "at least one name is required";
            return Err(Error::invalid_field("names", "REQUIRED", text));
        }
        refuse_repeated(&names)?;
        let ids: Vec<String> = names
            .iter()
            .map(|name| convert::id_of(name).to_owned())
            .collect();
        let visible = !groups::sees_hidden(caller);
        let (shop, wanted) = (Arc::clone(&caller.shop), ids.clone());
        let rows = self
            .store
            .read(|conn| {
                async move { sql::find_all(conn, &shop, Key::Ids(&wanted), visible).await }.boxed()
            })
            .await?;
        let mut found = by_id(rows)?;
        let now = self.store.clock().now();
        let customers = ids
            .iter()
            .map(|id| Ok(found.remove(id).ok_or_else(not_found)?.answer(caller, now)))
            .collect::<Result<_>>()?;
        page::fits(pb::BatchGetCustomersResponse { customers })
    }

    pub(super) async fn lookup(
        &self,
        caller: &Caller,
        key: Option<pb::CustomerKey>,
    ) -> Result<pb::Customer> {
        let keys = [key.unwrap_or_default()];
        let mut found = self.look_up(caller, &keys, "key").await?;
        found.pop().flatten().ok_or_else(not_found)
    }

    pub(super) async fn batch_lookup(
        &self,
        caller: &Caller,
        keys: Vec<pb::CustomerKey>,
    ) -> Result<pb::BatchLookupCustomersResponse> {
        if keys.is_empty() {
            let text = "at least one key is required";
            return Err(Error::invalid_field("keys", "REQUIRED", text));
        }
        let found = self.look_up(caller, &keys, "keys").await?;
        let result = |customer| pb::batch_lookup_customers_response::Result { customer };
        let results = found.into_iter().map(result).collect();
        page::fits(pb::BatchLookupCustomersResponse { results })
    }

    /// Finds the customer of each key. `field` is the path of the keys in the request.
    async fn look_up(
        &self,
        caller: &Caller,
        keys: &[pb::CustomerKey],
        field: &str,
    ) -> Result<Vec<Option<pb::Customer>>> {
        let wanted = Wanted::of(keys, field)?;
        let visible = !groups::sees_hidden(caller);
        let shop = Arc::clone(&caller.shop);
        // A single key needs one statement, and so no transaction for a consistent result.
        let is_single = keys.len() == 1 && wanted.external_ids.is_empty();
        let rows = if is_single {
            let read = self.store.read(|conn| {
                async move { find_wanted(conn, &shop, &wanted, visible).await }.boxed()
            });
            read.await?
        } else {
            let read = self.store.snapshot(|conn| {
                async move { find_wanted(conn, &shop, &wanted, visible).await }.boxed()
            });
            read.await?
        };
        let found = by_id(rows)?;
        let index = Index::new(found.values());
        let now = self.store.clock().now();
        let answer = |key: &pb::CustomerKey| {
            let id = index.find(key.key.as_ref()?)?;
            Some(found.get(id)?.answer(caller, now))
        };
        Ok(keys.iter().map(answer).collect())
    }
}

fn refuse_repeated(names: &[String]) -> Result<()> {
    let mut seen = HashSet::new();
    let repeated = names
        .iter()
        .enumerate()
        .filter(|(_, name)| !seen.insert(name.as_str()));
    let violations: Vec<Violation> = repeated
        .map(|(index, _)| {
            Violation::new(
                format!("names[{index}]"),
                "DUPLICATE",
                "the name occurs twice",
            )
        })
        .collect();
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Error::invalid(violations))
    }
}

fn by_id(rows: Vec<FoundRow>) -> Result<HashMap<String, Found>> {
    rows.into_iter()
        .map(|row| {
            let found = Found::new(row)?;
            Ok((found.customer.id.clone(), found))
        })
        .collect()
}

/// The requested keys, by kind.
#[derive(Default)]
struct Wanted {
    claims: Vec<String>,
    numbers: Vec<String>,
    external_ids: BTreeMap<String, Vec<String>>,
}

impl Wanted {
    fn of(keys: &[pb::CustomerKey], field: &str) -> Result<Self> {
        let mut wanted = Self::default();
        let mut violations = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            match &key.key {
                // No customer has an invalid address.
                Some(customer_key::Key::Email(email)) => {
                    wanted.claims.extend(format::email_claim(email));
                }
                Some(customer_key::Key::Number(number)) => wanted.numbers.push(number.clone()),
                Some(customer_key::Key::ExternalId(external)) => {
                    let ids = wanted
                        .external_ids
                        .entry(external.system.clone())
                        .or_default();
                    ids.push(external.id.clone());
                }
                None => {
                    let field = if field == "key" {
                        "key".to_owned()
                    } else {
                        format!("{field}[{index}]")
                    };
                    violations.push(Violation::new(field, "REQUIRED", "a key is required"));
                }
            }
        }
        if violations.is_empty() {
            Ok(wanted)
        } else {
            Err(Error::invalid(violations))
        }
    }
}

async fn find_wanted(
    conn: &mut Conn,
    shop: &str,
    wanted: &Wanted,
    visible: bool,
) -> Result<Vec<FoundRow>> {
    let mut rows = Vec::new();
    if !wanted.claims.is_empty() {
        rows.extend(sql::find_all(conn, shop, Key::Claims(&wanted.claims), visible).await?);
    }
    if !wanted.numbers.is_empty() {
        rows.extend(sql::find_all(conn, shop, Key::Numbers(&wanted.numbers), visible).await?);
    }
    let mut ids = Vec::new();
    for (system, external_ids) in &wanted.external_ids {
        ids.extend(sql::external_holders(conn, shop, system, external_ids).await?);
    }
    if !ids.is_empty() {
        rows.extend(sql::find_all(conn, shop, Key::Ids(&ids), visible).await?);
    }
    Ok(rows)
}

/// The ids of the found customers by their keys.
struct Index<'a> {
    claims: HashMap<&'a str, &'a str>,
    numbers: HashMap<&'a str, &'a str>,
    external_ids: HashMap<(&'a str, &'a str), &'a str>,
}

impl<'a> Index<'a> {
    fn new(found: impl Iterator<Item = &'a Found> + Clone) -> Self {
        let customers = found.map(|found| &found.customer);
        let living = customers.clone().filter(|customer| !customer.is_deleted());
        Self {
            claims: living
                .filter_map(|customer| Some((customer.email_claim.as_deref()?, &*customer.id)))
                .collect(),
            numbers: customers
                .clone()
                .map(|customer| (&*customer.number, &*customer.id))
                .collect(),
            external_ids: customers
                .flat_map(|customer| {
                    let pairs = customer.external_ids.iter();
                    pairs.map(|(system, id)| ((&**system, &**id), &*customer.id))
                })
                .collect(),
        }
    }

    fn find(&self, key: &customer_key::Key) -> Option<&'a str> {
        match key {
            customer_key::Key::Email(email) => self
                .claims
                .get(format::email_claim(email)?.as_str())
                .copied(),
            customer_key::Key::Number(number) => self.numbers.get(number.as_str()).copied(),
            customer_key::Key::ExternalId(external) => self
                .external_ids
                .get(&(&*external.system, &*external.id))
                .copied(),
        }
    }
}
