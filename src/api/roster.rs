//! `Roster`: people, and when each of them is a member (T1–T9). Rooms, cars and other objects are not listed (T4).

use kube::{CustomResource, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{CivilDate, LicenseRef, LocalDay, Timestamp, is_name};
use super::conditions::Condition;
use crate::domain::contract::term::{FIRST_DATE, LAST_DATE};
use crate::domain::fault::Fault;
use crate::domain::names::normal;
use crate::domain::reason::Reason;
use crate::domain::seats::request::MAX_NAME_BYTES;
use crate::domain::seats::roster::{self as people, MemberMode};
use crate::domain::zone::Zone;

/// The people that a License is for: each one's login mode and dates of entry and exit. Written by the customer. A
/// License may have many Rosters; a user who is in several of them counts once.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "seatkeeper.dev",
    version = "v1alpha1",
    kind = "Roster",
    namespaced,
    status = "RosterStatus",
    shortname = "lroster",
    category = "licensing",
    selectable = ".spec.licenseRef.name",
    printcolumn = r#"{"name":"License","type":"string","jsonPath":".spec.licenseRef.name"}"#,
    printcolumn = r#"{"name":"Active","type":"integer","jsonPath":".status.members.active"}"#,
    printcolumn = r#"{"name":"Passive","type":"integer","jsonPath":".status.members.passive"}"#,
    printcolumn = r#"{"name":"None","type":"integer","jsonPath":".status.members.none"}"#,
    printcolumn = r#"{"name":"Next change","type":"string","jsonPath":".status.nextDay","description":"When a membership next begins, ends or changes"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name":"Time zone","type":"string","priority":1,"jsonPath":".spec.timeZone"}"#,
    printcolumn = r#"{"name":"Status","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type=='Ready')].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct RosterSpec {
    /// The License that these people need.
    pub license_ref: LicenseRef,
    /// The time zone of the entry and exit dates, an IANA name such as Europe/Berlin. Default: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// Every member, with one entry for each period: a person who returns has two. At most 2,000, which fit into an object
    /// of the API server, whatever their names; for more people make several Rosters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2000), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["user", "entryDate"]))]
    pub members: Vec<RosterMember>,
}

/// One period of membership of one user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(self.exitDate) || self.exitDate > self.entryDate", "message": "exitDate is the first day on which the user is no longer a member: write a day after entryDate, or leave it out", "fieldPath": ".exitDate"},
    {"rule": "2 * bytes(self.user).size() + (has(self.team) ? bytes(self.team).size() : 0) <= 550", "message": "user and team are too long together: twice the bytes of user and those of team must be at most 550, so that 2,000 members fit into an object"}
]))]
pub struct RosterMember {
    /// The name of the user, as the applications spell it. Upper and lower case differ; how `é` is typed makes no difference.
    #[schemars(length(min = 1, max = 253), extend("x-kubernetes-validations" = [
        {"rule": "self.matches('^[^[:space:][:cntrl:]]([^[:cntrl:]]*[^[:space:][:cntrl:]])?$')", "message": "must be a user's name without control characters and without white space at its ends"},
        {"rule": "bytes(self).size() <= 253", "message": "must be a user's name of at most 253 bytes"}
    ]))]
    pub user: String,
    /// What the user may do: Active changes data, Passive only reads, None needs no licence and cannot log in.
    pub login_mode: MemberMode,
    /// The first day of membership.
    pub entry_date: CivilDate,
    /// The first day on which the user is no longer a member. Leave it out if no end is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_date: Option<CivilDate>,
    /// The team that the user's seats count towards, if the License gives the people of this namespace the rank of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), extend("x-kubernetes-validations" = is_name()))]
    pub team: Option<String>,
}

/// The members now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RosterStatus {
    /// The generation of the Roster that this status was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<MemberCounts>,
    /// When a membership next begins, ends or changes. Absent if no change is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_change: Option<Timestamp>,
    /// The day on which that happens, in spec.timeZone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_day: Option<LocalDay>,
    /// What holds and what does not, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// How many users are members now. A user with several entries counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberCounts {
    /// All members, whatever their login mode.
    #[schemars(range(min = 0))]
    pub current: u32,
    /// Members whose login mode is Active.
    #[schemars(range(min = 0))]
    pub active: u32,
    /// Members whose login mode is Passive.
    #[schemars(range(min = 0))]
    pub passive: u32,
    /// Members whose login mode is None.
    #[schemars(range(min = 0))]
    pub none: u32,
}

