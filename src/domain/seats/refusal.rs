//! Why a seat is refused, in words for the caller (docs/design/domain.md, Seats).

use std::fmt;

use super::keyed::is_keyed;
use crate::domain::license::pool::LoginMode;

/// Why no seat is granted. A refusal changes nothing, and its message never names another user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No key has ever been in force.
    NoLicense,
    SeatsExhausted {
        pool: String,
        held: u64,
        limit: u64,
        asked: u32,
        /// How many of those held are held under other Licenses.
        elsewhere: u64,
    },
    /// The pool has no limit, and the License has as many seats in use as one may have.
    UnlimitedPoolFull {
        pool: String,
        limit: u64,
    },
    /// The licence has ended, and the demo seats, counted over all pools, are taken (I9).
    DemoSeatsExhausted {
        held: u64,
        demo_seats: u32,
    },
    ReservedForTeam {
        pool: String,
        held: u64,
        limit: u64,
        reserved: u64,
    },
    /// No pool that the workload may use covers a version this new, and no demo seat is left for it.
    VersionNotEntitled {
        version: u32,
        newest: Option<u32>,
    },
    NotAssigned {
        pool: String,
    },
    /// The user holds the seat on another of their machines (M3).
    InUseOnOtherClient {
        pool: String,
        client: String,
    },
    /// No Roster belongs to the License.
    RosterMissing,
    NotInRoster,
    LoginModeNone,
    /// There are more members than seats, and this user comes after those who have one.
    RosterExceedsSeats {
        pool: String,
        members: u32,
        limit: u64,
    },
    /// The Roster assigns the user to another pool.
    WrongPool {
        pool: String,
        wanted: String,
    },
    NoPoolForLoginMode {
        mode: LoginMode,
    },
    /// The keys grant features but no seats.
    NoPools,
    PoolRequired {
        pools: Vec<String>,
    },
    UnknownPool {
        pool: String,
        pools: Vec<String>,
    },
    UserRequired {
        pool: String,
    },
    ClientRequired {
        pool: String,
    },
    TooManySessions {
        pool: String,
        limit: usize,
    },
    InvalidRequest(String),
}

impl Refusal {
    /// The reason as it appears in answers, metrics and Events.
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::NoLicense => "NoLicense",
            Refusal::SeatsExhausted { .. } => "SeatsExhausted",
            Refusal::UnlimitedPoolFull { .. } => "UnlimitedPoolFull",
            Refusal::DemoSeatsExhausted { .. } => "DemoSeatsExhausted",
            Refusal::ReservedForTeam { .. } => "ReservedForTeam",
            Refusal::VersionNotEntitled { .. } => "VersionNotEntitled",
            Refusal::NotAssigned { .. } => "NotAssigned",
            Refusal::InUseOnOtherClient { .. } => "InUseOnOtherClient",
            Refusal::RosterMissing => "RosterMissing",
            Refusal::NotInRoster => "NotInRoster",
            Refusal::LoginModeNone => "LoginModeNone",
            Refusal::RosterExceedsSeats { .. } => "RosterExceedsSeats",
            Refusal::WrongPool { .. } => "WrongPool",
            Refusal::NoPoolForLoginMode { .. } => "NoPoolForLoginMode",
            Refusal::NoPools => "NoPools",
            Refusal::PoolRequired { .. } => "PoolRequired",
            Refusal::UnknownPool { .. } => "UnknownPool",
            Refusal::UserRequired { .. } => "UserRequired",
            Refusal::ClientRequired { .. } => "ClientRequired",
            Refusal::TooManySessions { .. } => "TooManySessions",
            Refusal::InvalidRequest(_) => "InvalidRequest",
        }
    }

    /// Whether asking again later may succeed without a change to the licence, the Roster or the request. If so, the
    /// caller may wait, and the answer carries `Retry-After`.
    pub fn may_pass(&self) -> bool {
        match self {
            Refusal::SeatsExhausted { limit, asked, .. } => u64::from(*asked) <= *limit,
            Refusal::DemoSeatsExhausted { demo_seats, .. } => *demo_seats > 0,
            Refusal::ReservedForTeam { .. }
            | Refusal::InUseOnOtherClient { .. }
            | Refusal::TooManySessions { .. }
            | Refusal::UnlimitedPoolFull { .. } => true,
            _ => false,
        }
    }
}

