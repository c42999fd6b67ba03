//! The file size limit that the system may set for a process.

/// Lets a write beyond the file size limit fail instead of ending the process.
pub(super) fn survive_the_limit() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let number = rustix::process::Signal::XFSZ.as_raw();
        // The handler stays for the life of the process, even after the signal stream is dropped.
        if let Err(error) = signal(SignalKind::from_raw(number)) {
            tracing::warn!(%error, "exceeding the file size limit would end this process");
        }
    }
}

/// Whether the process has a file size limit.
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
