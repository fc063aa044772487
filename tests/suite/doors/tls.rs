//! Servers that cannot prove who they are: asked once, and named in the words of TLS.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::promptly;
use crate::suite::failure_support::{Lab, RECIPE, archive, refused, text};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

/// What a server does with whoever connects.
enum Manner {
    /// Shows this certificate, and has the pages of an archive.
    Certificate(&'static str),
    /// Answers with these bytes and is gone.
    Bytes(&'static [u8]),
}

/// A server on loopback, and how many connections it had.
struct Secure {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Secure {
    /// `behind` is where the pages are.
    fn start(manner: Manner, behind: &str) -> Secure {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, connections) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let (counted, behind) = (connections.clone(), Arc::new(Mutex::new(behind.to_owned())));
        let manner = Arc::new(manner);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
                let (manner, behind) = (manner.clone(), behind.lock().unwrap().clone());
                // Whoever does not believe the certificate hangs up.
                std::thread::spawn(move || answer(stream.unwrap(), &manner, &behind));
            }
        });
        Secure { port, connections }
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, manner: &Manner, behind: &str) -> std::io::Result<()> {
    let certificate = match manner {
        Manner::Certificate(name) => name,
        Manner::Bytes(bytes) => {
            let _hello = stream.read(&mut [0; 4096])?;
            return stream.write_all(bytes);
        }
    };
    let chain = vec![CertificateDer::from_pem_file(fixture(certificate)).unwrap()];
    let key = PrivateKeyDer::from_pem_file(fixture("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let mut shown = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream);
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        shown.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    // One request for a connection, and the same of the one behind.
    let request = String::from_utf8_lossy(&request).replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let mut pages = TcpStream::connect(behind.trim_start_matches("http://"))?;
    pages.write_all(request.as_bytes())?;
    let mut page = Vec::new();
    pages.read_to_end(&mut page)?;
    shown.write_all(&page)?;
    shown.conn.send_close_notify();
    shown.flush()
}

#[test]
fn a_server_that_cannot_prove_who_it_is_is_asked_once_and_says_why() {
    let authority = fixture("authority.pem");
    let authority = authority.to_str().unwrap();
    let plain = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for (manner, believed, words) in [
        (Manner::Certificate("here.pem"), None, "UnknownIssuer; SSL_CERT_FILE=FILE names the authorities"),
        (Manner::Certificate("expired.pem"), Some(authority), "certificate expired"),
        (Manner::Certificate("other.pem"), Some(authority), "certificate not valid for name"),
        (Manner::Bytes(plain), None, "does not speak TLS"),
        // Fatal, handshake_failure.
        (Manner::Bytes(b"\x15\x03\x03\x00\x02\x02\x28"), None, "HandshakeFailure"),
    ] {
        let lab = Lab::unlocked("tls", archive(), |_| RECIPE.to_owned());
        let server = Secure::start(manner, &lab.server.url());
        let mut kiln = lab.kiln();
        kiln.env("KILN_MIRROR", server.url()).env_remove("SSL_CERT_FILE").args(["lock", "tiny.kiln"]);
        believed.map(|file| kiln.env("SSL_CERT_FILE", file));
        let output = promptly(&mut kiln);
        refused(&output, 4, &["InRelease", words]);
        // For InRelease, and for Release.
        assert_eq!(server.connections(), 2, "{}", text(&output));
    }
}

/// The counterpart of the others: nothing else keeps them from this server.
#[test]
fn a_server_with_a_certificate_of_the_users_authority_is_believed() {
    let lab = Lab::unlocked("tls-believed", archive(), |_| RECIPE.to_owned());
    let server = Secure::start(Manner::Certificate("here.pem"), &lab.server.url());
    let mut kiln = lab.kiln();
    kiln.env("KILN_MIRROR", server.url()).env("SSL_CERT_FILE", fixture("authority.pem")).args(["lock", "tiny.kiln"]);
    let output = promptly(&mut kiln);
    assert!(output.status.success(), "{}", text(&output));
    assert!(server.connections() > 1);
}

/// A connection that breaks off in the handshake is not the server's word.
#[test]
fn a_server_that_hangs_up_is_asked_again() {
    let lab = Lab::unlocked("tls-again", archive(), |_| RECIPE.to_owned());
    let server = Secure::start(Manner::Bytes(b""), &lab.server.url());
    let mut kiln = lab.kiln();
    let output = promptly(kiln.env("KILN_MIRROR", server.url()).args(["lock", "tiny.kiln"]));
    refused(&output, 4, &["InRelease"]);
    assert!(server.connections() > 2, "{}", text(&output));
}
