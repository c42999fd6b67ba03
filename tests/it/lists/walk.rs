//! Reads all pages of a list while rows are changed, added and deleted.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet, VecDeque};

use clientela::filter::Schema;
use prost_reflect::{DynamicMessage, Value};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::harness::{Connection, Shop, unique};
use crate::specimens::{Key, Rpcs, Specimen, key, text};

/// The number of rows before the first walk.
const OLD: usize = 20;
/// The number of rows that the writer changes.
const BUSY: usize = 6;
/// A fixed seed gives the rows the same values in each run.
const SEED: u64 = 20_261_201;
/// Limits the writes during one walk. A list by the time of the last change would otherwise not end.
const WRITES: usize = 24;

/// A row of a page: its name, and its value in each field that orders may name.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) keys: HashMap<&'static str, Key>,
}

/// A list whose rows are written while it is read.
pub(super) trait Listing {
    /// The table of the fields that orders may name. Without one, the only order is that by name.
    fn schema(&self) -> Option<&'static Schema>;

    /// Returns whether [`change`](Self::change) changes this field, so that an order by it moves the
    /// row.
    fn moves(&self, path: &str) -> bool;

    /// Creates the resources that the rows need.
    async fn prepare(&self, shop: &Shop);

    /// Reads a page and returns its rows and the token of the next page.
    async fn page(
        &self,
        connection: &Connection,
        order_by: &str,
        size: i32,
        token: String,
    ) -> (Vec<Row>, String);

    /// Adds a row and returns its name.
    async fn add(&self, connection: &Connection, rng: &mut StdRng) -> String;

    /// Changes a row to random values.
    async fn change(&self, connection: &Connection, name: &str, rng: &mut StdRng);

    /// Removes a row.
    async fn delete(&self, connection: &Connection, name: &str);
}

/// Returns the fields that orders may name.
fn sortable(schema: Option<&'static Schema>) -> impl Iterator<Item = &'static str> {
    let fields = schema.into_iter().flat_map(|schema| schema.fields);
    fields
        .filter(|field| field.sortable)
        .map(|field| field.path)
}

impl<S: Specimen> Listing for S {
    fn schema(&self) -> Option<&'static Schema> {
        Specimen::schema(self)
    }

    fn moves(&self, path: &str) -> bool {
        path == "update_time" || self.changeable().contains(&path)
    }

    async fn prepare(&self, shop: &Shop) {
        Specimen::prepare(self, shop).await;
    }

    async fn page(
        &self,
        connection: &Connection,
        order_by: &str,
        size: i32,
        token: String,
    ) -> (Vec<Row>, String) {
        let mut fields = vec![
            ("page_size", Value::I32(size)),
            ("page_token", Value::String(token)),
        ];
        if !order_by.is_empty() {
            fields.push(("order_by", Value::String(order_by.to_owned())));
        }
        let page = Rpcs::page(self, connection, &fields).await.expect("a page");
        let schema = Specimen::schema(self);
        let row = |resource: &DynamicMessage| Row {
            name: text(resource, "name"),
            keys: sortable(schema)
                .map(|path| (path, key(resource, schema.expect("it has fields"), path)))
                .collect(),
        };
        (page.rows.iter().map(row).collect(), page.next)
    }

    async fn add(&self, connection: &Connection, rng: &mut StdRng) -> String {
        let number = unique();
        let request = self.any(rng, number);
        text(
            &self
                .create(connection, request, &format!("r{number}"))
                .await,
            "name",
        )
    }

    async fn change(&self, connection: &Connection, name: &str, rng: &mut StdRng) {
        Rpcs::change(self, connection, name, rng).await;
    }

    async fn delete(&self, connection: &Connection, name: &str) {
        Rpcs::delete(self, connection, name).await;
    }
}

