//! Number holds: which lead is called from which number, and until when.
//!
//! ```text
//!              assign                     release, book-keeping of an expired hold
//!   free ───────────────▶ held by a lead ─────────────────────────────────────────▶ free
//! ```
//! 1. A number has at most one live hold, and a lead at most one number per company.
//! 2. A hold ends only by its own assignment id. A late release cannot end a newer hold.
//! 3. A hold that has expired is over, whether or not anybody has written it down yet.

use serde::{Deserialize, Serialize};

use crate::place::{AreaCode, AreaKind, State};
use crate::time::Duration;
use crate::whole_number::WholeNumber;
use crate::{AssignmentId, CompanyId, LeadId, PhoneNumber, Timestamp};

/// By how much the clocks of two functions may differ. An expired hold is taken over this much late.
pub const CLOCK_SKEW: Duration = Duration::from_secs(2);

/// A hold goes on this long after the appointment that it was booked for.
pub const AFTER_APPOINTMENT: Duration = Duration::from_hours(24);

/// How long a hold may last: 1 to 168 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "u32")]
pub struct HoldHours(u32);

/// The hours are not between 1 and 168.
#[derive(Debug, thiserror::Error)]
#[error("a hold lasts 1 to 168 hours")]
pub struct InvalidHoldHours;

impl HoldHours {
    /// One hour.
    pub const SHORTEST: Self = Self(1);

    /// The longest hold.
    pub const fn longest() -> Self {
        Self(168)
    }

    /// The hold as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_hours(u64::from(self.0))
    }
}

impl Default for HoldHours {
    /// 18 hours.
    fn default() -> Self {
        Self(18)
    }
}

impl TryFrom<u32> for HoldHours {
    type Error = InvalidHoldHours;

    fn try_from(hours: u32) -> Result<Self, Self::Error> {
        if (1..=Self::longest().0).contains(&hours) { Ok(Self(hours)) } else { Err(InvalidHoldHours) }
    }
}

impl<'de> Deserialize<'de> for HoldHours {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u32(WholeNumber { least: 1, most: Self::longest().0 }).map(Self)
    }
}

impl From<HoldHours> for u32 {
    fn from(hours: HoldHours) -> Self {
        hours.0
    }
}

/// The exclusive hold of one number by one lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// Names this hold and no other: every later change must present it.
    pub assignment_id: AssignmentId,
    /// The tenant.
    pub company: CompanyId,
    /// Who holds the number.
    pub lead: LeadId,
    /// The number held.
    pub number: PhoneNumber,
    /// Since when.
    pub held_since: Timestamp,
    /// The hold is over at this moment unless it is extended before.
    pub release_at: Timestamp,
}

impl Hold {
    /// Whether the hold is in force at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.release_at
    }
}

/// Why a hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseReason {
    /// Its time was over.
    Expired,
    /// Somebody asked for it over the API.
    Requested,
    /// The next attempt is not on the same day.
    NextDay,
    /// As many attempts as allowed were made.
    AttemptsUsedUp,
    /// There is no such number to call.
    InvalidNumber,
    /// The provider failed more often than is retried.
    ProviderFailed,
    /// The call was withdrawn.
    Canceled,
    /// The person asked not to be called.
    OptedOut,
    /// The number must rest for longer than its lead can wait.
    NumberResting,
    /// Its campaign has this number only, and other leads wait for it.
    OnlyNumber,
    /// An operator took it away.
    Operator,
}

/// How close the number that was picked is to the lead, the closest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// The lead's own area code.
    Area,
    /// The lead's state.
    State,
    /// Any number of the company.
    Any,
}

/// How a number is known to carriers. Each part is none while it is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// The name that is shown to who is called, as registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnam: Option<String>,
    /// The STIR/SHAKEN attestation that its calls get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Attestation>,
    /// With the registries that analytics engines read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_registry: Option<RegistrationStatus>,
    /// Of branded calling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branded_calling: Option<RegistrationStatus>,
}

/// How surely the carrier knows who calls (ATIS-1000074).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attestation {
    /// Full: the caller, and that the number is theirs.
    A,
    /// Partial: the caller.
    B,
    /// Gateway: neither.
    C,
}

/// How far a registration got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationStatus {
    /// Not begun.
    None,
    /// Handed in.
    Pending,
    /// In force.
    Registered,
    /// Refused.
    Rejected,
}

