//! What happens on a call, and with what is said about it: drawn from the seed and the call's name alone, so that it is
//! the same whenever the call is made.

use std::time::Duration;

use dialpool_domain::Usd;
use rand::rngs::ChaCha12Rng;
use rand::{RngExt, SeedableRng};

use super::Config;

/// Between these lies how long a person wants to wait for the next call.
const SHORTEST_WAIT: Duration = Duration::from_mins(10);
const LONGEST_WAIT: Duration = Duration::from_hours(14);

/// How one call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    /// How long it rings, where it does: a busy or invalid number and a fault of the provider end before.
    pub ring: Duration,
    /// How it ends.
    pub ending: Ending,
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Somebody takes the call.
    Answered {
        /// From answer to end.
        talk: Duration,
        /// Whether the person hangs up, and not the assistant.
        customer_hangs_up: bool,
        /// Whether the person asks not to be called again.
        opted_out: bool,
        /// Whether an appointment is made.
        booked: bool,
        /// How long after the call the person wants to be called again.
        call_again: Option<Duration>,
    },
    /// A machine takes the call.
    Voicemail {
        /// From answer to end.
        talk: Duration,
    },
    /// The line is engaged.
    Busy,
    /// Nobody takes the call.
    NoAnswer,
    /// There is no such number.
    InvalidNumber,
    /// The provider's carrier fails.
    ProviderFault,
}

impl Script {
    /// The script that `config` gives to a call, which `key` names.
    pub(super) fn draw(config: &Config, key: &str) -> Self {
        let mut chance = stream(config.seed, &["script", key]);
        // Every value is drawn, used or not: a rate that changes must not shift the draws behind it.
        let (kind, length, hangs_up) =
            (chance.random::<f64>(), chance.random::<f64>(), chance.random::<f64>());
        let (opts_out, books) = (chance.random::<f64>(), chance.random::<f64>());
        let ring = config.ring.mul_f64(0.5 + chance.random::<f64>());
        let (asks, wait) = (chance.random::<f64>(), chance.random::<f64>());
        let opted_out = opts_out < config.opt_out_rate;
        let booked = !opted_out && books < config.booking_rate;
        let call_again = (!opted_out && !booked && asks < config.callback_rate)
            .then(|| SHORTEST_WAIT + LONGEST_WAIT.mul_f64(wait));
        let ending = match pick(
            kind,
            &[
                config.answer_rate,
                config.voicemail_rate,
                config.busy_rate,
                config.invalid_rate,
                config.provider_fault_rate,
            ],
        ) {
            Some(0) => Ending::Answered {
                // Call lengths are about exponential; the longest ones are cut so that every call ends.
                talk: config.mean_call.mul_f64((-(1.0 - length).ln()).clamp(0.05, 4.0)),
                customer_hangs_up: hangs_up < 0.6,
                opted_out,
                booked,
                call_again,
            },
            Some(1) => {
                Ending::Voicemail { talk: Duration::from_secs(5) + Duration::from_secs(10).mul_f64(length) }
            }
            Some(2) => Ending::Busy,
            Some(3) => Ending::InvalidNumber,
            Some(4) => Ending::ProviderFault,
            _ => Ending::NoAnswer,
        };
        match ending {
            Ending::NoAnswer => Self { ring: ring * 3, ending },
            _ => Self { ring, ending },
        }
    }
}

impl Ending {
    /// What comes of the call when nobody listens for machines: one that takes it passes for a person.
    pub(super) fn undetected(self) -> Self {
        match self {
            Self::Voicemail { talk } => Self::Answered {
                talk,
                customer_hangs_up: true,
                opted_out: false,
                booked: false,
                call_again: None,
            },
            ending => ending,
        }
    }

    /// The reason in the provider's words.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Answered { customer_hangs_up: true, .. } => "customer-ended-call",
            Self::Answered { customer_hangs_up: false, .. } => "assistant-ended-call",
            Self::Voicemail { .. } => "voicemail",
            Self::Busy => "customer-busy",
            Self::NoAnswer => "customer-did-not-answer",
            Self::InvalidNumber => "twilio-reported-customer-misdialed",
            Self::ProviderFault => {
                "call.in-progress.error-providerfault-outbound-sip-503-service-unavailable"
            }
        }
    }

    /// Whether the call rings before it ends.
    pub(super) fn rings(self) -> bool {
        match self {
            Self::Answered { .. } | Self::Voicemail { .. } | Self::NoAnswer => true,
            Self::Busy | Self::InvalidNumber | Self::ProviderFault => false,
        }
    }

    /// From answer to end, where the call is answered.
    pub(super) fn talk(self) -> Option<Duration> {
        match self {
            Self::Answered { talk, .. } | Self::Voicemail { talk } => Some(talk),
            Self::Busy | Self::NoAnswer | Self::InvalidNumber | Self::ProviderFault => None,
        }
    }
}

