//! Checks the order of areas. A file imports only from its own area and from lower ones, and no files import
//! each other in a circle.
//!
//! A file may use its own parts (`foo.rs` uses `foo/bar.rs`) and the parts may use their file: that is no
//! circle.

mod sources;

use std::collections::{BTreeMap, BTreeSet};

use sources::{Crate, Names};

/// The areas, lowest first. An area imports only from those before it.
const AREAS: &str = "
    proto limits format ids collation clock config telemetry error revision quota connection
    caller contract mask passwords
    filter attributes store epochs numbers
    feed jobs resource access area
    shops groups customers carts operations saved_filters
    monitor server app cli";

/// Each import that breaks the order of `areas`.
fn breaches(program: &Crate, areas: &str) -> Vec<String> {
    let place = |area: &str| areas.split_whitespace().position(|other| other == area);
    let mut breaches = Vec::new();
    for (file, homes) in program.edges() {
        let (name, area) = (file_name(file), &file[0]);
        if place(area).is_none() {
            breaches.push(format!(
                "src/{name} is in no area: give {area} its place in AREAS"
            ));
            continue;
        }
        let higher = homes.iter().map(|home| &home[0]);
        let higher: BTreeSet<&String> = higher.filter(|other| place(other) > place(area)).collect();
        let told = higher
            .iter()
            .map(|other| format!("src/{name} imports {other}, which lies above {area}"));
        breaches.extend(told);
    }
    breaches
}

/// A circle of files, if there is one.
fn circle(program: &Crate) -> Option<String> {
    let edges = program.edges();
    let (mut done, mut trail) = (BTreeSet::new(), Vec::new());
    edges
        .keys()
        .find_map(|file| circle_from(file, &edges, &mut done, &mut trail))
}

/// Follows the imports of a file after those in `trail`, up to the first that leads back to one of them.
fn circle_from<'c>(
    file: &'c Names,
    edges: &BTreeMap<&'c Names, BTreeSet<&'c Names>>,
    done: &mut BTreeSet<&'c Names>,
    trail: &mut Vec<&'c Names>,
) -> Option<String> {
    if let Some(begin) = trail.iter().position(|before| *before == file) {
        let round = trail[begin..].iter().chain([&file]);
        let names: Vec<String> = round
            .map(|file| format!("src/{}", file_name(file)))
            .collect();
        return Some(names.join(" imports "));
    }
    if !done.insert(file) {
        return None;
    }
    trail.push(file);
    let circle = edges[file]
        .iter()
        .find_map(|home| circle_from(home, edges, done, trail));
    trail.pop();
    circle
}

fn file_name(module: &[String]) -> String {
    format!("{}.rs", module.join("/"))
}

/// A program of these files: the path below `src` and the text of each.
fn program<const N: usize>(files: [(&str, &str); N]) -> Crate {
    Crate::of(files.map(|(path, text)| (path.to_owned(), text.to_owned())))
}

#[test]
fn no_area_imports_a_higher_one() {
    let breaches = breaches(&Crate::of_this_program(), AREAS);

    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let found = circle(&Crate::of_this_program());

    assert!(found.is_none(), "{}", found.unwrap_or_default());
}

#[test]
fn an_import_of_a_higher_area_is_found_however_it_is_written() {
    let higher = ("carts.rs", "pub struct Cart;");
    for text in [
        "use crate::carts::Cart;",
        "use crate::{carts::{self, Cart}, clock};",
        "fn one() { crate::carts::begin(); }",
        "fn one() { tell!(\"{}\", crate::carts::COUNT); }",
        "mod tests { use super::super::carts::Cart; }",
    ] {
        let found = breaches(&program([("shops.rs", text), higher]), "shops carts");

        assert_eq!(
            found,
            ["src/shops.rs imports carts, which lies above shops"],
            "{text}"
        );
    }
    for text in [
        "// use crate::carts::Cart;",
        "const NAME: &str = \"crate::carts::Cart\";",
        "use other::carts::Cart;",
    ] {
        let found = breaches(&program([("shops.rs", text), higher]), "shops carts");

        assert!(found.is_empty(), "{text}");
    }
}

#[test]
fn a_new_area_needs_its_place() {
    assert_eq!(
        breaches(&program([("orders/sql.rs", "")]), "shops carts"),
        ["src/orders/sql.rs is in no area: give orders its place in AREAS"]
    );
}

#[test]
fn a_circle_is_found_through_the_file_that_passes_an_item_on() {
    let face = (
        "feed.rs",
        "mod hub; mod tail; pub use hub::Hub; pub use tail::follow;",
    );
    let hub = ("feed/hub.rs", "use crate::feed::follow; pub struct Hub;");
    let tail = ("feed/tail.rs", "use super::Hub; pub fn follow() {}");

    let found = circle(&program([face, hub, tail]));

    let circle = "src/feed/hub.rs imports src/feed/tail.rs imports src/feed/hub.rs";
    assert_eq!(found.as_deref(), Some(circle));
    assert_eq!(circle_of_parts(), None);
}

/// A file that uses its part, which uses it.
fn circle_of_parts() -> Option<String> {
    let file = ("feed.rs", "mod hub; use hub::Hub; pub struct Feed(Hub);");
    circle(&program([
        file,
        ("feed/hub.rs", "use super::Feed; pub struct Hub;"),
    ]))
}
