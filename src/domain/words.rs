//! Lists of words for programs to match on, each with its meaning for people.

macro_rules! words {
    ($(#[doc = $what:literal])+ $list:ident $($(#[doc = $text:literal])+ $name:ident,)*) => {
        $(#[doc = $what])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $list {
            $($(#[doc = $text])+ $name,)*
        }

        impl $list {
            /// Every word, in the order of the documentation.
            pub const ALL: &[$list] = &[$($list::$name,)*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($list::$name => stringify!($name),)*
                }
            }

            /// What it means, and what to do about it.
            pub fn meaning(self) -> &'static str {
                match self {
                    $($list::$name => concat!($($text),+).trim_start(),)*
                }
            }
        }
    };
}

pub(super) use words;
