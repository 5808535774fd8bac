//! How a call ended, as one of a few outcomes; the provider has hundreds of reasons.
//!
//! A reason that no rule knows is [`Outcome::Other`]: the text is kept with the call by the caller, and a call is never
//! said to have failed because its reason is new. The rules follow Vapi's reasons: single names, then prefixes, so that
//! the faults of a model or voice that is added tomorrow are the provider's faults already.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Somebody took the call; whoever hung up then, and whether a transfer worked.
    Answered,
    /// An answering machine took the call.
    Voicemail,
    /// It rang, and nobody took the call.
    NoAnswer,
    /// The line was engaged: it did not ring.
    Busy,
    /// There is no such number.
    InvalidNumber,
    /// The provider, its own providers, the carrier or the account's configuration were at fault.
    ProviderFailed,
    /// The provider would not take another call at the moment: nobody was called.
    CapacityLimited,
    /// The provider never had the call: nobody was called.
    NotPlaced,
    /// Withdrawn before it was placed, or deleted by a person.
    Canceled,
    /// A reason that no rule knows.
    Other,
}

/// Reasons by name. Where a reason is here, no prefix applies.
const NAMES: &[(&str, Outcome)] = &[
    ("assistant-ended-call", Outcome::Answered),
    ("assistant-ended-call-after-message-spoken", Outcome::Answered),
    ("assistant-ended-call-with-hangup-task", Outcome::Answered),
    ("assistant-forwarded-call", Outcome::Answered),
    ("assistant-said-end-call-phrase", Outcome::Answered),
    ("call.in-progress.error-transfer-failed", Outcome::Answered),
    ("call.in-progress.sip-completed-call", Outcome::Answered),
    ("call.in-progress.twilio-completed-call", Outcome::Answered),
    ("exceeded-max-duration", Outcome::Answered),
    ("silence-timed-out", Outcome::Answered),
    ("vonage-completed", Outcome::Answered),
    ("voicemail", Outcome::Voicemail),
    ("customer-did-not-answer", Outcome::NoAnswer),
    ("customer-busy", Outcome::Busy),
    ("twilio-reported-customer-misdialed", Outcome::InvalidNumber),
    ("call.start.error-subscription-concurrency-limit-reached", Outcome::CapacityLimited),
    (NUMBER_USED_UP, Outcome::CapacityLimited),
    ("call-deleted", Outcome::Canceled),
    ("manually-canceled", Outcome::Canceled),
    ("scheduled-call-deleted", Outcome::Canceled),
    ("assistant-join-timed-out", Outcome::ProviderFailed),
    ("assistant-not-found", Outcome::ProviderFailed),
    ("assistant-not-valid", Outcome::ProviderFailed),
    ("twilio-failed-to-connect-call", Outcome::ProviderFailed),
    ("vonage-disconnected", Outcome::ProviderFailed),
    ("vonage-failed-to-connect-call", Outcome::ProviderFailed),
    ("vonage-rejected", Outcome::ProviderFailed),
    ("worker-shutdown", Outcome::ProviderFailed),
];

/// Reasons by how they begin; the first that fits decides.
const PREFIXES: &[(&str, Outcome)] = &[
    ("customer-ended-call", Outcome::Answered),
    ("call.forwarding.", Outcome::Answered),
    ("call.ending.hook-executed-", Outcome::Answered),
    ("call.in-progress.error-warm-transfer-", Outcome::Answered),
    // SIP answers of the called side (RFC 3261, section 21): nobody took the call in time, not here now, busy here.
    ("call.in-progress.error-providerfault-outbound-sip-408-", Outcome::NoAnswer),
    ("call.in-progress.error-providerfault-outbound-sip-480-", Outcome::NoAnswer),
    ("call.in-progress.error-providerfault-outbound-sip-486-", Outcome::Busy),
    ("call.in-progress.error-", Outcome::ProviderFailed),
    ("call.start.", Outcome::ProviderFailed),
    ("call-start-error-", Outcome::ProviderFailed),
    ("pipeline-", Outcome::ProviderFailed),
    ("phone-call-provider-", Outcome::ProviderFailed),
];

/// Reasons that speak of the number that called, not of the provider or the assistant: a carrier did not connect it.
const CARRIER_REFUSED: &[&str] = &[
    "call.in-progress.error-providerfault-outbound-sip-403-forbidden",
    "call.in-progress.error-providerfault-outbound-sip-503-service-unavailable",
    "call.in-progress.error-sip-outbound-call-failed-to-connect",
    "twilio-failed-to-connect-call",
    "vonage-failed-to-connect-call",
    "vonage-rejected",
];

/// The reason that the provider gives when a number has called as often as it lets it in a day.
const NUMBER_USED_UP: &str = "call.start.error-vapi-number-outbound-daily-limit";

/// Whether the number may call no more for a while, by the reason that the provider gave for the end of a call from it.
pub fn number_used_up(reason: &str) -> bool {
    reason == NUMBER_USED_UP
}

/// Whether a carrier refused the call, by the reason that the provider gave for its end.
pub fn carrier_refused(reason: &str) -> bool {
    CARRIER_REFUSED.contains(&reason)
}

impl Outcome {
    /// The outcome of a reason that the provider gave for the end of an outbound call.
    pub fn of_ended_reason(reason: &str) -> Self {
        let named = NAMES.iter().find(|(name, _)| *name == reason);
        let begun = || PREFIXES.iter().find(|(prefix, _)| reason.starts_with(prefix));
        named.or_else(begun).map_or(Self::Other, |(_, outcome)| *outcome)
    }

