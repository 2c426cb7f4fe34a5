//! `tls.crt`, `tls.key` and `ca.crt` of the seat server, one after the other with a line `---` between them.

use rustls::pki_types::ServerName;
use seatkeeper::server::http::tls::Files;
use std::path::Path;
use std::sync::Once;

use super::shared::halves;

pub fn run(data: &[u8]) {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let (certificate, rest) = halves(data);
    let (key, authority) = halves(rest);
    let files = Files { certificate: certificate.into(), key: key.into(), authority: Some(authority.into()) };
    let name = ServerName::try_from("seats.example.svc").expect("it is a name");
    if let Err(why) = files.tls(Path::new("tls"), &name) {
        // It may quote a line, byte by byte.
        assert!(why.len() < 1024 + 8 * data.len(), "{} bytes are said", why.len());
    }
}
