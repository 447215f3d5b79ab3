//! A Postgres that is reached over the network and proves who it is, as a managed one does (`sslmode=verify-full` with a root certificate).
//!
//! The server is real; its certificates are made by `openssl` for the test.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use growqr_postgres::{Database, DatabaseOptions, Readiness, Server, ServerOptions};
use sqlx::{ConnectOptions, Connection};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl can be started");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority `<name>.pem`, and `<name>-server.{pem,key}` for the host `localhost` signed by it.
fn certificates(folder: &Path, name: &str) {
    let (key, root) = (format!("{name}.key"), format!("{name}.pem"));
    let made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", &key, "-out", &root];
    openssl(folder, &[&made[..], &["-subj", &format!("/CN={name}")]].concat());
    let [key, request, signed, names] = ["key", "csr", "pem", "ext"].map(|end| format!("{name}-server.{end}"));
    std::fs::write(folder.join(&names), "subjectAltName=DNS:localhost\n").unwrap();
    let asked = ["req", "-newkey", "rsa:2048", "-nodes", "-keyout", &key, "-out", &request, "-subj", "/CN=localhost"];
    openssl(folder, &asked);
    let authority = ["-CA", &root, "-CAkey", &format!("{name}.key"), "-CAcreateserial", "-extfile", &names];
    openssl(folder, &[&["x509", "-req", "-in", &request, "-days", "2", "-out", &signed], &authority[..]].concat());
}

/// A server on a port of this machine, with a certificate of the authority `own`; and the folder with all certificates.
async fn server() -> (Server, u16, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    certificates(folder.path(), "own");
    certificates(folder.path(), "other");
    let mut options = ServerOptions::new(folder.path().join("postgres"));
    let mut first = Server::launch(options.clone()).unwrap();
    first.ready().await.unwrap();
    first.stop();
    for end in ["pem", "key"] {
        let file = folder.path().join(format!("postgres/pgdata/server.{end}"));
        std::fs::copy(folder.path().join(format!("own-server.{end}")), &file).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    options.settings = ["ssl=on", "ssl_cert_file=server.pem", "ssl_key_file=server.key", "listen_addresses=127.0.0.1"]
        .map(str::to_owned)
        .into();
    options.settings.push(format!("port={port}"));
    let server = Server::launch(options).unwrap();
    server.ready().await.unwrap();
    (server, port, folder)
}

#[tokio::test]
async fn a_server_that_proves_who_it_is_is_used_and_another_is_refused() {
    let (_server, port, folder) = server().await;
    let url = |host: &str, root: &str| {
        let root = folder.path().join(root);
        format!("postgres://postgres@{host}:{port}/postgres?sslmode=verify-full&sslrootcert={}", root.display())
    };
    let connect = |url: String| async move { DatabaseOptions::from_url(&url).unwrap().connect.connect().await };

    let mut connection = connect(url("localhost", "own.pem")).await.expect("the right authority and name");
    let encrypted: bool = sqlx::query_scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(encrypted, "the connection is not encrypted");
    connection.close().await.unwrap();

    let refused = [
        ("a certificate of another authority", url("localhost", "other.pem")),
        ("a certificate for another name", url("127.0.0.1", "own.pem")),
        ("a root certificate that is not there", url("localhost", "none.pem")),
    ];
    for (name, url) in refused {
        assert!(connect(url).await.is_err(), "{name} was accepted");
    }

    let database = Database::new(DatabaseOptions::from_url(&url("localhost", "own.pem")).unwrap());
    assert_eq!(database.prepare().await, Readiness::Ready, "the tables are made over it");
}
