//! The limit of file sizes that the system may set to a process.

/// Has a write beyond the process's limit of file sizes fail, instead of ending the process.
pub(super) fn survive_the_limit() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let number = rustix::process::Signal::XFSZ.as_raw();
        // The handler stays for the life of the process, also when nobody listens any more.
        if let Err(error) = signal(SignalKind::from_raw(number)) {
            tracing::warn!(%error, "a limit of file sizes would end this process");
        }
    }
}

/// Whether the process may not write files of any size.
pub(super) fn is_limited() -> bool {
    #[cfg(unix)]
    {
        rustix::process::getrlimit(rustix::process::Resource::Fsize)
            .current
            .is_some()
    }
    #[cfg(not(unix))]
    false
}
