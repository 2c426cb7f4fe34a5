//! `signing-key.pem`: the private key of a vendor, in a Secret or a file.

use seatkeeper::domain::license::jwk::{read_signing_key, signing_key_pem};

pub fn run(data: &[u8]) {
    match read_signing_key(data) {
        Ok(key) => {
            let (same, pem) = signing_key_pem(key.as_bytes()).expect("a key can be written");
            assert_eq!(same, key);
            assert_eq!(read_signing_key(pem.as_bytes()).ok(), Some(key), "a key that is written reads as it was");
        }
        // What is said of a text that is no key has a length of its own: it repeats nothing.
        Err(fault) => assert!(fault.to_string().len() < 256, "{fault}"),
    }
}