impl Roster {
    /// The namespace and the name of the License.
    pub fn license(&self) -> (String, &str) {
        let license = &self.spec.license_ref;
        let namespace = license.namespace.clone().or_else(|| self.namespace()).unwrap_or_default();
        (namespace, &license.name)
    }

    /// Returns the people in it, for the domain. If it is in another namespace than the License, they are a guest's;
    /// `Enrolment` gives them the standing of the owner's people if the License says `rosters: Equal`. Their Roster is named
    /// `namespace/name`, which is unique across namespaces. The faults are those of entries that are left out, because their
    /// dates name no instants, or nobody can have that name. Fails if the time zone is unknown: such a Roster counts for no
    /// user.
    pub fn people(&self) -> Result<(people::Roster, Vec<Fault>), Fault> {
        let zone = self.spec.time_zone.as_deref().unwrap_or("UTC");
        let time_zone = Zone::named(zone).ok_or_else(|| {
            let message = format!(
                "{zone:?} is not a time zone; write an IANA name such as Europe/Berlin, or leave it out for UTC"
            );
            Fault::new(Reason::UnknownTimeZone, "spec.timeZone", message)
        })?;
        let (mut entries, mut left_out) = (Vec::with_capacity(self.spec.members.len()), Vec::new());
        for (n, member) in self.spec.members.iter().enumerate() {
            match member.date_out_of_range(n).or_else(|| member.name_too_long(n)) {
                Some(fault) => left_out.push(fault),
                None => entries.push(member.entry()),
            }
        }
        let name = format!("{}/{}", self.namespace().unwrap_or_default(), self.name_any());
        let guest = self.namespace().filter(|namespace| *namespace != self.license().0).map(Into::into);
        Ok((people::Roster { name, guest, is_equal: false, time_zone, entries }, left_out))
    }
}

impl RosterMember {
    /// The API server refuses such dates, but it never sees files and did not check older objects.
    fn date_out_of_range(&self, n: usize) -> Option<Fault> {
        let dates = [("entryDate", Some(self.entry_date)), ("exitDate", self.exit_date)];
        let mut outside = dates.into_iter().filter_map(|(field, date)| Some((field, date?.0)));
        let (field, date) = outside.find(|(_, date)| !(FIRST_DATE..=LAST_DATE).contains(date))?;
        let message =
            format!("{date} must be a civil date from {FIRST_DATE} to {LAST_DATE}; this entry does not count");
        Some(Fault::new(Reason::DateOutOfRange, format!("spec.members[{n}].{field}"), message))
    }

    /// No request can have a name that long. The API server does not know the form in which names are compared.
    fn name_too_long(&self, n: usize) -> Option<Fault> {
        let bytes = normal(&self.user).len();
        let message = || {
            format!(
                "the name has {bytes} bytes as names are compared (Unicode NFC), and {MAX_NAME_BYTES} are the most; this entry does not \
                 count"
            )
        };
        (bytes > MAX_NAME_BYTES).then(|| Fault::new(Reason::NameTooLong, format!("spec.members[{n}].user"), message()))
    }

    fn entry(&self) -> people::RosterEntry {
        people::RosterEntry {
            user: normal(&self.user).into_owned(),
            login_mode: self.login_mode,
            entry_date: self.entry_date.0,
            exit_date: self.exit_date.map(|date| date.0),
            team: self.team.as_deref().map(|team| normal(team).into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The API server refuses such a date, but it did not check older objects.
    #[test]
    fn a_member_with_an_impossible_date_spoils_no_other() {
        let member = |user: &str, day: &str| json!({"user": user, "loginMode": "Active", "entryDate": day});
        let mut roster: Roster = serde_json::from_value(json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "Roster", "metadata": {"name": "r", "namespace": "n"},
            "spec": {"licenseRef": {"name": "l"}, "members": [member("a", "0001-01-01"), member("b", "2026-01-01")]},
        }))
        .expect("a Roster");
        let (people, left_out) = roster.people().expect("its time zone is known");
        assert_eq!(people.entries.iter().map(|entry| entry.user.as_str()).collect::<Vec<_>>(), ["b"]);
        let named = left_out.iter().map(|fault| fault.field.as_str());
        assert_eq!(named.collect::<Vec<_>>(), ["spec.members[0].entryDate"]);
        roster.spec.time_zone = Some("Europe/Atlantis".into());
        assert!(roster.people().is_err(), "a guess at the time zone would let people in a day early");
    }
}
