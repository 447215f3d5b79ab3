//! A connection between the host and Postgres that can be cut at a chosen moment.

use sqlx::postgres::PgConnectOptions;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// Passes everything on, and cuts connections behind a commit: Postgres has committed and has said so, and the host never hears of it.
pub struct Proxy {
    folder: tempfile::TempDir,
    /// Every so many commits a connection is cut; 0 for never.
    every: AtomicU64,
    commits: AtomicU64,
    /// Connections that were cut.
    pub cuts: AtomicU64,
}

impl Proxy {
    pub fn start(server: &PgConnectOptions) -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let socket: PathBuf = server.get_socket().unwrap().join(format!(".s.PGSQL.{}", server.get_port()));
        let proxy =
            Arc::new(Self { folder, every: AtomicU64::new(0), commits: AtomicU64::new(0), cuts: AtomicU64::new(0) });
        let own = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (proxy, socket) = (own.clone(), socket.clone());
                tokio::spawn(async move {
                    if let Ok(server) = UnixStream::connect(socket).await {
                        proxy.carry(client, server).await;
                    }
                });
            }
        });
        proxy
    }

    /// How to connect through it.
    pub fn connect(&self, server: &PgConnectOptions) -> PgConnectOptions {
        server.clone().socket(self.folder.path()).port(5432)
    }

    /// Cuts behind every so many commits from now on.
    pub fn cut_every(&self, commits: u64) {
        self.every.store(commits, Ordering::Relaxed);
    }

    async fn carry(&self, mut client: UnixStream, mut server: UnixStream) {
        let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        let mut cut = false;
        loop {
            tokio::select! {
                biased;
                read = server.read(&mut answered) => match read {
                    Ok(count) if count > 0 && !cut => {
                        if client.write_all(&answered[..count]).await.is_err() {
                            return;
                        }
                    }
                    // What Postgres says to the commit is read, so it has happened, and goes no further.
                    Ok(count) if count > 0 => {
                        self.cuts.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                    _ => return,
                },
                read = client.read(&mut asked) => match read {
                    Ok(count) if count > 0 => {
                        let every = self.every.load(Ordering::Relaxed);
                        let commits = asked[..count].windows(6).any(|window| window == b"COMMIT");
                        if every > 0 && commits {
                            cut = (self.commits.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(every);
                        }
                        if server.write_all(&asked[..count]).await.is_err() {
                            return;
                        }
                    }
                    _ => return,
                },
            }
        }
    }
}
