//! TCP to another replica.

use hyper_util::client::legacy::connect::HttpConnector;
use std::time::Duration;

/// Another replica has this long to accept a connection.
const CONNECT: Duration = Duration::from_secs(1);

/// Makes TCP connections to other replicas. TLS may be laid over them.
pub fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    // Requests that TLS wraps have the scheme https.
    connector.enforce_http(false);
    connector
}