    /// The outcome as text, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Voicemail => "voicemail",
            Self::NoAnswer => "no_answer",
            Self::Busy => "busy",
            Self::InvalidNumber => "invalid_number",
            Self::ProviderFailed => "provider_failed",
            Self::CapacityLimited => "capacity_limited",
            Self::NotPlaced => "not_placed",
            Self::Canceled => "canceled",
            Self::Other => "other",
        }
    }

    /// Whether somebody took the call.
    pub fn talked(self) -> bool {
        self == Self::Answered
    }

    /// Whether the person's phone rang, as far as is known: such attempts are kept apart. A new reason counts as rung.
    pub fn rang(self) -> bool {
        match self {
            Self::Answered | Self::Voicemail | Self::NoAnswer | Self::Other => true,
            Self::Busy
            | Self::InvalidNumber
            | Self::ProviderFailed
            | Self::CapacityLimited
            | Self::NotPlaced
            | Self::Canceled => false,
        }
    }

    /// Whether a call that was to leave a message with a machine may have left it: a machine took it, or how it ended is not known.
    pub fn may_leave_message(self) -> bool {
        match self {
            Self::Voicemail | Self::Other => true,
            Self::Answered
            | Self::NoAnswer
            | Self::Busy
            | Self::InvalidNumber
            | Self::ProviderFailed
            | Self::CapacityLimited
            | Self::NotPlaced
            | Self::Canceled => false,
        }
    }

    /// Whether the call is one of the attempts allowed per contact. One that the provider had no line for, or never had,
    /// is not.
    pub fn counts(self) -> bool {
        !matches!(self, Self::CapacityLimited | Self::NotPlaced)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use super::*;

    #[derive(Deserialize)]
    struct EndedReasons {
        groups: BTreeMap<String, Vec<String>>,
    }

    /// What a group of the provider's reasons is, and which of its reasons are something else.
    fn expected(group: &str, reason: &str) -> Outcome {
        match group {
            "completed" | "customer_ended" | "transfer" => Outcome::Answered,
            "no_answer" => Outcome::NoAnswer,
            "busy" => Outcome::Busy,
            "voicemail" => Outcome::Voicemail,
            "invalid_or_unreachable_number" => Outcome::InvalidNumber,
            "canceled" => Outcome::Canceled,
            "capacity_limit" => Outcome::CapacityLimited,
            "provider_rate_limit_or_quota"
            | "telephony_or_transport_failure"
            | "configuration_or_billing"
            | "platform_fault"
            | "pipeline_or_provider_error" => Outcome::ProviderFailed,
            // No outbound phone call ends for these: there is no rule for them but the one for faults in progress.
            "inbound_or_web_only" if reason.starts_with("call.in-progress.error-") => Outcome::ProviderFailed,
            "inbound_or_web_only" => Outcome::Other,
            unknown => panic!("the contract has a new group {unknown}"),
        }
    }

    fn contract() -> Option<PathBuf> {
        let folder = std::env::var_os("DIALPOOL_CONTRACTS").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/contracts"),
            PathBuf::from,
        );
        let file = folder.join("vapi/ended-reasons.json");
        if !file.exists() {
            eprintln!("skipped: {} is absent; DIALPOOL_CONTRACTS names the contracts folder", file.display());
            return None;
        }
        Some(file)
    }

    #[test]
    fn every_reason_of_the_providers_contract_has_the_outcome_of_its_group() {
        let Some(file) = contract() else { return };
        let reasons: EndedReasons = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let mut wrong = Vec::new();
        for (group, reasons) in &reasons.groups {
            for reason in reasons {
                let outcome = Outcome::of_ended_reason(reason);
                if outcome != expected(group, reason) {
                    wrong.push(format!("{group}: {reason} is {outcome}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn a_reason_has_an_outcome() {
        let cases = [
            ("customer-ended-call", Outcome::Answered),
            ("customer-ended-call-during-transfer", Outcome::Answered),
            ("call.in-progress.error-warm-transfer-max-duration", Outcome::Answered),
            ("voicemail", Outcome::Voicemail),
            ("customer-did-not-answer", Outcome::NoAnswer),
            (
                "call.in-progress.error-providerfault-outbound-sip-480-temporarily-unavailable",
                Outcome::NoAnswer,
            ),
            ("customer-busy", Outcome::Busy),
            ("twilio-reported-customer-misdialed", Outcome::InvalidNumber),
            ("call.start.error-subscription-concurrency-limit-reached", Outcome::CapacityLimited),
            ("call.start.error-get-assistant", Outcome::ProviderFailed),
            (
                "call.in-progress.error-providerfault-outbound-sip-503-service-unavailable",
                Outcome::ProviderFailed,
            ),
            ("call.in-progress.error-vapifault-openai-429-exceeded-quota", Outcome::ProviderFailed),
            ("pipeline-no-available-llm-model", Outcome::ProviderFailed),
            ("manually-canceled", Outcome::Canceled),
        ];
        for (reason, outcome) in cases {
            assert_eq!(Outcome::of_ended_reason(reason), outcome, "{reason}");
        }
    }

    #[test]
    fn a_new_model_that_fails_is_the_providers_fault_and_a_new_reason_is_kept_open() {
        let fault = "call.in-progress.error-providerfault-model-of-tomorrow-500-server-error";
        assert_eq!(Outcome::of_ended_reason(fault), Outcome::ProviderFailed);
        for reason in ["", "reason-of-tomorrow", "unknown-error", "hangup", "VOICEMAIL"] {
            assert_eq!(Outcome::of_ended_reason(reason), Outcome::Other, "{reason}");
        }
    }

    #[test]
    fn an_outcome_is_written_as_in_json() {
        for outcome in
            [Outcome::NoAnswer, Outcome::InvalidNumber, Outcome::ProviderFailed, Outcome::CapacityLimited]
        {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.to_string());
        }
    }
}
