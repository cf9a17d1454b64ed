//! A relay between a test and its Postgres, that breaks the connection in a moment of the test's choice: before a statement
//! reaches Postgres, or after Postgres has done it and before anybody hears.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

/// How long a statement that Postgres has been given may take. It is waited for, not slept through.
const PATIENCE: Duration = Duration::from_secs(20);

/// When the connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The statement never reaches Postgres.
    Before,
    /// Postgres does it, and its answer is swallowed.
    After,
}

#[derive(Debug, Default)]
struct Armed {
    next: Mutex<Option<(Vec<u8>, Cut)>>,
    cuts: AtomicUsize,
}

/// Stands between a pool and Postgres.
#[derive(Debug, Clone, Default)]
pub struct Relay(Arc<Armed>);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Relay {
    /// A relay before the database at `url`, and the address that leads through it. Ends with the runtime.
    ///
    /// # Panics
    ///
    /// Where `url` is no address of a database, or there is no port.
    pub async fn before(url: &str) -> (Self, String) {
        let options: PgConnectOptions = url.parse().expect("an address of Postgres");
        let name = options.get_database().expect("a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let through = format!("postgres://{}@127.0.0.1:{port}/{name}?sslmode=disable", options.get_username());
        let relay = Self::default();
        tokio::spawn(relay.clone().serve(listener, options));
        (relay, through)
    }

    /// The next statement that holds these bytes breaks its connection.
    pub fn cut(&self, holding: impl AsRef<[u8]>, when: Cut) {
        *self.0.next.lock() = Some((holding.as_ref().to_vec(), when));
    }

    /// How often a connection was broken.
    #[must_use]
    pub fn cuts(&self) -> usize {
        self.0.cuts.load(Ordering::Acquire)
    }

    /// Nothing is broken any more.
    pub fn disarm(&self) {
        *self.0.next.lock() = None;
    }

    async fn serve(self, listener: TcpListener, options: PgConnectOptions) {
        while let Ok((client, _)) = listener.accept().await {
            let (relay, options) = (self.clone(), options.clone());
            tokio::spawn(async move {
                if let Some(server) = connect(&options).await {
                    relay.carry(client, server).await;
                }
            });
        }
    }

    async fn carry(&self, mut client: TcpStream, mut server: Box<dyn Stream>) {
        let (mut asked, mut answered) = (vec![0; 1 << 18], vec![0; 1 << 18]);
        loop {
            tokio::select! {
                read = client.read(&mut asked) => {
                    let Ok(count @ 1..) = read else { return };
                    let cut = self.takes(&asked[..count]);
                    if cut == Some(Cut::Before) {
                        return;
                    }
                    if server.write_all(&asked[..count]).await.is_err() {
                        return;
                    }
                    if cut == Some(Cut::After) {
                        // Whatever it answers, it has done it.
                        let _ = tokio::time::timeout(PATIENCE, finished(&mut *server, &mut answered)).await;
                        return;
                    }
                }
                read = server.read(&mut answered) => {
                    let Ok(count @ 1..) = read else { return };
                    if client.write_all(&answered[..count]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn takes(&self, bytes: &[u8]) -> Option<Cut> {
        let mut next = self.0.next.lock();
        let (needle, when) = next.as_ref()?;
        let (holds, when) = (bytes.windows(needle.len()).any(|window| window == needle), *when);
        holds.then(|| {
            *next = None;
            self.0.cuts.fetch_add(1, Ordering::AcqRel);
            when
        })
    }
}

/// Reads until Postgres is ready for the next statement: `Z`, a length of five, and a status.
async fn finished(server: &mut dyn Stream, buffer: &mut [u8]) {
    let mut seen: Vec<u8> = Vec::new();
    while let Ok(count @ 1..) = server.read(buffer).await {
        seen.extend_from_slice(&buffer[..count]);
        if seen.len() >= 6 && seen[seen.len() - 6..].starts_with(&[b'Z', 0, 0, 0, 5]) {
            return;
        }
    }
}

async fn connect(options: &PgConnectOptions) -> Option<Box<dyn Stream>> {
    let (host, port) = (options.get_host(), options.get_port());
    let directory = options.get_socket().map(std::path::PathBuf::as_path);
    let directory = directory.or_else(|| host.starts_with('/').then(|| std::path::Path::new(host)));
    match directory {
        Some(directory) => {
            let socket = UnixStream::connect(directory.join(format!(".s.PGSQL.{port}"))).await.ok()?;
            Some(Box::new(socket))
        }
        None => Some(Box::new(TcpStream::connect((host, port)).await.ok()?)),
    }
}
