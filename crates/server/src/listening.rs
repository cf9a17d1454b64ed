//! The listening socket, which may outlive the program: taken from who started it (systemd's protocol, `LISTEN_FDS`), or
//! bound; and handed on to the program that takes this one's place.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use listenfd::ListenFd;

use crate::Fatal;
use crate::configuration::Configuration;

/// A new socket, where the configuration says.
pub(crate) async fn bind(configuration: &Configuration) -> Result<TcpListener, Fatal> {
    let bound = tokio::net::TcpListener::bind(configuration.serving.listen).await;
    let bound = bound.map_err(|error| taken("--listen (POSTHASTE_LISTEN)", configuration.serving.listen, &error))?;
    Ok(bound.into_std()?)
}

/// How a server that listens there is reached from the same machine.
pub(crate) fn from_here(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}

/// Why an address cannot be listened on, and what to change. `setting` is what names it.
pub(crate) fn taken(setting: &str, address: SocketAddr, error: &std::io::Error) -> String {
    let mend = match error.kind() {
        ErrorKind::AddrInUse => format!("stop what listens there, or give another address with {setting}"),
        ErrorKind::AddrNotAvailable => format!("it is no address of this machine: give another with {setting}"),
        ErrorKind::PermissionDenied => format!("ports below 1024 need a privilege: give another with {setting}"),
        _ => format!("give another address with {setting}"),
    };
    format!("cannot listen on {address}: {error}; {mend}")
}

/// What the program hands on to the one that takes its place.
pub(crate) enum Handed {
    /// The socket that it listens on.
    Socket(TcpListener),
    /// Nothing: it listens only while it leads.
    Nothing,
}

/// What the program was given when it was started.
pub(crate) struct Given {
    sockets: ListenFd,
    program: std::io::Result<PathBuf>,
}

impl Given {
    /// Reads the environment, and forgets what it says of sockets: to be called before there is a second thread.
    pub(crate) fn take() -> Self {
        // Where the program is now: what lies there later is its newer version.
        Self { sockets: ListenFd::from_env(), program: std::env::current_exe() }
    }

    /// The socket to listen on: the one that was handed over, or a new one where the configuration says.
    pub(crate) async fn listener(&mut self, configuration: &Configuration) -> Result<TcpListener, Fatal> {
        if self.sockets.len() > 1 {
            return Err(format!("{} sockets were handed over: one is wanted", self.sockets.len()).into());
        }
        if let Some(listener) = self.sockets.take_tcp_listener(0)? {
            listener.set_nonblocking(true)?;
            tracing::info!(address = %listener.local_addr()?, "the socket was handed over");
            return Ok(listener);
        }
        bind(configuration).await
    }

    /// For a server that listens only while it leads: none was handed over.
    pub(crate) fn nothing(&self) -> Result<(), Fatal> {
        if self.sockets.len() > 0 {
            return Err(
                "a standby takes no socket that is handed over: who connects there while another server serves would \
                        wait for nothing. Let it listen itself (no socket unit), or do not give --standby"
                    .into(),
            );
        }
        Ok(())
    }

    /// Puts the program as it is now in this one's place, under the same process id, and hands the socket over, where there
    /// is one: who connects meanwhile waits in its queue. Returns only where that fails.
    #[cfg(unix)]
    pub(crate) fn start_again(self, handed: Handed) -> Fatal {
        use std::os::unix::process::CommandExt;

        use command_fds::{CommandFdExt, FdMapping};

        /// The first file descriptor that is handed over, by the protocol.
        const FIRST: i32 = 3;

        let program = match self.program {
            Ok(program) => program,
            Err(error) => return format!("the program does not know where it is: {error}").into(),
        };
        let mut command = std::process::Command::new(&program);
        command.args(std::env::args_os().skip(1));
        if let Handed::Socket(listener) = handed {
            command.env("LISTEN_FDS", "1").env("LISTEN_PID", std::process::id().to_string());
            if let Err(error) = command.fd_mappings(vec![FdMapping { parent_fd: listener.into(), child_fd: FIRST }]) {
                return error.into();
            }
        }
        format!("cannot start {} again: {}", program.display(), command.exec()).into()
    }

    #[cfg(not(unix))]
    pub(crate) fn start_again(self, _: Handed) -> Fatal {
        "a program cannot take another's place here".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_asked_over_loopback() {
        for (listens, asked) in
            [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("10.1.2.3:8080", "10.1.2.3:8080")]
        {
            assert_eq!(from_here(listens.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