/// What goes wrong with one request to make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestFault {
    Refused,
    RateLimited,
    ErrorBefore,
    ErrorAfter,
    AcceptedThenTimeout,
}

impl RequestFault {
    /// The fault of the `count`th request for the call that `key` names. Each request draws anew: one that was refused
    /// for the rate may pass when it is sent again.
    pub(super) fn draw(config: &Config, key: &str, count: u64) -> Option<Self> {
        let kind = stream(config.seed, &["request", key, &count.to_string()]).random::<f64>();
        let faults = [
            (config.refusal_rate, Self::Refused),
            (config.rate_limit_rate, Self::RateLimited),
            (config.error_before_rate, Self::ErrorBefore),
            (config.error_after_rate, Self::ErrorAfter),
            (config.accept_then_timeout_rate, Self::AcceptedThenTimeout),
        ];
        pick(kind, &faults.map(|(rate, _)| rate)).map(|index| faults[index].1)
    }
}

/// What goes wrong with one webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WebhookFault {
    /// It is never delivered.
    pub(super) lost: bool,
    /// It is delivered again this long after.
    pub(super) again: Option<Duration>,
    /// It is delivered this much late.
    pub(super) late: Option<Duration>,
}

/// The latest that a delayed webhook is delivered.
pub(super) const LATEST: Duration = Duration::from_mins(3);

impl WebhookFault {
    /// The fault of the webhook that says `event` of the call with this id.
    pub(super) fn draw(config: &Config, id: &str, event: &str) -> Self {
        let mut chance = stream(config.seed, &["webhook", id, event]);
        let (lost, again, late) = (chance.random::<f64>(), chance.random::<f64>(), chance.random::<f64>());
        let (gap, delay) = (chance.random::<f64>(), chance.random::<f64>());
        Self {
            lost: lost < config.webhook_loss_rate,
            again: (again < config.webhook_duplicate_rate).then(|| Duration::from_secs(20).mul_f64(gap)),
            late: (late < config.webhook_delay_rate).then(|| LATEST.mul_f64(delay)),
        }
    }
}

/// How long the `count`th request for `key` takes: half to one and a half of the mean.
pub(super) fn latency(config: &Config, key: &str, count: u64) -> Duration {
    config.latency.mul_f64(0.5 + stream(config.seed, &["latency", key, &count.to_string()]).random::<f64>())
}

/// From acceptance to the first ring, or to the carrier's refusal.
pub(super) fn dialing(config: &Config, id: &str) -> Duration {
    Duration::from_millis(500)
        + Duration::from_secs(2).mul_f64(stream(config.seed, &["dialing", id]).random::<f64>())
}

/// How long the assistant says nothing after an answer.
pub(super) fn silence(config: &Config, key: &str) -> Duration {
    let mut chance = stream(config.seed, &["silence", key]);
    let (silent, long) = (chance.random::<f64>(), chance.random::<f64>());
    if silent < config.dead_air_rate {
        Duration::from_secs(2) + Duration::from_secs(6).mul_f64(long)
    } else {
        Duration::ZERO
    }
}

/// What a talk of this length costs, in whole ten-thousandths of a dollar, rounded up.
pub(super) fn cost(per_minute: Usd, talk: Duration) -> Usd {
    let price = u128::try_from(per_minute.as_ten_thousandths()).unwrap_or(0);
    let cost = (talk.as_millis() * price).div_ceil(60_000);
    Usd::from_ten_thousandths(i64::try_from(cost).unwrap_or(i64::MAX))
}

/// An id in the form of a UUID that follows from `parts`.
pub(super) fn uuid(seed: u64, parts: &[&str]) -> String {
    let bits = stream(seed, parts).random::<u128>();
    let versioned = bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{versioned:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The index of the share of 0..1 that `value` falls into; none when it falls behind all of them.
fn pick(value: f64, shares: &[f64]) -> Option<usize> {
    let mut end = 0.0;
    shares.iter().position(|share| {
        end += share;
        value < end
    })
}

/// A stream of chance of its own for each seed and list of parts.
///
/// FNV-1a (64 bits) and not the standard library's hasher, whose results may change with a release.
fn stream(seed: u64, parts: &[&str]) -> ChaCha12Rng {
    let separated = parts.iter().flat_map(|part| part.bytes().chain([0xff]));
    let hash =
        seed.to_le_bytes().into_iter().chain(separated).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    ChaCha12Rng::seed_from_u64(hash)
}