/// A number as it is brought into a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewNumber {
    /// The number.
    pub number: PhoneNumber,
    /// Its id at Vapi, without which it cannot dial.
    pub vapi_id: Option<String>,
    /// Its id at SignalWire.
    pub signalwire_id: Option<String>,
    /// A name for people.
    pub name: Option<String>,
    /// Its area code, from the number itself.
    pub area: Option<AreaCode>,
    /// The state it is local to.
    pub state: Option<State>,
    /// What is known of it from elsewhere.
    pub history: History,
}

/// What a number was used for before it came into the pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Calls made from it. With none it is new, and warmed up.
    pub calls: u64,
    /// Calls that were answered.
    pub answered: u64,
    /// When it was used last: who waited longest is next.
    pub last_used_at: Option<Timestamp>,
    /// Its health as somebody else saw it, from 0 to 100. One under the gate rests first.
    pub health: Option<u8>,
    /// What people noted.
    pub notes: Option<String>,
    /// The lead that holds it, and until when.
    pub held_by: Option<(LeadId, Timestamp)>,
    /// Whether somebody has it there, whoever that is.
    pub taken: bool,
}

/// Why a number may not be shown to people who are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCallerId {
    /// A number of another country, Canada and the Caribbean included.
    #[error("is a number of another country: only numbers of the United States are taken")]
    Foreign,
    /// An area code that the numbering plan has not given out.
    #[error("has an area code that is not assigned")]
    Unassigned,
    /// A number for which the caller pays more.
    #[error("is a premium or personal number, which may not be a caller id")]
    Premium,
    /// A toll-free number, which the company did not allow.
    #[error("is toll-free: set allow_toll_free of the company to take such numbers")]
    TollFree,
}

/// Whether calls may be made from a number: it must be a geographic one of the United States, or toll-free where that is allowed.
///
/// # Errors
/// When it may not be shown to people who are called.
pub fn may_be_caller_id(number: &PhoneNumber, allow_toll_free: bool) -> Result<(), NotCallerId> {
    if number.area_code().is_none() {
        return Err(NotCallerId::Foreign);
    }
    match crate::place::Area::of_phone(number).map(|area| area.kind) {
        // 976 is the premium exchange of every area code.
        Some(AreaKind::UnitedStates) if number.as_str().get(5..8) == Some("976") => Err(NotCallerId::Premium),
        Some(AreaKind::UnitedStates) => Ok(()),
        Some(AreaKind::TollFree) if allow_toll_free => Ok(()),
        Some(AreaKind::TollFree) => Err(NotCallerId::TollFree),
        Some(AreaKind::Abroad) => Err(NotCallerId::Foreign),
        Some(AreaKind::Placeless) => Err(NotCallerId::Premium),
        None => Err(NotCallerId::Unassigned),
    }
}

impl NewNumber {
    /// A number of which nothing but itself is known.
    pub fn bare(number: PhoneNumber) -> Self {
        let place = crate::place::Place::of_phone(&number);
        Self {
            vapi_id: None,
            signalwire_id: None,
            name: None,
            area: place.area,
            state: place.state,
            history: History::default(),
            number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_geographic_numbers_of_the_united_states_may_be_caller_ids() {
        let judged = |number: &str, toll_free| may_be_caller_id(&number.parse().unwrap(), toll_free);
        for number in ["+14155550101", "+12125550101", "+18085550101", "+17875550101", "+16715550101"] {
            assert_eq!(judged(number, false), Ok(()), "{number}");
        }
        for (number, reason) in [
            ("+19005550101", NotCallerId::Premium),
            ("+15005550101", NotCallerId::Premium),
            ("+15335550101", NotCallerId::Premium),
            ("+14159760101", NotCallerId::Premium),
            ("+442079460101", NotCallerId::Foreign),
            ("+14165550101", NotCallerId::Foreign),
            ("+18765550101", NotCallerId::Foreign),
            ("+12995550101", NotCallerId::Unassigned),
        ] {
            assert_eq!([judged(number, false), judged(number, true)], [Err(reason); 2], "{number}");
        }
        for number in ["+18005550101", "+18885550101", "+18335550101"] {
            assert_eq!(
                [judged(number, false), judged(number, true)],
                [Err(NotCallerId::TollFree), Ok(())],
                "{number}"
            );
        }
    }

    #[test]
    fn a_hold_lasts_one_to_168_hours() {
        assert_eq!(HoldHours::default().duration(), Duration::from_hours(18));
        for hours in [0, 169] {
            assert!(HoldHours::try_from(hours).is_err());
        }
        assert_eq!(HoldHours::try_from(168).unwrap().duration(), Duration::from_hours(168));
    }
}
