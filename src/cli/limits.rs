//! `clientela limits`: every limit of the server and of the fields of requests.

use clap::Args;

use crate::limits;

use super::{failure::Failure, output};

/// Lists the limits of the server, and what each field of a request takes
#[derive(Debug, Args)]
pub struct Limits {
    /// Only lines with this text, as in `cart` or `Customer.`
    #[arg(default_value = "", hide_default_value = true)]
    text: String,
}

impl Limits {
    pub fn run(&self) -> Result<(), Failure> {
        let wanted = self.text.to_lowercase();
        // Headings stay, and with them it is clear which table a line is of.
        let is_shown =
            |line: &&str| !line.starts_with("  ") || line.to_lowercase().contains(&wanted);
        let all = limits::text();
        let shown: Vec<&str> = all.lines().filter(is_shown).collect();
        output::print(&format!("{}\n", shown.join("\n")))
    }
}
