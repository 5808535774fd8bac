//! A row of a file as a contact: which of its numbers is called, where the person is, and whether the file says that the person must not
//! be called at all.

use std::collections::BTreeSet;

use dialpool_domain::contact::{Address, NewContact};
use dialpool_domain::event::Cause;
use dialpool_domain::law::Located;
use dialpool_domain::phone::is_invisible;
use dialpool_domain::place::{State as Region, Zone};
use dialpool_domain::{CompanyId, LeadId, PhoneNumber};
use dialpool_dynamo::{PhoneHasher, Store, StoreError};
use futures::{StreamExt, TryStreamExt, stream};

use crate::columns::{Column, Group, Role};
use crate::imports::{
    AT_ONCE, Accepted, CONSENT, FIRST_NAME, LAST_NAME, LEAD, NAME, PHONE, RowRefused, refusal,
};
use crate::marks::{is_not_allowed, is_set, names_a_mark};
use crate::rows::{Cell, Row, excerpt};

/// Numbers that a row says must not be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// The row, with the column that says so.
    pub row: RowRefused,
    /// The numbers.
    pub phones: Vec<PhoneNumber>,
    /// Who is called there.
    pub lead: Option<LeadId>,
}

/// A mark of a row: of the person, or of one of the phones.
struct Mark<'a> {
    column: &'a str,
    says: String,
    phone: Option<&'a Group>,
}

/// Reads a contact; none: the row says that its number must not be called. What it says of numbers is added to `marked`, and comes before
/// all else that may be wrong with the row.
pub(crate) fn contact_of(row: &Row, marked: &mut Vec<Marked>) -> Result<Option<NewContact>, RowRefused> {
    let phones = phones(row);
    let marks = marks(row, &phones);
    let lead: Result<Option<LeadId>, RowRefused> = row.parsed(LEAD);
    let mut stopped: BTreeSet<PhoneNumber> = BTreeSet::new();
    for mark in &marks {
        let of_mark = phones.iter().filter(|(_, group, _)| mark.phone.is_none_or(|marked| marked == *group));
        let numbers = of_mark.filter_map(|(_, _, cell)| text(cell)?.parse::<PhoneNumber>().ok());
        let new: Vec<PhoneNumber> = numbers.filter(|number| stopped.insert(number.clone())).collect();
        if !new.is_empty() {
            let reason = format!("says {}: the number must not be called", excerpt(&mark.says));
            let lead = lead.clone().ok().flatten();
            marked.push(Marked { row: refusal(row.line, mark.column, &reason), phones: new, lead });
        }
    }
    row.within_limits()?;
    let Some((column, group, cell)) = phones.iter().find(|(_, _, cell)| !is_empty(cell)) else {
        return Err(row.refuse_phone(&phones, "is missing"));
    };
    let Some(text) = text(cell) else {
        return Err(refusal(row.line, &column.name, "is a list or an object: a text or a number is taken"));
    };
    let phone: PhoneNumber = text.parse().map_err(|error: dialpool_domain::phone::InvalidPhone| {
        refusal(row.line, &column.name, &error.to_string())
    })?;
    if stopped.contains(&phone) || marks.iter().any(|mark| mark.phone.is_none_or(|marked| marked == *group)) {
        return Ok(None);
    }
    let lead: LeadId = match lead? {
        Some(lead) => lead,
        None => phone.as_str().parse().map_err(|_| row.refuse(LEAD, "is missing"))?,
    };
    let name = match row.text(NAME)? {
        Some(name) => Some(name),
        None => {
            let parts: Vec<String> =
                [row.text(FIRST_NAME)?, row.text(LAST_NAME)?].into_iter().flatten().collect();
            Some(parts.join(" ")).filter(|name| !name.is_empty())
        }
    };
    let (consent, address) = (row.consent()?, address(row)?);
    Ok(Some(NewContact { callback_at: None, consent, address, name, lead, phone }))
}

