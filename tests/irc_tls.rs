//! IRC by TLS: a server whose certificate is believed, one that is not, one of another name.

#![cfg(feature = "tls")]

mod common;

use common::{Gateway, Home, PATIENCE};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Secure = StreamOwned<ServerConnection, TcpStream>;

/// A server with a certificate of its own.
struct Server {
    listener: TcpListener,
    config: Arc<ServerConfig>,
    cert: PathBuf,
}

impl Server {
    /// The certificate names localhost and the loopback's addresses.
    fn new(home: &Home, name: &str) -> Self {
        let (cert, key) =
            openclaw_gateway::cli::tls::self_signed([127, 0, 0, 1].into()).expect("made");
        let path = home.0.join(format!("{name}.pem"));
        std::fs::write(&path, &cert).expect("written");
        let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a pair");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self { listener, config: Arc::new(config), cert: path }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().expect("it").port()
    }

    /// The next connection, as far as its first line; an error where the client goes away.
    fn accept(&self) -> Result<(BufReader<Secure>, String), std::io::Error> {
        self.listener.set_nonblocking(true)?;
        let end = Instant::now() + PATIENCE;
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(_) if Instant::now() < end => std::thread::yield_now(),
                Err(error) => panic!("nobody connects: {error}"),
            }
        };
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let session = ServerConnection::new(Arc::clone(&self.config)).expect("a session");
        let mut lines = BufReader::new(StreamOwned::new(session, stream));
        let mut first = String::new();
        match lines.read_line(&mut first)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok((lines, first)),
        }
    }
}

fn configure(home: &Home, host: &str, port: u16) {
    home.configure(&format!(
        "{{gateway: {{mode: 'local', auth: {{token: '0123456789abcdef-0123456789abcdef'}}}}, \
         agents: {{defaults: {{model: 'local/echo'}}}}, \
         channels: {{irc: {{host: '{host}', port: {port}, nick: 'bot', dmPolicy: 'open', \
         allowFrom: ['*']}}}}}}"
    ));
}

fn start(home: &Home, authorities: &Path) -> Gateway {
    Gateway::start(home.command("gateway --port 0").env("SSL_CERT_FILE", authorities))
}

/// The account's row, once it has an error.
fn refusal(home: &Home, gateway: &Gateway) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        let status = home.ask(gateway.port, "channels status --json");
        let status: serde_json::Value = serde_json::from_str(&status.out).expect("JSON");
        let row = &status["channelAccounts"]["irc"][0];
        if let Some(error) = row["lastError"].as_str() {
            // The clock may be set, a portal passed: it is tried again.
            assert_eq!(row["healthState"], "reconnecting", "{row}");
            return error.to_owned();
        }
        assert!(Instant::now() < end, "never refused: {row}");
    }
}

#[test]
fn a_conversation_by_tls() {
    let home = Home::new();
    let server = Server::new(&home, "own");
    configure(&home, "localhost", server.port());
    let _gateway = start(&home, &server.cert);
    let (mut lines, first) = server.accept().expect("a session");
    assert_eq!(first, "NICK bot\r\n");
    let said = ":srv 001 bot :Welcome\r\n:al!u@host PRIVMSG bot :through the tunnel\r\n";
    lines.get_mut().write_all(said.as_bytes()).expect("it reads");
    let mut line = String::new();
    while !line.starts_with("PRIVMSG al :") {
        line.clear();
        assert!(lines.read_line(&mut line).expect("a line in time") > 0, "the gateway closed");
    }
    while !line.contains("through the tunnel") {
        line.clear();
        assert!(lines.read_line(&mut line).expect("a line in time") > 0, "the gateway closed");
    }
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused_with_advice() {
    let home = Home::new();
    let (server, other) = (Server::new(&home, "own"), Server::new(&home, "other"));
    configure(&home, "localhost", server.port());
    let gateway = start(&home, &other.cert);
    assert!(server.accept().is_err(), "nothing is said to it");
    let why = refusal(&home, &gateway);
    assert!(why.contains("SSL_CERT_FILE"), "{why}");
    // It waits a minute: another try now would end the same.
    server.listener.set_nonblocking(true).expect("it");
    let end = Instant::now() + Duration::from_millis(300);
    while Instant::now() < end {
        assert!(server.listener.accept().is_err(), "it tries again");
        std::thread::yield_now();
    }
}

#[test]
fn a_certificate_of_another_name_is_refused() {
    let home = Home::new();
    let server = Server::new(&home, "own");
    // An address of the loopback that the certificate does not name.
    configure(&home, "127.0.0.2", server.port());
    let relay = TcpListener::bind(("127.0.0.2", server.port()));
    let gateway = start(&home, &server.cert);
    let Ok(relay) = relay else { panic!("127.0.0.2 is not ours") };
    let listener = Server { listener: relay, config: Arc::clone(&server.config), ..server };
    assert!(listener.accept().is_err(), "nothing is said to it");
    let why = refusal(&home, &gateway);
    assert!(why.contains("127.0.0.2") || why.contains("name"), "{why}");
}
