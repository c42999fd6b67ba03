//! Tests that documents generated from the contract are up to date.
//!
//! `CLIENTELA_WRITE_DOCUMENTS=1 cargo test --test it documents` writes them.

use std::fmt::Write as _;
use std::path::Path;

use clientela::proto::POOL;

const HEAD: &str = "# Reasons

Every refusal carries a `google.rpc.ErrorInfo` with the domain `clientela.v1` and one of these reasons.
Switch on the reason, never on the text. This page is generated from the comments of
`proto/clientela/v1/error_reason.proto`.

| reason | code | meaning and advice |
| --- | --- | --- |
";

/// Returns the comment of a value as one line.
fn comment(value: &prost_reflect::EnumValueDescriptor) -> String {
    let parent = value.parent_enum();
    let file = parent.parent_file_descriptor_proto();
    let mut path = parent.path().to_vec();
    path.extend([2, i32::try_from(place(value)).unwrap()]);
    let info = file
        .source_code_info
        .as_ref()
        .expect("descriptors keep comments");
    let location = info.location.iter().find(|location| location.path == path);
    let comment = location.and_then(|location| location.leading_comments.clone());
    comment
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn place(value: &prost_reflect::EnumValueDescriptor) -> usize {
    value
        .parent_enum()
        .values()
        .position(|other| other.number() == value.number())
        .unwrap()
}

fn reasons() -> String {
    let mut page = HEAD.to_owned();
    let reasons = POOL.get_enum_by_name("clientela.v1.ErrorReason").unwrap();
    for value in reasons.values().filter(|value| value.number() != 0) {
        let comment = comment(&value);
        let rest = comment
            .strip_prefix(value.name())
            .and_then(|rest| rest.strip_prefix(" ("))
            .unwrap_or_else(|| panic!("{} begins with its name and code", value.name()));
        let (code, meaning) = rest
            .split_once("): ")
            .expect("the meaning follows the code");
        writeln!(
            page,
            "| `{}` | `{code}` | {} |",
            value.name(),
            meaning.replace('|', "\\|")
        )
        .unwrap();
    }
    page
}

/// Returns `docs/FILTERS.md` with the fields of the program's tables.
fn filters(page: &str) -> String {
    const BEGIN: &str = "<!-- fields -->\n";
    const END: &str = "<!-- end of fields -->";
    let (before, rest) = page.split_once(BEGIN).expect("the page marks the fields");
    let (_, after) = rest
        .split_once(END)
        .expect("the page marks the end of the fields");
    let tables = [
        ("Customers", clientela::customers::TABLE.describe()),
        ("Groups", clientela::groups::TABLE.describe()),
        ("Carts", clientela::carts::TABLE.describe()),
        ("Saved filters", clientela::saved_filters::TABLE.describe()),
    ];
    let mut fields = String::new();
    for (title, table) in tables {
        writeln!(fields, "### {title}\n\n{table}").unwrap();
    }
    format!("{before}{BEGIN}\n{fields}{END}{after}")
}

#[test]
fn the_fields_of_filters_are_those_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FILTERS.md");
    let written = std::fs::read_to_string(&path).unwrap();
    let generated = filters(&written);
    if std::env::var_os("CLIENTELA_WRITE_DOCUMENTS").is_some() {
        std::fs::write(&path, &generated).unwrap();
        return;
    }

    assert!(
        written == generated,
        "docs/FILTERS.md is out of date; see the head of this file"
    );
}

#[test]
fn the_table_of_reasons_is_that_of_the_contract() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ERRORS.md");
    if std::env::var_os("CLIENTELA_WRITE_DOCUMENTS").is_some() {
        std::fs::write(&path, reasons()).unwrap();
    }

    let written = std::fs::read_to_string(&path).unwrap_or_default();

    assert!(
        written == reasons(),
        "docs/ERRORS.md is out of date; see the head of this file"
    );
}