/// Files have somebody more than once: a number that one row marks is called for no other row.
pub(crate) fn without_marked(mut accepted: Accepted<NewContact>) -> Accepted<NewContact> {
    let phones: BTreeSet<&PhoneNumber> =
        accepted.suppressed.iter().flat_map(|marked| &marked.phones).collect();
    let (marked, rows): (Vec<_>, Vec<_>) =
        accepted.rows.into_iter().partition(|(_, contact)| phones.contains(&contact.phone));
    accepted.rows = rows;
    let again = marked.into_iter().map(|(line, contact)| Marked {
        row: refusal(line, "phone", "another row of the file says that the number must not be called"),
        phones: Vec::new(),
        lead: Some(contact.lead),
    });
    accepted.suppressed.extend(again);
    accepted.suppressed.sort_by_key(|marked| marked.row.line);
    accepted
}

/// Puts what a file marks on the company's suppression list. In force when this returns.
///
/// # Errors
/// When the store gives no answer; it must be repeated until it does.
pub async fn suppress_marked(
    store: &Store,
    cause: &Cause,
    company: &CompanyId,
    hasher: &PhoneHasher,
    marked: &[Marked],
) -> Result<(), StoreError> {
    let mut phones: Vec<(PhoneNumber, Option<LeadId>)> = Vec::new();
    for entry in marked {
        phones.extend(entry.phones.iter().map(|phone| (phone.clone(), entry.lead.clone())));
    }
    let mut written = stream::iter(phones)
        .map(async |(phone, lead)| {
            store.suppress(cause, company, hasher, &phone, lead.as_ref(), "import").await
        })
        .buffer_unordered(AT_ONCE);
    while written.try_next().await?.is_some() {}
    Ok(())
}

type Phones<'a> = Vec<(&'a Column, &'a Group, &'a Cell)>;

/// The numbers of a row, those that are to be called first in front.
fn phones(row: &Row) -> Phones<'_> {
    let mut ranked: Vec<_> = row
        .more
        .iter()
        .filter_map(|(column, cell)| match &column.role {
            Role::Phone(group, rank) => Some((rank, (&**column, group, cell))),
            Role::Field(_)
            | Role::Zone
            | Role::State(_)
            | Role::Zip(_)
            | Role::Flag(_)
            | Role::MayCall
            | Role::Status(_)
            | Role::Unread
            | Role::Unclear(_) => None,
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, phone)| phone).collect()
}

fn marks<'a>(row: &'a Row, phones: &Phones<'_>) -> Vec<Mark<'a>> {
    // A mark of a phone that the row does not have may be of any.
    let of = |group: &'a Option<Group>| {
        group.as_ref().filter(|group| phones.iter().any(|(_, of_phone, _)| of_phone == group))
    };
    let marks = row.more.iter().filter_map(|(column, cell)| {
        let (is_marked, phone) = match &column.role {
            Role::Flag(group) => (said(cell, true, is_set), of(group)),
            Role::MayCall => (said(cell, true, is_not_allowed), None),
            Role::Status(group) => (said(cell, false, names_a_mark), of(group)),
            Role::Field(_)
            | Role::Phone(..)
            | Role::Zone
            | Role::State(_)
            | Role::Zip(_)
            | Role::Unread
            | Role::Unclear(_) => (false, None),
        };
        is_marked.then(|| Mark {
            column: &column.name,
            says: text(cell).unwrap_or("something").to_owned(),
            phone,
        })
    });
    let revoked = CONSENT.iter().find_map(|name| match row.values.get(*name) {
        Some(Cell::Text(text)) if says_revoked(text) => {
            Some(Mark { column: name, says: text.clone(), phone: None })
        }
        _ => None,
    });
    marks.chain(revoked).collect()
}

fn says_revoked(text: &str) -> bool {
    let words = crate::words::words(text);
    crate::words::has_any(&words, &["revoked", "withdrawn", "revoke", "withdrew"]) || names_a_mark(text)
}

/// What a cell says; `nested` is the answer for what cannot be looked into.
fn said(cell: &Cell, nested: bool, says: impl Fn(&str) -> bool) -> bool {
    match cell {
        Cell::Empty => false,
        Cell::Text(text) | Cell::Texts(text) => says(text),
        Cell::Nested => nested,
    }
}

