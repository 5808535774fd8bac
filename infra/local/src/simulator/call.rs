//! One call: its timeline, fixed when it is made, and how it is shown at a moment.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use dialpool_domain::{Timestamp, Usd};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::script::{self, Ending, Script, WebhookFault};
use super::{Config, LedgerEntry};

/// The one account that the simulator has.
pub(super) const ORG_ID: &str = "5f0b1c0e-0000-4000-8000-000000000001";

/// From the end of a call to its report: transcript, analysis and cost are worked out in between.
const REPORT_AFTER: Duration = Duration::from_secs(3);

/// From acceptance to the webhook that says so.
const QUEUED_AFTER: Duration = Duration::from_millis(200);

/// A request for a call that passed validation.
pub(super) struct Order {
    /// The request, less what only the delivery of webhooks needs.
    pub(super) request: serde_json::Map<String, Value>,
    pub(super) name: Option<String>,
    pub(super) customer: String,
    pub(super) server: Option<Server>,
    pub(super) earliest_at: Option<Timestamp>,
    pub(super) latest_at: Option<Timestamp>,
}

impl Order {
    /// Whether somebody listens for a machine: nobody does unless that is asked for.
    pub(super) fn detects_voicemail(&self) -> bool {
        let overrides = self.request.get("assistantOverrides");
        overrides.is_some_and(|overrides| overrides["voicemailDetection"].is_object())
    }
}

/// Where webhooks go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Server {
    pub(super) url: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default = "default_timeout")]
    pub(super) timeout_seconds: u64,
}

/// The provider's own default.
fn default_timeout() -> u64 {
    20
}

impl Server {
    /// The request that carries a webhook.
    ///
    /// # Errors
    /// When the address or a header is not one that HTTP can carry.
    pub(super) fn request(&self, body: Bytes) -> Result<http::Request<Bytes>, http::Error> {
        let request = http::Request::post(&self.url).header(http::header::CONTENT_TYPE, "application/json");
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value)).body(body)
    }
}

/// A call, as it is kept in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) id: String,
    request: serde_json::Map<String, Value>,
    pub(super) name: Option<String>,
    customer: String,
    pub(super) server: Option<Server>,
    pub(super) created_at: Timestamp,
    starts_at: Timestamp,
    ringing_at: Option<Timestamp>,
    answered_at: Option<Timestamp>,
    pub(super) ended_at: Timestamp,
    reported_at: Timestamp,
    ended_reason: String,
    cost: Usd,
    /// What came of the talk, where a person took the call.
    talk: Option<Talk>,
    /// Its data was deleted: only the ledger still shows it.
    pub(super) erased: bool,
    pub(super) deliveries: Vec<Delivery>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Talk {
    opted_out: bool,
    booked: bool,
    /// From the answer to the assistant's first word.
    #[serde(default)]
    silence_ms: u64,
    /// When the person wants to be called again.
    #[serde(default)]
    call_again_at: Option<Timestamp>,
}

/// One webhook on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delivery {
    pub(super) event: Event,
    pub(super) at: Timestamp,
    /// When it is delivered instead, while faults are on.
    pub(super) late: Option<Timestamp>,
    /// Never delivered, while faults are on.
    pub(super) lost: bool,
    /// Delivered only while faults are on: a second copy.
    pub(super) copy: bool,
    /// Acknowledged, given up, or withdrawn.
    pub(super) done: bool,
}

/// What a webhook says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Event {
    Queued,
    Ringing,
    InProgress,
    Ended,
    EndOfCallReport,
}

impl Event {
    fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Ended => "ended",
            Self::EndOfCallReport => "end-of-call-report",
        }
    }
}

