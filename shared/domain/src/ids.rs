//! Identifiers: a prefix that says what the id names, then a ULID; or a name that the users chose.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::Timestamp;

/// The text does not name what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(&'static str);

macro_rules! text_forms {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

macro_rules! made_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// A new id: ids made at a later time sort after earlier ones, ids of the same millisecond by `chance`.
            pub fn new(now: Timestamp, chance: u128) -> Self {
                let millis = u64::try_from(now.as_millis()).unwrap_or(0);
                Self(format!(concat!($prefix, "_{}"), Ulid::from_parts(millis, chance)))
            }

            /// The id as text, prefix included.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// When the id was made.
            pub fn made_at(&self) -> Timestamp {
                let ulid = Ulid::from_string(self.0.trim_start_matches(concat!($prefix, "_")));
                let millis = ulid.map_or(0, |ulid| ulid.timestamp_ms());
                Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let rest = text.strip_prefix(concat!($prefix, "_"));
                match rest.and_then(|rest| Ulid::from_string(rest).ok().filter(|ulid| ulid.to_string() == rest)) {
                    Some(_) => Ok(Self(text.to_owned())),
                    None => Err(InvalidId(concat!("not an id of the form ", $prefix, "_ and 26 characters"))),
                }
            }
        }

        text_forms!($name);
    )*};
}

made_ids! {
    /// One hold of one number by one lead, from grant to end. Every change of a hold names it (fencing).
    AssignmentId = "asg";
    /// What speaks to the people who are called, as a company has it.
    AssistantId = "ast";
    /// One attempt to call one contact. Fits the 40 characters that the provider allows for a call's name.
    CallId = "call";
    /// A campaign.
    CampaignId = "cmp";
    /// One event of the journal.
    EventId = "evt";
    /// Something for a person to settle.
    TaskId = "tsk";
}

macro_rules! given_names {
    ($($(#[$doc:meta])* $name:ident: $longest:literal, $valid:path, $error:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                if (1..=$longest).contains(&text.len()) && text.bytes().all($valid) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId($error))
                }
            }
        }

        text_forms!($name);
    )*};
}

given_names! {
    /// The tenant: a broker company. Chosen when the company is made, never changed.
    CompanyId: 40, company_byte, "a company is 1 to 40 of a-z, 0-9, - and _";
    /// A person to call, by the id that the company's own system uses.
    LeadId: 100, lead_byte, "a lead is 1 to 100 of letters, digits and _ - . : @ +";
    /// Ties together everything that came of one request. The trace-id of W3C Trace Context: 32 hexadecimal digits.
    TraceId: 32, hex_byte, "a trace id is 32 hexadecimal digits";
}

impl TraceId {
    /// A new trace id out of 128 random bits.
    pub fn new(chance: u128) -> Self {
        Self(format!("{:032x}", chance.max(1)))
    }

    /// The trace id of a `traceparent` header of W3C Trace Context, where it is a valid one.
    pub fn from_traceparent(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let (_version, trace) = (parts.next()?, parts.next()?);
        let valid = trace.len() == 32 && trace.bytes().any(|byte| byte != b'0');
        valid.then(|| trace.parse().ok()).flatten()
    }
}

fn company_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
}

fn lead_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.:@+".contains(&byte)
}

fn hex_byte(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_ids_sort_by_time_and_read_back() {
        let early = CallId::new(Timestamp::from_millis(1_000), u128::MAX);
        let late = CallId::new(Timestamp::from_millis(2_000), 0);
        assert!(early < late);
        assert_eq!(early.as_str().parse::<CallId>().unwrap(), early);
        assert_eq!(
            (early.made_at(), late.made_at()),
            (Timestamp::from_millis(1_000), Timestamp::from_millis(2_000))
        );
        assert!(early.as_str().len() <= 40, "the provider allows 40 characters for a call's name");
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let call = CallId::new(Timestamp::from_millis(1), u128::MAX);
        assert!(call.as_str().parse::<AssignmentId>().is_err());
        assert!("call_not-a-ulid".parse::<CallId>().is_err());
        assert!(call.as_str().to_lowercase().parse::<CallId>().is_err(), "one id has one spelling");
    }

    #[test]
    fn names_that_could_break_a_key_are_refused() {
        for text in ["", "Acme", "a#b", "a b", &"a".repeat(41)] {
            assert!(text.parse::<CompanyId>().is_err(), "{text}");
        }
        for text in ["", "a#b", "a b", "a/b", &"a".repeat(101)] {
            assert!(text.parse::<LeadId>().is_err(), "{text}");
        }
        assert!("crm:4711@example.com".parse::<LeadId>().is_ok());
    }

    #[test]
    fn a_trace_id_is_taken_from_a_valid_traceparent_only() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(TraceId::from_traceparent(header).unwrap().as_str(), "0af7651916cd43dd8448eb211c80319c");
        for header in ["", "00", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-xyz-1-1"] {
            assert!(TraceId::from_traceparent(header).is_none(), "{header}");
        }
    }
}
