//! Which License the keys of a Subscription are for, and whether it takes them (docs/design/domain.md, Keys).

use kube::ResourceExt;

use super::{License, Subscription};

/// The namespace and name of the License that the keys are for; `None` if they are delivered to no License.
pub fn license_of(subscription: &Subscription) -> Option<(String, String)> {
    let license = subscription.spec.deliver_to.as_ref()?.license.as_ref()?;
    let namespace = license.namespace.clone().or_else(|| subscription.namespace()).unwrap_or_default();
    Some((namespace, license.name.clone()))
}

/// Whether `license`, for which the keys of `subscription` are, takes them. From another namespace it must name the
/// Subscription: the writer of one namespace decides nothing in another.
pub fn takes_keys_of(license: &License, subscription: &Subscription) -> bool {
    let (own, theirs) = (license.namespace(), subscription.namespace());
    let names = |back: &super::license::SubscriptionRef| {
        back.name == subscription.name_any() && back.namespace.as_ref().or(own.as_ref()) == theirs.as_ref()
    };
    own == theirs || license.spec.subscription_ref.as_ref().is_some_and(names)
}