fn text(cell: &Cell) -> Option<&str> {
    match cell {
        Cell::Text(text) => Some(text),
        Cell::Empty | Cell::Texts(_) | Cell::Nested => None,
    }
}

fn is_empty(cell: &Cell) -> bool {
    match cell {
        Cell::Empty => true,
        Cell::Text(text) => text.trim().is_empty(),
        Cell::Texts(_) | Cell::Nested => false,
    }
}

impl Row {
    fn refuse_phone(&self, phones: &Phones<'_>, reason: &str) -> RowRefused {
        let name = phones.first().map_or(PHONE[0], |(column, _, _)| &column.name);
        refusal(self.line, name, reason)
    }
}

/// Where the person is: what could not be looked up when the person is to be called is refused.
fn address(row: &Row) -> Result<Address, RowRefused> {
    let mut zones: Vec<String> = Vec::new();
    let mut places: Vec<(&Group, Located, &str)> = Vec::new();
    for (column, cell) in &row.more {
        let (group, is_zip) = match &column.role {
            Role::Zip(group) => (Some(group), true),
            Role::State(group) => (Some(group), false),
            Role::Zone => (None, false),
            Role::Field(_)
            | Role::Phone(..)
            | Role::Flag(_)
            | Role::MayCall
            | Role::Status(_)
            | Role::Unread
            | Role::Unclear(_) => continue,
        };
        if is_empty(cell) {
            continue;
        }
        let refused = |reason: &str| refusal(row.line, &column.name, reason);
        let text =
            text(cell).ok_or_else(|| refused("is a list or an object: a text or a number is taken"))?;
        let text: String = text.chars().filter(|sign| !is_invisible(*sign)).collect();
        let text = text.trim();
        let Some(group) = group else {
            if Zone::named_in_united_states(text).is_empty() {
                return Err(refused("is not a time zone of the United States such as America/New_York"));
            }
            if !zones.iter().any(|zone| zone == text) {
                zones.push(text.to_owned());
            }
            continue;
        };
        let at = places.iter().position(|(known, _, _)| *known == group).unwrap_or_else(|| {
            places.push((group, Located::default(), &column.name));
            places.len() - 1
        });
        let (_, place, name) = &mut places[at];
        if is_zip {
            (place.zip, *name) = (Some(zip(text)), &column.name);
        } else {
            let state: Region = text
                .parse()
                .map_err(|error: dialpool_domain::place::InvalidPlace| refused(&error.to_string()))?;
            place.state = Some(state);
        }
    }
    for (_, place, name) in &places {
        if place.state.is_none() && place.zip.as_ref().is_some_and(|zip| Region::of_zip(zip).is_none()) {
            return Err(refusal(row.line, name, "is no ZIP code of a US state, and no state is given"));
        }
    }
    // The address without a name, or else the first, is the one that the local number is chosen by.
    places.sort_by_key(|(group, _, _)| !group.is_empty());
    let mut others: Vec<Located> = Vec::new();
    let mut found = places.into_iter().map(|(_, place, _)| place);
    let first = found.next().unwrap_or_default();
    for place in found {
        if place != first && !others.contains(&place) {
            others.push(place);
        }
    }
    let mut zones = zones.into_iter();
    let zone = zones.next();
    Ok(Address {
        zone,
        zip: first.zip,
        state: first.state,
        other_addresses: others,
        other_zones: zones.collect(),
    })
}

/// A ZIP code as a spreadsheet leaves it: without the zeros before a number, and with `.0` behind it.
fn zip(text: &str) -> String {
    let text = text.strip_suffix(".0").or_else(|| text.strip_suffix(".00")).unwrap_or(text);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(text) && text.len() <= 5 {
        return format!("{text:0>5}");
    }
    if digits(text) && (7..9).contains(&text.len()) {
        return format!("{text:0>9}");
    }
    match text.split_once('-') {
        Some((zip, more)) if digits(zip) && zip.len() < 5 && digits(more) => format!("{zip:0>5}-{more}"),
        _ => text.to_owned(),
    }
}
