//! Which grant a key belongs to. The name in the key is not enough: anybody can sign a key with the name of another
//! customer's grant.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// Bytes of the hash of a grant's name: enough that nobody finds two names with the same one.
const HASH_BYTES: usize = 16;
/// Bytes of the hash of a product: it only has to differ from those of the other products of a License.
const PRODUCT_BYTES: usize = 8;

/// A grant of one signer. Keys of the same grant that were signed with two keys, because the vendor changed its signing
/// key, have two of them with the same `name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId {
    /// A hash of the product.
    pub product: Arc<str>,
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
        GrantId { product: product_id(product), name: hash(&text, HASH_BYTES), signer: signer.into() }
    }

    /// Reads what `Display` writes; `None` if the text is nothing of that kind.
    pub fn read(text: &str) -> Option<Self> {
        let (product, rest) = text.split_once('.')?;
        let (name, signer) = rest.split_once('.')?;
        let is_whole = [product, name, signer].iter().all(|part| !part.is_empty());
        is_whole.then(|| GrantId { product: product.into(), name: name.into(), signer: signer.into() })
    }
}

/// A product, as in `GrantId`.
pub fn product_id(product: &str) -> Arc<str> {
    hash(product, PRODUCT_BYTES)
}

fn hash(text: &str, bytes: usize) -> Arc<str> {
    BASE64.encode(&Sha256::digest(text)[..bytes]).into()
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.product, self.name, self.signer)
    }
}
