//! The kinds that the operator looks after, each with its controller.

use kube::Client;
use std::sync::Arc;

use super::kind::Kind;
use super::license::LicenseController;
use super::plan::PlanController;
use super::roster::RosterController;
use super::runner::{AnyKind, Controller, RunningKind, Surroundings};
use super::subscription::SubscriptionController;

macro_rules! kinds {
    ($($name:ident: $controller:ty,)*) => {
        /// What is kept of each kind, before anything is looked at.
        pub struct Kinds {
            $(pub $name: Arc<Kind<<$controller as Controller>::Object>>,)*
        }

        impl Kinds {
            pub fn new(client: &Client) -> Self {
                Kinds { $($name: Arc::new(Kind::new(client)),)* }
            }
        }

        /// Each kind with its controller.
        pub struct Controllers {
            $(pub $name: Arc<RunningKind<$controller>>,)*
            pub with: Surroundings,
        }

        impl Controllers {
            pub fn new(kinds: Kinds, with: Surroundings) -> Self {
                Controllers { $($name: Arc::new(RunningKind::new(kinds.$name, &with)),)* with }
            }

            pub fn each(&self) -> Vec<Arc<dyn AnyKind>> {
                vec![$(self.$name.clone(),)*]
            }
        }
    };
}

// Objects are looked at in this order after a restart. What makes them worth another look is in `relations.rs`.
kinds! {
    licenses: LicenseController,
    subscriptions: SubscriptionController,
    plans: PlanController,
    rosters: RosterController,
}
