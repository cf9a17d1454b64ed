//! What the service manager is told (systemd's protocol, `NOTIFY_SOCKET`, `WATCHDOG_USEC`); nothing where there is none.

use std::time::Duration;

use tokio::task::JoinHandle;

/// The server serves.
pub(crate) const READY: &str = "READY=1";
/// The program is about to take its own place; `READY` follows.
pub(crate) const RELOADING: &str = "RELOADING=1";
/// The server stops.
pub(crate) const STOPPING: &str = "STOPPING=1";
/// The program gets round to things.
const LIVES: &str = "WATCHDOG=1";

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

/// Tells the manager again and again that the program gets round to things. Ends when it is dropped.
pub(crate) struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Watch {
    /// Begins, where the manager asks for it: on the runtime that serves, so that one which hangs is silent. The manager then
    /// kills the program and starts it again.
    pub(crate) fn begin() -> Option<Self> {
        let said = |name| std::env::var(name).ok();
        let every = asked(said("WATCHDOG_USEC").as_deref(), said("WATCHDOG_PID").as_deref(), std::process::id())?;
        Some(Self::every(every, || tell(LIVES)))
    }

    fn every(period: Duration, tell: impl Fn() + Send + 'static) -> Self {
        Self(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(period);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                tell();
            }
        }))
    }
}

/// How often the manager is to hear of it: twice in the microseconds after which it would give the program up, as systemd
/// advises. Nothing where it asks nothing, or asks another process.
fn asked(microseconds: Option<&str>, process: Option<&str>, own: u32) -> Option<Duration> {
    if process.is_some_and(|process| process.parse() != Ok(own)) {
        return None;
    }
    let half = Duration::from_micros(microseconds?.parse().ok()?) / 2;
    (!half.is_zero()).then_some(half)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_twice_in_the_time_that_it_allows_where_it_asks_this_process() {
        let half = Some(Duration::from_secs(15));
        assert_eq!(asked(Some("30000000"), None, 7), half);
        assert_eq!(asked(Some("30000000"), Some("7"), 7), half);
        for (microseconds, process) in [
            (Some("30000000"), Some("8")),
            (Some("30000000"), Some("x")),
            (Some("0"), None),
            (Some("soon"), None),
            (None, Some("7")),
        ] {
            assert_eq!(asked(microseconds, process, 7), None, "{microseconds:?} {process:?}");
        }
    }

    #[tokio::test]
    async fn it_is_told_until_the_watch_ends() {
        let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
        let watch = Watch::every(Duration::from_millis(5), move || {
            let _ = sender.send(());
        });
        for _ in 0..3 {
            told.recv().await.expect("it is told");
        }
        drop(watch);
        // The sender goes with the task.
        while told.recv().await.is_some() {}
    }
}