impl Call {
    /// A call that is made at `now`: everything that will happen to it is settled here.
    pub(super) fn new(config: &Config, id: String, order: Order, script: Script, now: Timestamp) -> Self {
        let starts_at = order.earliest_at.map_or(now, |earliest| earliest.max(now));
        // The provider starts a call within its plan or not at all; accepted in time, it starts in time. It rings a little later.
        let started_at = starts_at + config.queue_time;
        let started_at = order.latest_at.map_or(started_at, |latest| started_at.min(latest));
        let dialed_at = started_at + script::dialing(config, &id);
        let ringing_at = script.ending.rings().then_some(dialed_at);
        let rung_at = ringing_at.map_or(dialed_at, |ringing| ringing + script.ring);
        let (answered_at, ended_at) = match script.ending.talk() {
            Some(talk) => (Some(rung_at), rung_at + talk),
            None => (None, rung_at),
        };
        let silence = script::silence(config, order.name.as_deref().unwrap_or(&id));
        let silence_ms = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
        let talk = match script.ending {
            Ending::Answered { opted_out, booked, call_again, .. } => Some(Talk {
                opted_out,
                booked,
                silence_ms,
                call_again_at: call_again.map(|wait| ended_at + wait),
            }),
            Ending::Voicemail { .. }
            | Ending::Busy
            | Ending::NoAnswer
            | Ending::InvalidNumber
            | Ending::ProviderFault => None,
        };
        let mut call = Self {
            id,
            request: order.request,
            name: order.name,
            customer: order.customer,
            server: order.server,
            created_at: now,
            starts_at,
            ringing_at,
            answered_at,
            ended_at,
            reported_at: ended_at + REPORT_AFTER,
            ended_reason: script.ending.reason().to_owned(),
            cost: script::cost(config.cost_per_minute, script.ending.talk().unwrap_or_default()),
            talk,
            erased: false,
            deliveries: Vec::new(),
        };
        call.announce(config, Event::Queued, (starts_at + QUEUED_AFTER).min(dialed_at));
        if let Some(ringing_at) = ringing_at {
            call.announce(config, Event::Ringing, ringing_at);
        }
        if let Some(answered_at) = answered_at {
            call.announce(config, Event::InProgress, answered_at);
        }
        call.announce(config, Event::Ended, ended_at);
        call.announce(config, Event::EndOfCallReport, call.reported_at);
        call
    }

    fn announce(&mut self, config: &Config, event: Event, at: Timestamp) {
        if self.server.is_none() {
            return;
        }
        let fault = WebhookFault::draw(config, &self.id, event.as_str());
        let late = fault.late.map(|late| at + late);
        let first = Delivery { event, at, late, lost: fault.lost, copy: false, done: false };
        let again = fault.again.map(|gap| Delivery {
            at: at + gap,
            late: late.map(|late| late + gap),
            copy: true,
            ..first.clone()
        });
        self.deliveries.push(first);
        self.deliveries.extend(again);
    }

    /// Ends a call that is not over; the data of one that is over is deleted.
    pub(super) fn delete(&mut self, config: &Config, now: Timestamp) {
        if self.ended_at <= now {
            self.erased = true;
            return;
        }
        self.ringing_at = self.ringing_at.filter(|ringing| *ringing <= now);
        self.answered_at = self.answered_at.filter(|answered| *answered <= now);
        // What the person would have said later is not said.
        self.talk = self.answered_at.and(self.talk).map(|talk| Talk {
            opted_out: false,
            booked: false,
            call_again_at: None,
            ..talk
        });
        self.cost = script::cost(
            config.cost_per_minute,
            self.answered_at.map_or(Duration::ZERO, |answered| now.since(answered)),
        );
        self.ended_at = now;
        self.reported_at = now + REPORT_AFTER;
        "call-deleted".clone_into(&mut self.ended_reason);
        for delivery in &mut self.deliveries {
            delivery.done |= delivery.at > now;
        }
        self.announce(config, Event::Ended, now);
        self.announce(config, Event::EndOfCallReport, self.reported_at);
    }

