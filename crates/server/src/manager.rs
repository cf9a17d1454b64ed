//! What the service manager is told (systemd's protocol, `NOTIFY_SOCKET`); nothing where there is none.

/// The server serves.
pub(crate) const READY: &str = "READY=1";
/// The program is about to take its own place; `READY` follows.
pub(crate) const RELOADING: &str = "RELOADING=1";
/// The server stops.
pub(crate) const STOPPING: &str = "STOPPING=1";

/// Tells the manager. It goes on without where that fails.
pub(crate) fn tell(state: &str) {
    #[cfg(unix)]
    if let Some(address) = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())
        && let Err(error) = send(&address, state)
    {
        tracing::warn!(%error, state, "the service manager could not be told");
    }
    #[cfg(not(unix))]
    let _ = state;
}

#[cfg(unix)]
fn send(address: &std::ffi::OsStr, state: &str) -> std::io::Result<()> {
    use std::os::unix::net::UnixDatagram;
    let socket = UnixDatagram::unbound()?;
    #[cfg(target_os = "linux")]
    if let Some(name) = std::os::unix::ffi::OsStrExt::as_bytes(address).strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        return socket.send_to_addr(state.as_bytes(), &address).map(drop);
    }
    socket.send_to(state.as_bytes(), address).map(drop)
}