/// The fields of an order, each with whether it is descending.
type Order = Vec<(&'static str, bool)>;

/// Returns orders by each field, ascending and descending, and by several fields.
fn orders(schema: Option<&'static Schema>) -> Vec<Order> {
    let fields: Vec<&str> = sortable(schema).collect();
    let alone = fields
        .iter()
        .flat_map(|field| [vec![(*field, false)], vec![(*field, true)]]);
    let together = fields.windows(3).map(|fields| {
        let fields = fields.iter().rev().enumerate();
        fields
            .map(|(place, field)| (*field, place % 2 == 0))
            .collect()
    });
    [Vec::new()]
        .into_iter()
        .chain(alone)
        .chain(together)
        .collect()
}

fn written(order: &Order) -> String {
    let fields = order.iter().map(|(field, down)| {
        if *down {
            format!("{field} desc")
        } else {
            (*field).to_owned()
        }
    });
    fields.collect::<Vec<_>>().join(", ")
}

/// Compares two rows. The name decides between equal ones.
fn compare(order: &Order, left: &Row, right: &Row) -> Ordering {
    for (field, down) in order {
        let ordering = left.keys[field].cmp(&right.keys[field]);
        let ordering = if *down { ordering.reverse() } else { ordering };
        if ordering.is_ne() {
            return ordering;
        }
    }
    left.name.cmp(&right.name)
}

/// Reads a list in all its orders, with pages of one row, of a few and of all.
pub(super) async fn walk_every_way<L: Listing>(list: &L, shop: &Shop) {
    list.prepare(shop).await;
    let connection = Connection::of(shop);
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut names = Vec::new();
    for _ in 0..OLD {
        names.push(list.add(&connection, &mut rng).await);
    }
    let mut writer = Writer {
        list,
        connection,
        rng,
        busy: names[..BUSY].to_vec(),
        added: names[OLD - BUSY..].to_vec().into(),
        turn: 0,
        walk: Written::default(),
    };
    let mut writes = 0;
    for order in orders(list.schema()) {
        for size in [1, 7, 1_000] {
            let (old, rest) = list
                .page(&writer.connection, "", 1_000, String::new())
                .await;
            assert!(rest.is_empty() && old.len() >= OLD - BUSY);
            let old: Vec<String> = old.into_iter().map(|row| row.name).collect();
            writer.walk = Written::default();

            let pages = walk(&mut writer, &order, size).await;

            let moving = order.iter().any(|(field, _)| list.moves(field));
            check(&order, moving, &old, &writer.walk, &pages);
            writes += writer.walk.writes;
        }
    }
    assert!(writes > OLD, "too few writes during the walks: {writes}");
}

/// The writes during one walk.
#[derive(Default)]
struct Written {
    writes: usize,
    changed: HashSet<String>,
    deleted: HashSet<String>,
}

/// Writes one row after another.
struct Writer<'l, L> {
    list: &'l L,
    connection: Connection,
    rng: StdRng,
    busy: Vec<String>,
    /// The rows that may be deleted, the oldest first.
    added: VecDeque<String>,
    turn: usize,
    walk: Written,
}

impl<L: Listing> Writer<'_, L> {
    /// Does the next write, unless the walk has reached [`WRITES`].
    async fn write(&mut self) {
        if self.walk.writes >= WRITES {
            return;
        }
        self.walk.writes += 1;
        self.turn += 1;
        let (connection, rng) = (&self.connection, &mut self.rng);
        match self.turn % 4 {
            0 => self.added.push_back(self.list.add(connection, rng).await),
            2 => {
                let name = self
                    .added
                    .pop_front()
                    .expect("there is an added row for each deletion");
                self.list.delete(connection, &name).await;
                self.walk.deleted.insert(name);
            }
            _ => {
                let name = &self.busy[self.turn / 2 % BUSY];
                self.list.change(connection, name, rng).await;
                self.walk.changed.insert(name.clone());
            }
        }
    }
}

/// Reads all pages, with a write during each.
async fn walk<L: Listing>(writer: &mut Writer<'_, L>, order: &Order, size: i32) -> Vec<Vec<Row>> {
    let (list, connection) = (writer.list, writer.connection.clone());
    let (order_by, mut token, mut pages) = (written(order), String::new(), Vec::new());
    loop {
        let page = list.page(&connection, &order_by, size, token);
        let ((rows, next), ()) = tokio::join!(page, writer.write());
        assert!(rows.len() <= usize::try_from(size).unwrap());
        pages.push(rows);
        token = next;
        if token.is_empty() {
            return pages;
        }
    }
}

/// Asserts that each old row is returned once, unless it was deleted or its change moved it, and that
/// added and deleted rows are returned at most once. Rows that did not move are in their order.
fn check(order: &Order, moving: bool, old: &[String], walk: &Written, pages: &[Vec<Row>]) {
    let order_by = written(order);
    let mut times: HashMap<&str, usize> = HashMap::new();
    for row in pages.iter().flatten() {
        *times.entry(&row.name).or_default() += 1;
    }
    for name in old.iter().filter(|name| !walk.deleted.contains(*name)) {
        if moving && walk.changed.contains(name) {
            continue;
        }
        assert_eq!(times.get(name.as_str()), Some(&1), "{name} by {order_by:?}");
    }
    for (name, times) in times {
        let moved = moving && walk.changed.contains(name);
        assert!(
            times == 1 || moved,
            "{name} is returned {times} times by {order_by:?}"
        );
    }
    let still: Vec<&Row> = pages
        .iter()
        .flatten()
        .filter(|row| !moving || !walk.changed.contains(&row.name))
        .collect();
    let in_order = |rows: &[&Row]| {
        rows.windows(2)
            .all(|pair| compare(order, pair[0], pair[1]).is_lt())
    };
    assert!(in_order(&still), "not by {order_by:?}: {still:?}");
    for page in pages {
        assert!(
            in_order(&page.iter().collect::<Vec<_>>()),
            "not by {order_by:?}: {page:?}"
        );
    }
}
