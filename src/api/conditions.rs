//! Conditions: what people read in `kubectl describe` and wait for with `kubectl wait`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Timestamp;
use crate::domain::Instant;

/// The longest message, in bytes; longer ones are cut.
const MAX_MESSAGE: usize = 2_000;

/// One aspect of an object's state, in the shape that every Kubernetes tool reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub type_: String,
    pub status: ConditionStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    pub last_transition_time: Timestamp,
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
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

    /// Adds a condition that is `True` if it `holds`, otherwise `False`.
    pub fn set(&mut self, type_: &str, holds: bool, reason: &str, message: impl Into<String>) {
        let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
        let same = self.before.iter().find(|c| c.type_ == type_ && c.status == status);
        let mut message = message.into();
        if message.len() > MAX_MESSAGE {
            let end = (0..=MAX_MESSAGE).rev().find(|n| message.is_char_boundary(*n)).unwrap_or(0);
            message.truncate(end);
            message.push('…');
        }
        self.list.push(Condition {
            type_: type_.to_owned(),
            status,
            observed_generation: Some(self.generation),
            last_transition_time: same.map_or(self.now.into(), |c| c.last_transition_time),
            reason: reason.to_owned(),
            message,
        });
    }

    pub fn into_list(self) -> Vec<Condition> {
        self.list
    }
}

/// The condition of type `type_`, if there is one.
pub fn find<'c>(conditions: &'c [Condition], type_: &str) -> Option<&'c Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Whether there is a condition of type `type_` and it is `True`.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|c| c.status == ConditionStatus::True)
}
