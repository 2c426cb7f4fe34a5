//! The kinds that the operator looks after, each with its controller.

use kube::Client;
use std::sync::Arc;
use tokio::sync::Semaphore;

use super::kind::Kind;
use super::license::LicenseController;
use super::plan::PlanController;
use super::roster::RosterController;
use super::runner::{AnyKind, Controller, RunningKind, Surroundings};
use super::subscription::SubscriptionController;
use crate::cluster::scope::Scope;

/// Where the operator looks at what vendors write, and at what customers do.
pub struct Whose {
    pub vendor: Scope,
    pub customer: Scope,
}

macro_rules! kinds {
    ($($name:ident: $controller:ty, written by $whom:ident;)*) => {
        /// What is kept of each kind, before anything is looked at.
        pub struct Kinds {
            $(pub $name: Arc<Kind<<$controller as Controller>::Object>>,)*
        }

        impl Kinds {
            /// `listing` is for one list at a time.
            pub fn new(client: &Client, whose: &Whose, listing: &Arc<Semaphore>) -> Self {
                Kinds { $($name: Arc::new(Kind::new(client, &whose.$whom, listing)),)* }
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
    licenses: LicenseController, written by customer;
    subscriptions: SubscriptionController, written by vendor;
    plans: PlanController, written by vendor;
    rosters: RosterController, written by customer;
}
