//! The position of the walk in a request.

use std::fmt::Write as _;

/// The position in the request, written out only for a violation.
pub(super) enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, &'a str, usize),
}

impl Path<'_> {
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        let (parent, name, index) = match self {
            Self::Root => return,
            Self::Field(parent, name) => (parent, name, None),
            Self::Index(parent, name, index) => (parent, name, Some(index)),
        };
        parent.write(text);
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(name);
        if let Some(index) = index {
            write!(text, "[{index}]").expect("a String takes everything");
        }
    }
}
