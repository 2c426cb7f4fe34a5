//! Why a seat is refused, in words for whoever asked (`design.md` §4 "Seats").

use std::fmt;

use crate::domain::license::pool::LoginMode;

/// Why no seat is granted. Nothing is changed by a refusal, and no message names another user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No key was ever in force.
    NoLicense,
    SeatsExhausted {
        pool: String,
        held: u64,
        limit: u64,
        asked: u32,
    },
    /// The licence has ended, and the demo seats of all pools together are taken (I9).
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
    /// The workload is newer than any pool it may use, and no demo seat is left for it.
    VersionNotEntitled {
        version: u32,
        newest: Option<u32>,
    },
    NotAssigned {
        pool: String,
    },
    /// The asking user holds the seat on another client of theirs (M3).
    InUseOnOtherClient {
        pool: String,
        client: String,
    },
    /// No Roster belongs to the License.
    RosterMissing,
    NotInRoster,
    LoginModeNone,
    /// There are more members than seats, and the asking one comes after those who have one.
    RosterExceedsSeats {
        pool: String,
        members: u32,
        limit: u64,
    },
    /// The Roster decides on another pool.
    WrongPool {
        pool: String,
        wanted: String,
    },
    NoPoolForLoginMode {
        mode: LoginMode,
    },
    /// The keys grant features, and no seats.
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
    /// The word that answers, metrics and Events use.
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::NoLicense => "NoLicense",
            Refusal::SeatsExhausted { .. } => "SeatsExhausted",
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

    /// Whether asking again later may help without anybody changing the licence, the Roster or the request: when it
    /// makes sense to wait, and to answer with `Retry-After`.
    pub fn may_pass(&self) -> bool {
        match self {
            Refusal::SeatsExhausted { limit, asked, .. } => u64::from(*asked) <= *limit,
            Refusal::DemoSeatsExhausted { demo_seats, .. } => *demo_seats > 0,
            Refusal::ReservedForTeam { .. } | Refusal::InUseOnOtherClient { .. } | Refusal::TooManySessions { .. } => {
                true
            }
            _ => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoLicense => write!(f, "no licence key was ever in force here; enter a key to get seats"),
            Refusal::SeatsExhausted { pool, held, limit, asked: 1 } => write!(
                f,
                "{held} seats of pool `{pool}` are in use and it has {limit}; wait until one is released, or order more"
            ),
            Refusal::SeatsExhausted { pool, held, limit, asked } => {
                write!(f, "{asked} seats were asked for at once; {held} of pool `{pool}` are in use and it has {limit}")
            }
            Refusal::DemoSeatsExhausted { held, demo_seats } => write!(
                f,
                "the licence has ended; in demo mode {demo_seats} may be logged in and {held} are; enter a new key for full use"
            ),
            Refusal::ReservedForTeam { pool, held, limit, reserved } => write!(
                f,
                "{held} of {limit} seats of pool `{pool}` are in use and {reserved} are reserved for other teams"
            ),
            Refusal::VersionNotEntitled { version, newest: Some(newest) } => write!(
                f,
                "the licence covers versions up to {newest}, and this is {version}; order the upgrade, or run {newest}"
            ),
            Refusal::VersionNotEntitled { version, newest: None } => {
                write!(f, "the licence does not cover version {version}; order the upgrade")
            }
            Refusal::NotAssigned { pool } => {
                write!(f, "no seat of pool `{pool}` is assigned to this user; ask the licence administrator for one")
            }
            Refusal::InUseOnOtherClient { pool, client } => write!(
                f,
                "this user's seat of pool `{pool}` is in use on client `{client}`; close the program there first"
            ),
            Refusal::RosterMissing => {
                write!(f, "the licence counts people and no Roster belongs to it; apply one that names the licence")
            }
            Refusal::NotInRoster => write!(f, "this user is in no Roster of the licence today"),
            Refusal::LoginModeNone => {
                write!(f, "this user's login mode is None, which needs no licence and cannot log in")
            }
            Refusal::RosterExceedsSeats { pool, members, limit } => write!(
                f,
                "{members} members need a licence and there are {limit} (pool `{pool}`); this user joined after those who have one"
            ),
            Refusal::WrongPool { pool, wanted } => {
                write!(f, "the Roster puts this user into pool `{pool}`, not `{wanted}`; ask without naming a pool")
            }
            Refusal::NoPoolForLoginMode { mode } => {
                write!(f, "the licence has no pool for users whose login mode is {mode:?}")
            }
            Refusal::NoPools => write!(f, "the licence has no pool of seats"),
            Refusal::PoolRequired { pools } => write!(f, "name a pool, one of: {}", pools.join(", ")),
            Refusal::UnknownPool { pool, pools } => {
                write!(f, "the licence has no pool `{}`; it has: {}", pool.escape_debug(), pools.join(", "))
            }
            Refusal::UserRequired { pool } => write!(f, "pool `{pool}` is counted by people; name the user"),
            Refusal::ClientRequired { pool } => {
                write!(f, "a seat of pool `{pool}` is used on one computer at a time; name the client")
            }
            Refusal::TooManySessions { pool, limit } => {
                write!(f, "this user has {limit} sessions on one seat of pool `{pool}`, which is as many as are kept")
            }
            Refusal::InvalidRequest(why) => f.write_str(why),
        }
    }
}
