//! Conditions: what people read in `kubectl describe` and wait for with `kubectl wait`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Timestamp;
use crate::domain::Instant;
use crate::domain::reason::Reason;
use crate::domain::text::spelt_out;

/// The longest message, in bytes; longer ones are cut.
const MAX_MESSAGE: usize = 2_000;

macro_rules! condition_types {
    ($($(#[doc = $text:literal])+ $name:ident,)*) => {
        /// What a condition is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ConditionType {
            $($(#[doc = $text])+ $name,)*
        }

        impl ConditionType {
            /// Every type, in the order of the documentation.
            pub const ALL: &[ConditionType] = &[$(ConditionType::$name,)*];

            /// The type as it is written in status.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(ConditionType::$name => stringify!($name),)*
                }
            }

            /// What it says when it is `True`.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(ConditionType::$name => concat!($($text),+).trim_start(),)*
                }
            }
        }
    };
}

condition_types! {
    /// The spec was read, and status says what it grants or what was done. Demo mode is Ready too.
    Ready,
    /// The object waits for something that may still come.
    Reconciling,
    /// No retry can help: the spec has to change.
    Stalled,
    /// The License is in mode Full or Grace.
    Licensed,
    /// A grant has ended and is in its grace period.
    InGrace,
    /// Only the demo seats are left.
    InDemo,
    /// The licence ends within four weeks, and no key follows.
    ExpiringSoon,
    /// A key that was read grants nothing.
    KeyRefused,
    /// Other Licenses present keys of the same grant. This License keeps it, and they are refused these keys.
    Contested,
    /// A Secret that the License names is missing or wrong, as a whole or in part, while the rest keeps it licensed.
    SourceMissing,
    /// `spec.trust` is ignored, because the installation pins the trust or does not take it from Licenses.
    TrustRefused,
    /// The list of revoked keys of a trusted signer is missing, older than before or expired, or cannot be kept. What was
    /// revoked stays revoked, and nothing else is refused because of it.
    RevocationsOutdated,
    /// More members need a seat than there are seats.
    RosterExceedsSeats,
    /// The operator knows what time it is.
    ClockTrusted,
    /// Entries of the same user overlap.
    DuplicateMember,
    /// Names of users are easily taken for others: they differ only in upper and lower case, or have characters that may not
    /// be seen.
    DoubtfulNames,
    /// Every key that is due has been issued.
    Issued,
    /// Every key is where it should be.
    Delivered,
    /// A part of the object is not acted on, and the rest is.
    PartRefused,
    /// Every part of the object is acted on by this version.
    FullyActedOn,
}

/// One aspect of an object's state, in the shape that every Kubernetes tool reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the condition says, such as Ready.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub type_: String,
    /// Whether it holds: True, False or Unknown.
    pub status: ConditionStatus,
    /// The generation of the object that it was judged for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When its status changed last.
    pub last_transition_time: Timestamp,
    /// Why, as a word for programs to match on.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Why, as a sentence that names the object and the field.
    #[schemars(length(max = 32768))]
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

/// A builder for the conditions of one object.
pub struct Conditions<'a> {
    before: &'a [Condition],
    generation: i64,
    now: Instant,
    list: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    /// `before` holds the object's current conditions: a condition that keeps its status keeps its last transition
    /// time.
    pub fn new(before: &'a [Condition], generation: Option<i64>, now: Instant) -> Self {
        Conditions { before, generation: generation.unwrap_or(0), now, list: Vec::new() }
    }

    /// Adds a condition that is `True` if it `holds`, otherwise `False`. What a reader of the message would not see is
    /// spelt out.
    pub fn set(&mut self, type_: ConditionType, holds: bool, reason: Reason, message: impl Into<String>) {
        let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
        let same = self.before.iter().find(|c| c.type_ == type_.as_str() && c.status == status);
        // Messages quote keys and names that somebody else wrote, and terminals show them.
        let mut message = spelt_out(&message.into());
        if message.len() > MAX_MESSAGE {
            let end = (0..=MAX_MESSAGE).rev().find(|n| message.is_char_boundary(*n)).unwrap_or(0);
            message.truncate(end);
            message.push('…');
        }
        self.list.push(Condition {
            type_: type_.as_str().to_owned(),
            status,
            observed_generation: Some(self.generation),
            last_transition_time: same.map_or(self.now.into(), |c| c.last_transition_time),
            reason: reason.as_str().to_owned(),
            message,
        });
    }

    pub fn into_list(self) -> Vec<Condition> {
        self.list
    }
}

impl ConditionType {
    /// What holds of an object that cannot be acted on for this reason.
    pub const fn of_trouble(reason: Reason) -> Self {
        if reason.waits() { ConditionType::Reconciling } else { ConditionType::Stalled }
    }
}

/// The condition of type `type_`, if there is one.
pub fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == type_.as_str())
}

/// Whether there is a condition of type `type_` and it is `True`.
pub fn is_true(conditions: &[Condition], type_: ConditionType) -> bool {
    find(conditions, type_).is_some_and(|c| c.status == ConditionStatus::True)
}
