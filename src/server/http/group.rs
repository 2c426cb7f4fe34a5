//! Against whom connections, bodies and reviews are counted.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Callers that have one share of what there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Those who have not shown who they are. An IPv6 address stands for the 2^64 of its network.
    Address(IpAddr),
    /// The ServiceAccounts of a namespace: there, one person makes as many as it likes.
    Namespace(Arc<str>),
    User(Arc<str>),
}

impl Group {
    /// The group of a connection from `address`.
    pub fn at(address: IpAddr) -> Self {
        Group::Address(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        })
    }

    /// The group of a user by its name in Kubernetes.
    pub fn of(user: &str) -> Self {
        namespace_of(user).map_or_else(|| Group::User(user.into()), |namespace| Group::Namespace(namespace.into()))
    }
}

/// The namespace of a ServiceAccount by its name as a user; `None` for any other user.
pub fn namespace_of(user: &str) -> Option<&str> {
    user.strip_prefix(SERVICE_ACCOUNT)?.split(':').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_and_a_namespace_have_one_share_each() {
        let at = |address: &str| Group::at(address.parse().unwrap());
        assert_eq!(at("2001:db8:0:1::1"), at("2001:db8:0:1:ffff::"));
        assert_ne!(at("2001:db8:0:1::1"), at("2001:db8:0:2::1"));
        assert_eq!(at("::ffff:10.0.0.1"), at("10.0.0.1"));
        assert_ne!(at("10.0.0.1"), at("10.0.0.2"));
        assert_eq!(Group::of("system:serviceaccount:a:b"), Group::of("system:serviceaccount:a:c"));
        assert_ne!(Group::of("system:serviceaccount:a:b"), Group::of("a"));
    }
}
