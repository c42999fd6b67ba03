//! The data folder, which only its owner may enter.

use std::io;
use std::path::Path;

/// The name of the database in the data folder.
pub const DATABASE_FILE: &str = "clientela.db";
/// The name of the file whose lock keeps a second process out.
pub const LOCK_FILE: &str = "clientela.lock";

/// Creates a folder that only its owner may enter. If the folder exists, checks that [`close_to_others`] can
/// close it.
///
/// # Errors
/// If it cannot be created, or if others may enter it and it cannot be closed: it belongs to somebody else,
/// or also holds files that are not Clientela's, whose users might be locked out.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    #[cfg(unix)]
    check_openness(path)?;
    Ok(())
}

/// Removes the access of others to a folder.
///
/// # Errors
/// An error of the file system.
pub fn close_to_others(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = mode(path)?;
        if mode & OTHERS != 0 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & !OTHERS))?;
            tracing::warn!(
                folder = %path.display(),
                "others could enter the data folder (its mode was {mode:o}); it is closed to them now"
            );
        }
    }
    Ok(())
}

#[cfg(unix)]
const OTHERS: u32 = 0o077;
#[cfg(unix)]
const STICKY: u32 = 0o1000;

#[cfg(unix)]
fn mode(path: &Path) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o7777)
}

#[cfg(unix)]
fn check_openness(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let mode = mode(path)?;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let open = format!(
        "others may enter it (its mode is {mode:o}), and the API keys and all data lie in it"
    );
    let user = rustix::process::geteuid();
    if !user.is_root() && std::fs::metadata(path)?.uid() != user.as_raw() {
        return Err(io::Error::other(format!(
            "{open}; it belongs to another user: close it with `chmod 700`, or name a folder inside of \
             it with --data-dir"
        )));
    }
    if mode & STICKY != 0 || !is_ours(path)? {
        return Err(io::Error::other(format!(
            "{open}; it also holds files of others: name a folder of its own with --data-dir"
        )));
    }
    Ok(())
}

/// Whether the folder holds only files of Clientela.
#[cfg(unix)]
fn is_ours(path: &Path) -> io::Result<bool> {
    if path.join(DATABASE_FILE).exists() {
        return Ok(true);
    }
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let ours = ["clientela.", "keys"]
            .iter()
            .any(|start| name.starts_with(start));
        // A fresh volume has this folder.
        if !ours && name != "lost+found" {
            return Ok(false);
        }
    }
    Ok(true)
}
