//! Tests the flags and variables of `serve`. It validates all of them before it writes anything.

use crate::cli::{Server, on_both_engines, program};
use crate::faults::process::{Serve, Server as Process};
use crate::harness::Engine;

/// Asserts that a server is refused with these words, and writes nothing.
#[track_caller]
fn refused(arguments: &[&str], words: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data_dir = folder.path().join("data");

    let output = Serve::default().with(arguments).refused(&data_dir);

    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {complaint}");
    for word in words {
        assert!(complaint.contains(word), "{arguments:?}: {complaint}");
    }
    assert!(!complaint.contains("panicked"), "{complaint}");
    assert!(!data_dir.exists(), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
}

#[test]
fn an_invalid_flag_is_refused_before_anything_is_written() {
    for origin in [
        "*",
        "null",
        "shop.example",
        "https://shop.example/",
        "https://shop.example/page",
        "https://*.example",
        "https://Shop.example",
        "https://shop.example,*",
        "https://xn--zz",
    ] {
        refused(
            &["--cors-origin", origin],
            &["--cors-origin", "is no origin"],
        );
    }
    for (origin, sent) in [
        ("https://01.2.3.4", "https://1.2.3.4"),
        ("https://1.2.3", "https://1.2.0.3"),
        ("https://shop.example:443/page", "https://shop.example"),
        (
            "https://m\u{fc}ller.example",
            "https://xn--mller-kva.example",
        ),
    ] {
        let sent = format!("is no origin: browsers send {sent};");
        refused(&["--cors-origin", origin], &["--cors-origin", &sent]);
    }
    refused(&["--listen", "localhost"], &["--listen"]);
    refused(&["--listen", "127.0.0.1:99999"], &["--listen"]);
    refused(
        &["--drain-timeout", "soon"],
        &["--drain-timeout", "whole seconds"],
    );
    refused(
        &["--drain-timeout", "18446744073709551615"],
        &["--drain-timeout", "whole seconds"],
    );
    refused(
        &["--feed-retention", "0"],
        &["--feed-retention", "whole seconds"],
    );
    refused(
        &["--feed-retention", "18446744073709551615"],
        &["--feed-retention"],
    );
    refused(&["--feed-max-bytes", "0"], &["--feed-max-bytes"]);
    refused(
        &["--feed-max-bytes", "18446744073709551615"],
        &["--feed-max-bytes"],
    );
    refused(&["--max-connections", "0"], &["--max-connections"]);
    refused(
        &["--max-connections-per-address", "0"],
        &["--max-connections-per-address"],
    );
    refused(
        &["--database-url", "mysql://localhost/shop"],
        &["postgres://"],
    );
    refused(&["--nats-url", "http://localhost"], &["--nats-url"]);
    refused(&["--log-format", "xml"], &["--log-format"]);
    refused(&["--log", "clientela=loud"], &["log filter"]);
}

/// Every variable that `serve` reads.
const VARIABLES: [&str; 14] = [
    "CLIENTELA_DATA_DIR",
    "CLIENTELA_LISTEN",
    "CLIENTELA_DATABASE_URL",
    "CLIENTELA_NATS_URL",
    "CLIENTELA_ALLOW_PLAINTEXT",
    "CLIENTELA_DRAIN_TIMEOUT",
    "CLIENTELA_CORS_ORIGIN",
    "CLIENTELA_MAX_CONNECTIONS",
    "CLIENTELA_MAX_CONNECTIONS_PER_ADDRESS",
    "CLIENTELA_OPEN_REFLECTION",
    "CLIENTELA_FEED_RETENTION",
    "CLIENTELA_FEED_MAX_BYTES",
    "CLIENTELA_LOG_FORMAT",
    "CLIENTELA_LOG",
];

#[tokio::test]
async fn an_empty_variable_counts_as_unset() {
    let mut serve = Serve::default();
    for variable in VARIABLES {
        serve = serve.and(variable, "");
    }

    let server = Process::start(serve);

    assert!(server.data_dir().join("keys").exists(), "{}", server.log());
    let help = program()
        .args(["serve", "--help"])
        .output()
        .expect("the program runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for variable in VARIABLES {
        assert!(
            help.contains(variable),
            "{variable} is no variable of serve"
        );
    }
    assert_eq!(
        help.matches("[env: CLIENTELA_").count(),
        VARIABLES.len(),
        "{help}"
    );
}

on_both_engines! {
    async fn an_empty_variable_counts_as_unset_for_commands_too(server: Server) {
        let mut command = server.command(&["group", "list"]);
        for variable in ["CLIENTELA_SHOP", "CLIENTELA_ACTOR", "CLIENTELA_API_KEY"] {
            command.env(variable, "");
        }

        let output = command.output().expect("the program runs");

        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");
    }
}