impl Refusal {
    /// Says which bound has been reached.
    fn say_too_many(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::TooManySessions { pool, limit } => write!(
                f,
                "this user already has {limit} sessions on a seat of pool `{pool}`, the most allowed; end one"
            ),
            Refusal::UnlimitedPoolFull { pool, limit } => write!(
                f,
                "pool `{pool}` is unlimited, but at most {limit} seats of a License with such a pool are in use at once; \
                 release some"
            ),
            _ => Ok(()),
        }
    }
}

/// How many of the seats in use are held under other Licenses.
struct OfThemElsewhere(u64);

impl fmt::Display for OfThemElsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            seats => write!(f, ", {seats} of them under other Licenses that had the same key before"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoLicense => write!(f, "no key of this licence is or was in force; its License says why"),
            Refusal::SeatsExhausted { pool, held, limit, asked: 1, elsewhere } => write!(
                f,
                "pool `{pool}` has {limit} seats and {held} are in use{}; wait until one is released, or order more",
                OfThemElsewhere(*elsewhere)
            ),
            Refusal::SeatsExhausted { pool, held, limit, asked, elsewhere } => write!(
                f,
                "{asked} seats were requested at once, but pool `{pool}` has {limit} and {held} are in use{}; request \
                 fewer",
                OfThemElsewhere(*elsewhere)
            ),
            Refusal::DemoSeatsExhausted { held, demo_seats } => write!(
                f,
                "the licence has ended; demo mode allows {demo_seats} seats and {held} are in use; add a new key for \
                 full use"
            ),
            Refusal::ReservedForTeam { pool, held, limit, reserved } => write!(
                f,
                "pool `{pool}` has {limit} seats: {held} are in use and {reserved} are reserved for other teams; \
                 wait until one is released"
            ),
            Refusal::VersionNotEntitled { version, newest: Some(newest) } => write!(
                f,
                "the licence covers versions up to {newest}, but this is version {version}; order the upgrade, or \
                 run {newest}"
            ),
            Refusal::VersionNotEntitled { version, newest: None } => {
                write!(f, "the licence does not cover version {version}; order the upgrade")
            }
            Refusal::NotAssigned { pool } => {
                write!(f, "no seat of pool `{pool}` is assigned to this user; ask the licence administrator for one")
            }
            Refusal::InUseOnOtherClient { pool, client } if is_keyed(client) => write!(
                f,
                "this user's seat of pool `{pool}` is in use on another machine; close the program on that machine first"
            ),
            Refusal::InUseOnOtherClient { pool, client } => write!(
                f,
                "this user's seat of pool `{pool}` is in use on the machine `{client}`; close the program on that \
                 machine first"
            ),
            Refusal::RosterMissing => {
                write!(f, "the licence counts people but has no Roster; create a Roster that refers to this License")
            }
            Refusal::NotInRoster => {
                write!(f, "this user is in no Roster of the licence today; ask the licence administrator for an entry")
            }
            Refusal::LoginModeNone => {
                write!(f, "this user's login mode in the Roster is None, which needs no licence and allows no login")
            }
            Refusal::RosterExceedsSeats { pool, members, limit } => write!(
                f,
                "{members} members need a licence and pool `{pool}` has {limit}; members who come before this user \
                 have them; order more"
            ),
            Refusal::WrongPool { pool, wanted } => {
                write!(f, "the Roster assigns this user to pool `{pool}`, not `{wanted}`; ask without naming a pool")
            }
            Refusal::NoPoolForLoginMode { mode } => {
                write!(f, "the licence has no pool for users whose login mode is {mode:?}")
            }
            Refusal::NoPools => write!(f, "the licence grants no seats: it has no pool"),
            Refusal::PoolRequired { pools } => {
                write!(f, "the licence has several pools; name one of: {}", pools.join(", "))
            }
            Refusal::UnknownPool { pool, pools } => {
                write!(f, "the licence has no pool `{}`; it has: {}", pool.escape_debug(), pools.join(", "))
            }
            Refusal::UserRequired { pool } => write!(f, "seats of pool `{pool}` belong to users; name the user"),
            Refusal::ClientRequired { pool } => {
                write!(f, "a seat of pool `{pool}` is used on one machine at a time; name the machine as `client`")
            }
            Refusal::TooManySessions { .. } | Refusal::UnlimitedPoolFull { .. } => self.say_too_many(f),
            Refusal::InvalidRequest(why) => f.write_str(why),
        }
    }
}
