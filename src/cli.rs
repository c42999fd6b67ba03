//! The command line: the server, and the commands that call it.
//!
//! Commands use only the public API, as any other client would. The exception is `doctor`, which queries the
//! database itself. Tables are for people; `--json` is for programs and prints the messages of the contract.

mod admin;
mod backoff;
mod cart;
mod completions;
mod connection;
mod customer;
mod demo;
mod doctor;
mod failure;
mod field_values;
mod group;
mod health;
mod key;
mod limits;
mod man;
mod operation;
mod output;
mod pages;
mod resolve;
mod serve;
mod shop;
mod watch;

use std::{ffi::OsStr, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::proto::pb;

use failure::Failure;

/// The exit codes of the program, for `--help`.
const EXIT_CODES: &str = "Exit codes:
  0  done
  1  the server refused, or the command could not do its work
  2  the command line is wrong
  3  the server cannot be reached";

/// Keeps a shop's customers, groups and live carts, and serves them over gRPC.
#[derive(Debug, Parser)]
#[command(name = "clientela", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Watch(watch::Watch),
    Health(health::Health),
    Doctor(doctor::Doctor),
    Customer(customer::Customer),
    Group(group::Group),
    Cart(cart::Cart),
    Operation(operation::Operation),
    Key(key::Key),
    Shop(shop::Shop),
    Limits(limits::Limits),
    Completions(completions::Completions),
    Man(man::Man),
}

/// The command with all its subcommands. The help of those that take fields is deferred until they are
/// called, because reading the contract takes longer than most commands do.
fn command() -> clap::Command {
    let shop = |shop: clap::Command| {
        shop.mut_subcommand("settings", |settings| {
            settings.defer(field_values::help::<pb::ShopSettings>)
        })
    };
    let customer = |customer: clap::Command| {
        customer
            .mut_subcommand("create", |create| {
                create.defer(field_values::help::<pb::Customer>)
            })
            .mut_subcommand("edit", |edit| {
                edit.defer(field_values::help::<pb::Customer>)
            })
    };
    let group = |group: clap::Command| {
        group
            .mut_subcommand("create", |create| {
                create.defer(field_values::help::<pb::Group>)
            })
            .mut_subcommand("edit", |edit| edit.defer(field_values::help::<pb::Group>))
    };
    Cli::command()
        .mut_subcommand("customer", customer)
        .mut_subcommand("group", group)
        .mut_subcommand("shop", shop)
}

/// Reads the command line and runs its command.
pub fn run() -> ExitCode {
    let command = without(command(), &is_empty);
    let cli = Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return end(Err(error.into())),
    };
    let result = runtime.block_on(dispatch(cli.command));
    // A command that ends does not wait for what it left behind, such as a read of the terminal.
    runtime.shutdown_background();
    end(result)
}

/// Whether an environment variable is set to an empty value. It then counts as absent.
fn is_empty(variable: &OsStr) -> bool {
    std::env::var_os(variable).is_some_and(|value| value.is_empty())
}

/// The command with all its subcommands, as if the `absent` variables were not in the environment.
fn without(command: clap::Command, absent: &dyn Fn(&OsStr) -> bool) -> clap::Command {
    command
        .mut_args(|arg| match arg.get_env() {
            Some(variable) if absent(variable) => arg.env(None),
            _ => arg,
        })
        .mut_subcommands(|subcommand| without(subcommand, absent))
}

async fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(command) => command.run().await,
        Command::Demo(command) => command.run().await,
        Command::Watch(command) => command.run().await,
        Command::Health(command) => command.run().await,
        Command::Doctor(command) => command.run().await,
        Command::Customer(command) => command.run().await,
        Command::Group(command) => command.run().await,
        Command::Cart(command) => command.run().await,
        Command::Operation(command) => command.run().await,
        Command::Key(command) => command.run().await,
        Command::Shop(command) => command.run().await,
        Command::Limits(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    }
}

fn end(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_quiet() {
                eprintln!("clientela: {failure}");
            }
            failure.exit_code()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The environment variables that a command and its subcommands read.
    fn variables(command: &clap::Command) -> Vec<String> {
        let own = command.get_arguments().filter_map(clap::Arg::get_env);
        let own = own.map(|variable| variable.to_string_lossy().into_owned());
        let further = command.get_subcommands().flat_map(variables);
        own.chain(further).collect()
    }

    #[test]
    fn an_empty_variable_is_none_in_every_command() {
        let all = variables(&command());
        assert!(
            all.iter()
                .any(|variable| variable == "CLIENTELA_CORS_ORIGIN")
        );
        assert!(all.iter().any(|variable| variable == "CLIENTELA_SHOP"));

        assert_eq!(variables(&without(command(), &|_| false)), all);
        assert!(variables(&without(command(), &|_| true)).is_empty());
    }

    #[test]
    fn the_page_about_the_command_has_every_command() {
        let page = include_str!("../docs/COMMAND.md");
        let rows: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        let named = |row: &str, name: &str| row.contains(&format!("`{name}`"));
        for command in command().get_subcommands() {
            let name = command.get_name();
            let further: Vec<&str> = command
                .get_subcommands()
                .map(clap::Command::get_name)
                .collect();
            match further.split_first() {
                None => assert!(rows.iter().any(|row| named(row, name)), "{name}"),
                Some((first, rest)) => {
                    let whole = |row: &&&str| named(row, &format!("{name} {first}"));
                    let row = rows.iter().find(whole);
                    let row = row.unwrap_or_else(|| panic!("{name} {first} has no row"));
                    for further in rest {
                        assert!(named(row, further), "{name} {further}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
