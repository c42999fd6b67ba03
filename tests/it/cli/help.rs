//! Tests the program's own information: the greeting, limits, completions, manual pages and
//! `docs/COMMAND.md`.

use std::process::{Command, Output};

use super::{Server, on_both_engines, program};
use crate::harness::Engine;

/// Runs a line in a shell that finds `clientela`.
fn shell(line: &str, environment: &[(&str, String)]) -> Output {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_clientela"));
    let folder = program.parent().expect("the program is in a folder");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CLIENTELA_")) {
        command.env_remove(name);
    }
    command
        .args(["-c", line])
        .env("PATH", path)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .expect("a shell")
}

#[track_caller]
fn succeeds(line: &str, environment: &[(&str, String)]) -> String {
    let output = shell(line, environment);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the output of a command that needs no server.
fn printed(arguments: &[&str]) -> String {
    let output = program()
        .args(arguments)
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn limits_are_a_command_and_not_the_help_of_serve() {
    let help = printed(&["serve", "--help"]);
    let all = printed(&["limits"]);
    let of_customers = printed(&["limits", "customer."]);

    assert!(
        help.contains("`clientela limits` lists all limits"),
        "{help}"
    );
    assert!(!help.contains("Address.postal_code"), "{help}");
    assert!(
        all.contains("  request message  ") && all.contains("  Address.postal_code  "),
        "{all}"
    );
    assert!(
        of_customers.contains("  Customer.phone  "),
        "{of_customers}"
    );
    assert!(!of_customers.contains("Address."), "{of_customers}");
}

#[test]
fn shells_complete_and_man_has_a_page_for_each_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = printed(&["completions", shell]);
        for word in ["add-members", "undelete", "--order-by"] {
            let option = word.trim_start_matches('-');
            assert!(
                script.contains(word) || script.contains(option),
                "{shell}: {word}"
            );
        }
    }
    let syntax = succeeds("clientela completions bash | bash -n && echo whole", &[]);
    assert_eq!(syntax, "whole\n");
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");

    printed(&["man", pages.to_str().unwrap()]);

    for page in [
        "clientela",
        "clientela-serve",
        "clientela-cart-show",
        "clientela-group-add-members",
    ] {
        let page = pages.join(format!("{page}.1"));
        assert!(
            std::fs::read_to_string(&page)
                .unwrap()
                .contains(".SH SYNOPSIS"),
            "{page:?}"
        );
    }
    assert!(printed(&["man"]).contains(".TH clientela 1"));
}

on_both_engines! {
    async fn the_greeting_leads_to_the_web_monitor(server: Server) {
        let address = format!("The web monitor is at http://{}/.", server.address);
        assert!(server.greeting.contains(&address), "{}", server.greeting);
        let make = server
            .greeting
            .lines()
            .find(|line| line.trim_start().starts_with("clientela key create"))
            .expect("the greeting says how to make a key");

        let key = succeeds(make, &[]);

        assert!(key.starts_with("clt_"), "{key}");
    }

    async fn the_examples_of_the_page_about_the_command_work(server: Server) {
        let page = include_str!("../../../docs/COMMAND.md");
        let (_, fields) = page.split_once("## Fields").unwrap();
        let examples = fields.split("```").nth(1).unwrap();
        server.printed(&["customer", "create", "email=ben@example.com"]);
        let mut environment = vec![
            ("CLIENTELA_SERVER", server.address.to_string()),
            ("CLIENTELA_DATA_DIR", server.data_dir().display().to_string()),
        ];
        environment.extend(server.database_url.clone().map(|url| ("CLIENTELA_DATABASE_URL", url)));

        for line in examples.lines().filter(|line| line.starts_with("clientela")) {
            succeeds(line, &environment);
        }

        let ada = server.printed(&["customer", "show", "ada", "--json"]);
        let ada: serde_json::Value = serde_json::from_str(&ada).unwrap();
        assert_eq!(ada["creditLimit"]["micros"], "250000000");
        assert_eq!(ada["defaultGroup"], "groups/trade");
        assert_eq!(ada["newsletter"]["subscribed"], true);
        assert_eq!(ada["attributes"]["shoe_size"], 38.0);
    }
}
