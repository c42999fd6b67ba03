//! `clientela man`: writes the manual pages.

use std::{fs, path::PathBuf};

use clap::Args;

use super::{command, failure::Failure, output};

/// Writes the manual pages of all commands into a folder, or prints the page of `clientela`
#[derive(Debug, Args)]
pub struct Man {
    /// The folder for the pages, for example ~/.local/share/man/man1; created if it does not exist
    folder: Option<PathBuf>,
}

impl Man {
    pub fn run(&self) -> Result<(), Failure> {
        let Some(folder) = &self.folder else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command()).render(&mut page)?;
            return output::print(&String::from_utf8_lossy(&page));
        };
        let failure = |error: std::io::Error| {
            Failure::new(format!("cannot write into {}: {error}", folder.display()))
        };
        fs::create_dir_all(folder).map_err(failure)?;
        clap_mangen::generate_to(command(), folder).map_err(failure)?;
        output::print(&format!(
            "Wrote the manual pages into {}.\n",
            folder.display()
        ))
    }
}