    fn status(&self, now: Timestamp) -> &'static str {
        if self.ended_at <= now {
            "ended"
        } else if self.answered_at.is_some_and(|answered| answered <= now) {
            "in-progress"
        } else if self.ringing_at.is_some_and(|ringing| ringing <= now) {
            "ringing"
        } else if self.starts_at <= now {
            "queued"
        } else {
            "scheduled"
        }
    }

    /// Whether the provider shows the call: it is behind itself for a moment.
    pub(super) fn is_seen(&self, config: &Config, now: Timestamp) -> bool {
        self.created_at + config.lag <= now
    }

    /// The number called.
    pub(super) fn customer(&self) -> &str {
        &self.customer
    }

    /// A property of the request.
    pub(super) fn asked(&self, property: &str) -> Option<&str> {
        self.request.get(property).and_then(Value::as_str)
    }

    /// The call as `GET /call/{id}` shows it. Cost, transcript and analysis come with the report, a little after the end.
    pub(super) fn shown(&self, now: Timestamp) -> Value {
        let moments = [
            Some(self.starts_at),
            self.ringing_at,
            self.answered_at,
            Some(self.ended_at),
            Some(self.reported_at),
        ];
        let updated_at =
            moments.into_iter().flatten().filter(|moment| *moment <= now).max().unwrap_or(self.created_at);
        let mut shown = self.head(self.status(now), updated_at);
        if let Some(answered_at) = self.answered_at.filter(|answered| *answered <= now) {
            shown["startedAt"] = json!(answered_at);
        }
        if self.ended_at <= now {
            shown["endedReason"] = json!(self.ended_reason);
            shown["endedAt"] = json!(self.ended_at);
        }
        if self.reported_at <= now {
            shown["cost"] = cost_number(self.cost);
            shown["artifact"] = self.artifact();
            shown["analysis"] = self.analysis();
        }
        shown
    }

    fn head(&self, status: &str, updated_at: Timestamp) -> Value {
        let mut head = self.request.clone();
        let own = [
            ("id", json!(self.id)),
            ("orgId", json!(ORG_ID)),
            ("createdAt", json!(self.created_at)),
            ("updatedAt", json!(updated_at)),
            ("type", json!("outboundPhoneCall")),
            ("status", json!(status)),
            ("phoneCallProvider", json!("vapi")),
            ("phoneCallTransport", json!("sip")),
        ];
        head.extend(own.map(|(key, value)| (key.to_owned(), value)));
        Value::Object(head)
    }

    /// The body of the webhook for `event`. Each copy is the same text.
    pub(super) fn webhook(&self, event: Event) -> Bytes {
        let at = match event {
            Event::Queued => self.starts_at,
            Event::Ringing => self.ringing_at.unwrap_or(self.starts_at),
            Event::InProgress => self.answered_at.unwrap_or(self.starts_at),
            Event::Ended => self.ended_at,
            Event::EndOfCallReport => self.reported_at,
        };
        let mut message = json!({
            "timestamp": at.as_millis(),
            "phoneNumber": {
                "provider": "byo-phone-number",
                "name": self.asked("phoneNumberId"),
                "numberE164CheckEnabled": true,
            },
            "customer": self.request.get("customer"),
            // The provider sends the call as it was made: only `message.status` tells where it stands.
            "call": self.head("queued", self.created_at),
        });
        match event {
            Event::Queued | Event::Ringing | Event::InProgress | Event::Ended => {
                message["type"] = json!("status-update");
                message["status"] = json!(event.as_str());
                if event == Event::Ended {
                    message["endedReason"] = json!(self.ended_reason);
                }
            }
            Event::EndOfCallReport => {
                message["type"] = json!("end-of-call-report");
                message["endedReason"] = json!(self.ended_reason);
                if let Some(answered_at) = self.answered_at {
                    message["startedAt"] = json!(answered_at);
                }
                message["endedAt"] = json!(self.ended_at);
                message["cost"] = cost_number(self.cost);
                message["costs"] = json!([]);
                message["artifact"] = self.artifact();
                message["analysis"] = self.analysis();
            }
        }
        Bytes::from(json!({ "message": message }).to_string())
    }

    fn artifact(&self) -> Value {
        let (Some(talk), Some(answered_at)) = (self.talk, self.answered_at) else {
            return json!({ "messages": [], "messagesOpenAIFormatted": [], "transcript": "" });
        };
        let greeting = "Hello, this is a call about your request. Is this a good time?";
        let reply = talk.reply();
        let silence = Duration::from_millis(talk.silence_ms);
        let (spoken_at, ended_at) = ((answered_at + silence).as_millis(), self.ended_at.as_millis());
        if spoken_at >= ended_at && talk.silence_ms > 0 {
            // Nobody of ours spoke before the person hung up.
            let prompt = json!({
                "role": "system", "message": "You call people.", "time": answered_at.as_millis(), "secondsFromStart": 0.0,
            });
            return json!({ "messages": [prompt], "messagesOpenAIFormatted": [], "transcript": "" });
        }
        json!({
            "messages": [
                { "role": "bot", "message": greeting, "time": spoken_at, "endTime": ended_at.min(spoken_at + 2_000), "secondsFromStart": silence.as_secs_f64() },
                { "role": "user", "message": reply, "time": ended_at.min(spoken_at + 2_500), "endTime": ended_at, "secondsFromStart": silence.as_secs_f64() + 2.5 },
            ],
            "messagesOpenAIFormatted": [
                { "role": "assistant", "content": greeting },
                { "role": "user", "content": reply },
            ],
            "transcript": format!("AI: {greeting}\nUser: {reply}\n"),
            "recordingUrl": format!("https://recordings.example.invalid/{}-mono.wav", self.id),
        })
    }

    fn analysis(&self) -> Value {
        match self.talk {
            Some(talk) => json!({
                "summary": talk.summary(),
                "structuredData": talk.data(),
                "successEvaluation": talk.booked.to_string(),
            }),
            None => json!({}),
        }
    }

    /// The call in the provider's own books.
    pub(super) fn entry(&self, now: Timestamp) -> LedgerEntry {
        let over = self.ended_at <= now;
        LedgerEntry {
            provider_call_id: self.id.clone(),
            name: self.name.clone().unwrap_or_default(),
            customer: self.customer.clone(),
            phone_number_id: self.asked("phoneNumberId").unwrap_or_default().to_owned(),
            created_at: self.created_at,
            ringing_at: self.ringing_at.filter(|ringing| *ringing <= now),
            answered_at: self.answered_at.filter(|answered| *answered <= now),
            ended_at: over.then_some(self.ended_at),
            ended_reason: over.then(|| self.ended_reason.clone()),
            cost: over.then_some(self.cost),
            silence: over.then(|| self.silence()).flatten(),
            left_message: over && self.ended_reason == "voicemail" && self.leaves_message(),
        }
    }

    /// How long whoever took the call heard nobody.
    fn silence(&self) -> Option<Duration> {
        let silence = Duration::from_millis(self.talk?.silence_ms);
        Some(silence.min(self.ended_at.since(self.answered_at?)))
    }

    /// Whether there is something to be said to a machine: what the request empties is not said.
    fn leaves_message(&self) -> bool {
        let overrides = self.request.get("assistantOverrides");
        overrides.and_then(|overrides| overrides["voicemailMessage"].as_str()) != Some("")
    }
}

impl Talk {
    /// What the assistant found out.
    fn data(self) -> Value {
        let mut data = json!({ "opted_out": self.opted_out, "booked": self.booked });
        if let Some(at) = self.call_again_at {
            data["callback_at"] = json!(at);
        }
        data
    }

    fn reply(self) -> &'static str {
        match self {
            Self { opted_out: true, .. } => "Please take me off your list and do not call again.",
            Self { booked: true, .. } => "Yes, tomorrow at ten suits me.",
            Self { call_again_at: Some(_), .. } => "Not now. Please call me again later.",
            Self { .. } => "Thank you, not today.",
        }
    }

    fn summary(self) -> &'static str {
        match self {
            Self { opted_out: true, .. } => "The customer asked not to be called again.",
            Self { booked: true, .. } => "The customer booked an appointment.",
            Self { call_again_at: Some(_), .. } => "The customer wants to be called again.",
            Self { .. } => "The customer was not interested today.",
        }
    }
}

/// Money as the provider writes it: a JSON number with up to four decimals.
fn cost_number(cost: Usd) -> Value {
    json!(cost.as_ten_thousandths() as f64 / 10_000.0)
}
