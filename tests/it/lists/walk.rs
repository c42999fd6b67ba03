//! A walk over all pages of a list, while between and during the pages rows are changed, added and
//! deleted.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet, VecDeque};

use clientela::filter::Schema;

use crate::harness::Shop;

/// Rows that are there before the first walk.
const OLD: usize = 20;
/// How many of them are changed again and again.
const BUSY: usize = 6;
/// Writes during one walk: an order by the time of a change would else never come to its end.
const WRITES: usize = 24;

/// A value by which rows are ordered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Number(i64),
    Text(String),
}

/// A time as a key.
pub(super) fn time(time: Option<&prost_types::Timestamp>) -> Key {
    let time = time.expect("a row has its times");
    Key::Number(time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000)
}

/// A row of a page: its name, and its value of each field that orders may name.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) keys: HashMap<&'static str, Key>,
}

/// A list whose rows are written while it is walked.
pub(super) trait Listing {
    /// The fields that [`change`](Self::change) changes: an order by one of them moves the row.
    const MOVING: &'static [&'static str];

    /// The table of what orders may name; none where there is only one order, that by name.
    fn schema() -> Option<&'static Schema>;

    /// What is there before anything is listed.
    async fn prepare(&self, shop: &Shop);

    /// One page, and the token of the next.
    async fn page(
        &self,
        shop: &Shop,
        order_by: &str,
        size: i32,
        token: String,
    ) -> (Vec<Row>, String);

    /// Adds a row; gives its name.
    async fn add(&self, shop: &Shop) -> String;

    /// Changes a row, to something else each time.
    async fn change(&self, shop: &Shop, name: &str);

    /// Takes a row out.
    async fn delete(&self, shop: &Shop, name: &str);
}

/// The fields of an order, each with whether it goes down.
type Order = Vec<(&'static str, bool)>;

/// Each field alone, up and down, and several together.
fn orders(schema: Option<&'static Schema>) -> Vec<Order> {
    let Some(schema) = schema else {
        return vec![Vec::new()];
    };
    let sortable = schema.fields.iter().filter(|field| field.sortable);
    let fields: Vec<&str> = sortable.map(|field| field.path).collect();
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

/// How two rows follow each other; the name decides where nothing else does.
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

/// Walks a list in all orders that it allows, by pages of one, of a few, and of all.
pub(super) async fn walk_every_way<L: Listing>(list: &L, shop: &Shop) {
    list.prepare(shop).await;
    let mut names = Vec::new();
    for _ in 0..OLD {
        names.push(list.add(shop).await);
    }
    let mut writer = Writer {
        list,
        busy: names[..BUSY].to_vec(),
        added: names[OLD - BUSY..].to_vec().into(),
        turn: 0,
        walk: Written::default(),
    };
    let mut writes = 0;
    for order in orders(L::schema()) {
        for size in [1, 7, 1_000] {
            let (old, rest) = list.page(shop, "", 1_000, String::new()).await;
            assert!(rest.is_empty() && old.len() >= OLD - BUSY);
            let old: Vec<String> = old.into_iter().map(|row| row.name).collect();
            writer.walk = Written::default();

            let pages = walk(&mut writer, shop, &order, size).await;

            let moving = order.iter().any(|(field, _)| L::MOVING.contains(field));
            check(&order, moving, &old, &writer.walk, &pages);
            writes += writer.walk.writes;
        }
    }
    assert!(writes > OLD, "the walks were hardly disturbed: {writes}");
}

/// What was written during one walk.
#[derive(Default)]
struct Written {
    writes: usize,
    changed: HashSet<String>,
    deleted: HashSet<String>,
}

/// Writes one row after the other.
struct Writer<'l, L> {
    list: &'l L,
    busy: Vec<String>,
    /// Those that may be deleted, the oldest first.
    added: VecDeque<String>,
    turn: usize,
    walk: Written,
}

impl<L: Listing> Writer<'_, L> {
    /// The next write, if there is one left in this walk.
    async fn write(&mut self, shop: &Shop) {
        if self.walk.writes >= WRITES {
            return;
        }
        self.walk.writes += 1;
        self.turn += 1;
        match self.turn % 4 {
            0 => self.added.push_back(self.list.add(shop).await),
            2 => {
                let name = self
                    .added
                    .pop_front()
                    .expect("as many are added as deleted");
                self.list.delete(shop, &name).await;
                self.walk.deleted.insert(name);
            }
            _ => {
                let name = &self.busy[self.turn / 2 % BUSY];
                self.list.change(shop, name).await;
                self.walk.changed.insert(name.clone());
            }
        }
    }
}

/// All pages, with a write during each.
async fn walk<L: Listing>(
    writer: &mut Writer<'_, L>,
    shop: &Shop,
    order: &Order,
    size: i32,
) -> Vec<Vec<Row>> {
    let (order_by, mut token, mut pages) = (written(order), String::new(), Vec::new());
    loop {
        let page = writer.list.page(shop, &order_by, size, token);
        let ((rows, next), ()) = tokio::join!(page, writer.write(shop));
        assert!(rows.len() <= usize::try_from(size).unwrap());
        pages.push(rows);
        token = next;
        if token.is_empty() {
            return pages;
        }
    }
}

/// Each old row that nobody touched is there once; those that were changed too, unless the change moved
/// them; those that were added or deleted at most once. All are in their order.
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
            "{name} came {times} times by {order_by:?}"
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
