//! The imports between the files of the crate.
//!
//! The sources are read as tokens, so paths inside macros count and comments do not. A path leads to the file
//! that defines its item, even if another file re-exports the item with `use`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path of names, for example that of a module from the root of the crate.
pub(super) type Names = Vec<String>;

/// The references of a file to others.
#[derive(Default)]
struct Source {
    /// The paths in it, each with the module that contains it.
    paths: Vec<(Names, Names)>,
    /// The paths of the names that it imports.
    imported: HashMap<String, Names>,
}

impl Source {
    fn read(module: &[String], text: &str) -> Self {
        let tokens = text.parse().expect("the compiler has read this file");
        let mut source = Self::default();
        source.walk(module, module, tokens);
        source
    }

    /// Notes the paths among `tokens`, which are in the module `inside` of the file.
    fn walk(&mut self, file: &[String], inside: &[String], tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at..] {
                [
                    TokenTree::Ident(word),
                    TokenTree::Ident(_) | TokenTree::Group(_),
                    ..,
                ] if word == "use" => {
                    let is_end = |token| is_mark(token, ';');
                    let end = tokens[at..].iter().position(is_end);
                    let end = end.map_or(tokens.len(), |length| at + length);
                    self.import(file, inside, &[], &tokens[at + 1..end]);
                    at = end;
                }
                [
                    TokenTree::Ident(word),
                    TokenTree::Ident(name),
                    TokenTree::Group(body),
                    ..,
                ] if word == "mod" => {
                    let inside = [inside, &[name.to_string()]].concat();
                    self.walk(file, &inside, body.stream());
                    at += 3;
                }
                [TokenTree::Group(group), ..] => {
                    self.walk(file, inside, group.stream());
                    at += 1;
                }
                rest => {
                    let (path, length) = path(rest);
                    if path.len() > 1 {
                        self.paths.push((inside.to_vec(), path));
                    }
                    at += length.max(1);
                }
            }
        }
    }

    /// Notes one tree of a `use`, which follows `before`.
    fn import(
        &mut self,
        file: &[String],
        inside: &[String],
        before: &[String],
        tree: &[TokenTree],
    ) {
        let (after, length) = path(tree);
        let mut path = [before, &after].concat();
        match &tree[length..] {
            [TokenTree::Group(group), ..] if group.delimiter() == Delimiter::Brace => {
                let branches: Vec<TokenTree> = group.stream().into_iter().collect();
                let is_comma = |token: &TokenTree| is_mark(token, ',');
                for branch in branches.split(is_comma).filter(|branch| !branch.is_empty()) {
                    self.import(file, inside, &path, branch);
                }
            }
            rest => {
                if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                    path.pop();
                }
                let name = match rest {
                    [TokenTree::Ident(_), TokenTree::Ident(alias), ..] => Some(alias.to_string()),
                    _ => path.last().cloned(),
                };
                if file == inside
                    && let Some(name) = name
                {
                    self.imported.insert(name, path.clone());
                }
                self.paths.push((inside.to_vec(), path));
            }
        }
    }
}

/// The names at the beginning of `tokens` that `::` joins, and the number of their tokens.
fn path(tokens: &[TokenTree]) -> (Names, usize) {
    let (mut names, mut at) = (Vec::new(), 0);
    while let Some(TokenTree::Ident(name)) = tokens.get(at) {
        names.push(name.to_string());
        at += 1;
        match &tokens[at..] {
            [first, second, ..] if is_mark(first, ':') && is_mark(second, ':') => at += 2,
            _ => break,
        }
    }
    (names, at)
}

fn is_mark(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

/// The files of the crate, by their modules.
pub(super) struct Crate(BTreeMap<Names, Source>);

impl Crate {
    /// Creates the crate of these files: the path below `src` and the text of each.
    pub(super) fn of(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let files = files.into_iter().map(|(path, text)| {
            let module = path.trim_end_matches(".rs").split('/');
            let module: Names = module.map(str::to_owned).collect();
            let source = Source::read(&module, &text);
            (module, source)
        });
        Self(files.collect())
    }

    /// Reads the present crate, without its roots, which only name the areas, and without this check.
    pub(super) fn of_this_program() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let (mut folders, mut files) = (vec![root.clone()], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                    files.push((name.to_owned(), std::fs::read_to_string(&path).unwrap()));
                }
            }
        }
        let is_root =
            |name: &str| matches!(name, "lib.rs" | "main.rs") || name.starts_with("import_order");
        Self::of(files.into_iter().filter(|(name, _)| !is_root(name)))
    }

    /// The path from the root of the crate; None if it leads out of the crate.
    fn absolute(&self, file: &[String], inside: &[String], path: &[String]) -> Option<Names> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([inside, rest].concat()),
            "super" => {
                let ups = path.iter().take_while(|name| *name == "super").count();
                let parent = &inside[..inside.len().checked_sub(ups)?];
                Some([parent, &path[ups..]].concat())
            }
            name => {
                let part = [inside, path].concat();
                if self.0.contains_key(&part[..=inside.len()]) {
                    return Some(part);
                }
                let imported = self.0.get(file)?.imported.get(name)?;
                // `use url;` names another crate.
                if imported.first() == Some(first) {
                    return None;
                }
                let start = self.absolute(file, file, imported)?;
                Some([start.as_slice(), rest].concat())
            }
        }
    }

    /// The file that defines the item at a path from the root. Other files may re-export it up to `passes`
    /// times.
    fn home(&self, path: &[String], passes: usize) -> Option<&Names> {
        let lengths = (1..=path.len()).rev();
        let (file, source) = lengths
            .filter_map(|length| self.0.get_key_value(&path[..length]))
            .next()?;
        let rest = &path[file.len()..];
        let passed_on = rest.first().and_then(|name| source.imported.get(name));
        let passed_on = passed_on.and_then(|imported| self.absolute(file, file, imported));
        match passed_on {
            Some(path) if passes > 0 => {
                let path = [path.as_slice(), &rest[1..]].concat();
                self.home(&path, passes - 1)
            }
            _ => Some(file),
        }
    }

    /// The files that each file imports from, except for its own parts.
    pub(super) fn edges(&self) -> BTreeMap<&Names, BTreeSet<&Names>> {
        let edges = self.0.iter().map(|(file, source)| {
            let homes = source.paths.iter().filter_map(|(inside, path)| {
                let path = self.absolute(file, inside, path)?;
                self.home(&path, 8).filter(|home| !home.starts_with(file))
            });
            (file, homes.collect())
        });
        edges.collect()
    }
}
