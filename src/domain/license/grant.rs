//! Which grant a key belongs to. The name in the key is not enough: anybody can sign a key with the name of another
//! customer's grant.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// Bytes of the hash of a grant's name: enough that nobody finds two names with the same one.
const HASH_BYTES: usize = 16;

/// A grant of one signer. Keys of the same grant that were signed with two keys, because the vendor changed its signing
/// key, have two of them with the same `name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId {
    /// A hash of the product and of the name that the key states.
    pub name: Arc<str>,
    /// The thumbprint of the public key with which the key was verified.
    pub signer: Arc<str>,
}

impl GrantId {
    /// The grant of this name for a product, as the signer with that thumbprint makes it.
    pub fn of(product: &str, grant: &str, signer: &str) -> Self {
        // A product and a grant contain any character, so the length tells where one ends.
        let text = format!("{} {product} {grant}", product.len());
        GrantId { name: BASE64.encode(&Sha256::digest(text)[..HASH_BYTES]).into(), signer: signer.into() }
    }

    /// Reads what `Display` writes; `None` if the text is nothing of that kind.
    pub fn read(text: &str) -> Option<Self> {
        let (name, signer) = text.split_once('.')?;
        (!name.is_empty() && !signer.is_empty()).then(|| GrantId { name: name.into(), signer: signer.into() })
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.signer)
    }
}
