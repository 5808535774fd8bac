//! Consent: what a person agreed to, how that is known, and until when it holds.
//!
//! 47 CFR 64.1200(a)(2) and (f)(9) ask for prior express written consent before a call with an artificial voice that
//! advertises; (a)(1) for prior express consent before any other such call to a mobile. A campaign says which of the two it
//! needs. What is not known was not given. What was taken back is a no, whatever a campaign needs, until the person agrees again.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What kind of consent it is; the greater one includes the lesser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentKind {
    /// The person gave the number, to be called at, for the purpose.
    Express,
    /// The person signed, also electronically, that calls with an artificial voice may advertise to the number.
    ExpressWritten,
}

/// What a campaign needs of the people it calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentRequired {
    /// Nothing: the company answers for it that none is needed. One that was taken back is a no all the same.
    None,
    /// Express consent, or more.
    Express,
    /// Express written consent.
    #[default]
    ExpressWritten,
}

/// One consent, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// What kind it is.
    pub kind: ConsentKind,
    /// SHA-256 of the words agreed to, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_sha256: Option<String>,
    /// Where the proof is: the address of a recording or certificate, the id of a form entry.
    pub evidence: String,
    /// When it was given.
    pub captured_at: Timestamp,
    /// From then on it holds no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Since when it is withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

impl Consent {
    /// Whether it holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.captured_at <= now && self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Whether the person took back what was agreed to, and has not agreed to anything since. A later consent of whatever kind ends the
/// revocation, also when its time is over by now: to run out is not to be taken back.
fn is_revoked(ledger: Option<&Consent>, brought: Option<&Consent>, now: Timestamp) -> bool {
    let known = || [ledger, brought].into_iter().flatten();
    let Some(revoked_at) = known().filter_map(|consent| consent.revoked_at).max() else { return false };
    let again = |consent: &Consent| {
        consent.revoked_at.is_none() && consent.captured_at > revoked_at && consent.captured_at <= now
    };
    !known().any(again)
}

/// It is not known that a person agreed to what is required, or the person took it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not known that the person agreed to be called")]
pub struct NoConsent;

impl ConsentRequired {
    /// The consent on which a call at `now` rests: the one in the ledger, or else the one that came with the contact, unless
    /// the person took back what was agreed to by then. `None`: nothing is required, and nothing was taken back.
    ///
    /// # Errors
    /// When neither is enough.
    pub fn met_by(
        self,
        ledger: Option<&Consent>,
        brought: Option<&Consent>,
        now: Timestamp,
    ) -> Result<Option<Consent>, NoConsent> {
        if is_revoked(ledger, brought, now) {
            return Err(NoConsent);
        }
        let least = match self {
            Self::None => return Ok(None),
            Self::Express => ConsentKind::Express,
            Self::ExpressWritten => ConsentKind::ExpressWritten,
        };
        let enough = |consent: &&Consent| consent.kind >= least && consent.holds(now);
        // What the ledger says later, a lesser consent after a greater one was taken back included, is the person's last word.
        let brought = brought.filter(|brought| {
            ledger.is_none_or(|ledger| {
                ledger.captured_at <= brought.captured_at
                    && ledger.revoked_at.is_none_or(|at| at < brought.captured_at)
            })
        });
        let found = ledger.filter(enough).or(brought.filter(enough));
        found.map(|consent| Some(consent.clone())).ok_or(NoConsent)
    }
}

impl fmt::Display for ConsentRequired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Express => "express",
            Self::ExpressWritten => "express_written",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consent_is_enough_when_it_is_of_the_kind_and_holds() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let given = Consent {
            kind: ConsentKind::Express,
            text_sha256: None,
            evidence: "form 7".to_owned(),
            captured_at: at("2026-01-01T00:00:00Z"),
            expires_at: Some(at("2026-06-01T00:00:00Z")),
            revoked_at: None,
        };
        let written = Consent { kind: ConsentKind::ExpressWritten, ..given.clone() };
        let revoked = Consent { revoked_at: Some(at("2026-02-01T00:00:00Z")), ..written.clone() };
        let lesser = Consent { captured_at: at("2026-02-03T00:00:00Z"), ..given.clone() };
        let anew = Consent { captured_at: at("2026-02-02T00:00:00Z"), ..written.clone() };
        let future = Consent { captured_at: at("2026-12-01T00:00:00Z"), expires_at: None, ..written.clone() };
        let revoked_lesser = Consent { kind: ConsentKind::Express, ..revoked.clone() };
        let (spring, summer) = (at("2026-03-01T00:00:00Z"), at("2026-06-01T00:00:00Z"));
        for (required, ledger, brought, now, enough) in [
            (ConsentRequired::None, None, None, spring, true),
            (ConsentRequired::None, Some(&revoked), None, spring, false),
            (ConsentRequired::None, None, Some(&revoked), spring, false),
            (ConsentRequired::None, Some(&revoked), Some(&written), spring, false),
            (ConsentRequired::None, Some(&revoked), Some(&anew), spring, true),
            (ConsentRequired::None, Some(&revoked), Some(&lesser), spring, true),
            (ConsentRequired::None, Some(&revoked), Some(&future), spring, false),
            (ConsentRequired::None, Some(&lesser), Some(&revoked), spring, true),
            (ConsentRequired::None, Some(&given), None, summer, true),
            (ConsentRequired::None, Some(&revoked), Some(&anew), summer, true),
            (ConsentRequired::Express, Some(&revoked_lesser), None, spring, false),
            (ConsentRequired::Express, None, None, spring, false),
            (ConsentRequired::Express, Some(&given), None, spring, true),
            (ConsentRequired::Express, None, Some(&given), spring, true),
            (ConsentRequired::Express, Some(&written), None, spring, true),
            (ConsentRequired::Express, Some(&given), None, summer, false),
            (ConsentRequired::Express, Some(&given), None, at("2025-12-31T00:00:00Z"), false),
            (ConsentRequired::ExpressWritten, Some(&given), None, spring, false),
            (ConsentRequired::ExpressWritten, Some(&given), Some(&written), spring, true),
            (ConsentRequired::ExpressWritten, Some(&revoked), None, spring, false),
            (ConsentRequired::ExpressWritten, Some(&revoked), Some(&written), spring, false),
            (ConsentRequired::ExpressWritten, Some(&revoked), Some(&anew), spring, true),
            (ConsentRequired::ExpressWritten, Some(&lesser), Some(&written), spring, false),
        ] {
            let met = required.met_by(ledger, brought, now).is_ok();
            assert_eq!(met, enough, "{required} by {ledger:?} and {brought:?} at {now}");
        }
    }
}
