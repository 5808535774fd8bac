//! Contacts: the places of leads in a campaign. One per phone number and campaign.

use serde::{Deserialize, Serialize};

use crate::consent::Consent;
use crate::law::{Located, Whereabouts};
use crate::place::{Place, State};
use crate::retry::DoneReason;
use crate::{CallId, LeadId, PhoneNumber, Timestamp};

/// A contact as it is brought into a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewContact {
    /// The number to call.
    pub phone: PhoneNumber,
    /// Who is called.
    pub lead: LeadId,
    /// What the assistant may call the person.
    pub name: Option<String>,
    /// Where the person is.
    pub address: Address,
    /// What the person agreed to, as whoever brings the contact says.
    pub consent: Option<Consent>,
    /// When a callback was promised; none: the contact is due at once.
    pub callback_at: Option<Timestamp>,
}

/// What is known of where a person is; decides the legal hours and the local number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// IANA time zone, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// ZIP code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zip: Option<String>,
    /// State.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Where the person may be besides: the address of the mail beside that of the property.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_addresses: Vec<Located>,
    /// Time zones that were given besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_zones: Vec<String>,
}

impl Address {
    /// What decides the calling hours of `phone` at this address.
    pub fn whereabouts(&self, phone: &PhoneNumber) -> Whereabouts {
        let first = Located { zip: self.zip.clone(), state: self.state.clone() };
        Whereabouts {
            zones: self.zone.iter().chain(&self.other_zones).cloned().collect(),
            addresses: std::iter::once(first).chain(self.other_addresses.iter().cloned()).collect(),
            phone: phone.clone(),
        }
    }

    /// What decides which number is local to `phone` at this address.
    pub fn place(&self, phone: &PhoneNumber) -> Place {
        Place::resolve(self.state.clone(), self.zip.as_deref(), phone)
    }
}

/// A contact of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The number to call; with the campaign it names the contact.
    pub phone: PhoneNumber,
    /// Who is called.
    pub lead: LeadId,
    /// What the assistant may call the person.
    pub name: Option<String>,
    /// Where the person is.
    pub address: Address,
    /// What the person agreed to, as whoever brought the contact said.
    pub consent: Option<Consent>,
    /// Where the contact stands.
    pub state: ContactState,
    /// When a callback was promised that has not been made.
    pub promised_for: Option<Timestamp>,
    /// Whether it is called before others that are due: it was promised, or its lead keeps a number for it.
    pub goes_ahead: bool,
    /// When each attempt that counts was made, ascending.
    pub attempts: Vec<Timestamp>,
    /// Every call that was claimed for it, the first one first.
    pub calls: Vec<CallId>,
    /// How many of them the provider failed.
    pub provider_failures: u32,
    /// Events so far.
    pub events: u64,
    /// Changes so far: the fence for the next one.
    pub version: u64,
}

/// Where a contact stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContactState {
    /// May be dialed from this moment on.
    Pending {
        /// The earliest moment.
        due_at: Timestamp,
    },
    /// A call is under way.
    InFlight {
        /// The call.
        call_id: CallId,
    },
    /// Will not be dialed again.
    Done {
        /// Why.
        reason: DoneReason,
    },
}
