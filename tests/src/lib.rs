//! What the tests that span functions share: a whole stack in virtual time, and the words to speak to it.

pub mod chaos;
mod strict;

use axum::body::Body;
use dialpool::audit::{Books, Stage, Violation};
use dialpool::engine::Engine;
use dialpool::local::{Local, Settings, TEMPLATE, clock_from};
use dialpool::simulator::{Ending, Script};
use dialpool::template::Template;
use dialpool_domain::campaign::{CampaignCommand, Mode, NewCampaign, Policy};
use dialpool_domain::consent::ConsentRequired;
use dialpool_domain::event::Cause;
use dialpool_domain::place::Place;
use dialpool_domain::pool::{HoldHours, NewNumber, ReleaseReason};
use dialpool_domain::time::Duration;
use dialpool_domain::{AssignmentId, CampaignId, CompanyId, LeadId, PhoneNumber, Timestamp, TraceId};
use dialpool_dynamo::{Added, Assigned, CampaignMade, Changed, Commanded, Company, Imported, Request, Store};
use serde_json::Value;
use tower::ServiceExt;

/// A Monday, noon in New York and 9 o'clock in Los Angeles, where dialing has just begun: everybody may be called.
pub const MONDAY: &str = "2026-03-02T17:00:05Z";

/// A stack, its provider, and a company with its key.
pub struct World {
    /// The stack and the simulator.
    pub local: Local,
    /// The company.
    pub company: CompanyId,
    key: String,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, as JSON; `null` when it is none.
    pub json: Value,
    /// The body.
    pub text: String,
    /// The headers.
    pub headers: http::HeaderMap,
}

impl Answer {
    /// The fields that the problem names.
    pub fn wrong_fields(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array().into_iter().flatten();
        errors.filter_map(|error| error["field"].as_str()).collect()
    }
}

/// The engine that the tests run on: embedded, or the DynamoDB at `DIALPOOL_TEST_DYNAMODB`.
///
/// # Panics
/// When there is none.
pub fn engine(clock: dialpool_runtime::Clock) -> Engine {
    let engine = match std::env::var("DIALPOOL_TEST_DYNAMODB") {
        Ok(endpoint) => Engine::with_dynamodb_at(&endpoint, clock),
        Err(_) => Engine::in_memory(clock),
    };
    engine.expect("an engine")
}

impl World {
    /// A stack in which nothing goes wrong.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A stack with other settings.
    ///
    /// # Panics
    /// When the stack cannot be run.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::starting(MONDAY, change).await
    }

    /// A stack with other settings, whose first moment is this.
    ///
    /// # Panics
    /// When the stack cannot be run.
    pub async fn starting(at: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let clock = clock_from(at.parse().expect("a moment"));
        let mut settings = Settings::new(engine(clock.clone()), clock, 1);
        settings.simulator.latency = Duration::from_millis(50);
        change(&mut settings);
        let template = Template::parse(TEMPLATE).expect("the template");
        let local = Local::start(&template, settings).await.expect("a stack");
        let company: CompanyId = "acme".parse().expect("a company");
        let key = local.company(&company, "Acme").await.expect("a key");
        Self { local, company, key }
    }

    /// The tables.
    pub fn store(&self) -> &Store {
        &self.local.stack.store
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.local.clock.now()
    }

    /// A change made by the test.
    pub fn cause(&self) -> Cause {
        Cause { at: self.now(), actor: "test".to_owned(), trace_id: TraceId::new(1) }
    }

    /// Puts numbers into the pool.
    ///
    /// # Panics
    /// When one is refused.
    pub async fn add_numbers(&self, numbers: &[&str]) {
        for number in numbers {
            let number: PhoneNumber = number.parse().expect("a number");
            let vapi_id = Some(format!("pn-{}", &number.as_str()[1..]));
            let new = NewNumber { vapi_id, ..NewNumber::bare(number) };
            let imported =
                self.store().import_number(&self.cause(), &self.company, &new).await.expect("an answer");
            assert_eq!(imported, Imported::Added);
        }
    }

    /// A request for a number, for 18 hours.
    pub fn request(&self, lead: &str) -> Request {
        let company = Company::new(self.company.clone(), "Acme");
        let assignment_id = AssignmentId::new(self.now(), self.local.entropy.next_u128());
        let lead = lead.parse().expect("a lead");
        Request::new(&company, lead, Place::default(), HoldHours::default(), assignment_id)
    }

    /// Asks for a number for a lead.
    ///
    /// # Panics
    /// When the store gives no answer.
    pub async fn assign(&self, lead: &str) -> Assigned {
        self.store().assign(&self.cause(), &self.request(lead)).await.expect("an answer")
    }

    /// Ends a hold.
    ///
    /// # Panics
    /// When the store gives no answer.
    pub async fn release(&self, hold: &AssignmentId) -> Changed {
        let (cause, reason) = (self.cause(), ReleaseReason::Requested);
        self.store().release(&cause, &self.company, hold, reason).await.expect("an answer")
    }

    /// Lets time pass.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// The company's key, as `Authorization` has it.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.key)
    }

    /// Sends bytes with the company's key and these headers, the kind of the bytes included.
    ///
    /// # Panics
    /// When the headers name no kind.
    pub async fn send_bytes(
        &self,
        method: &str,
        path: &str,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let kind = headers.iter().position(|(name, _)| *name == "content-type").expect("a content-type");
        let others = [&headers[..kind], &headers[kind + 1..]].concat();
        self.send_as(&self.bearer(), method, path, headers[kind].1, body, &others).await
    }

    /// Sends a request with the company's key.
    pub async fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        self.send_as(&bearer, method, path, "application/json", body.to_string().into_bytes(), &[]).await
    }

    /// Sends a CSV file with the company's key.
    pub async fn send_csv(&self, path: &str, csv: &str) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        self.send_as(&bearer, "POST", path, "text/csv", csv.as_bytes().to_vec(), &[]).await
    }

    /// Sends a CSV file with the company's key and more headers.
    pub async fn send_file(&self, path: &str, file: Vec<u8>, headers: &[(&str, &str)]) -> Answer {
        self.send_body(path, Body::from(file), headers).await
    }

    /// Sends a CSV file as it comes, with the company's key and more headers.
    pub async fn send_body(&self, path: &str, body: Body, headers: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        self.send_any(&bearer, "POST", path, "text/csv", body, headers).await
    }

    /// Sends a request with the company's key and more headers.
    pub async fn send_with(&self, method: &str, path: &str, body: Value, headers: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        self.send_as(&bearer, method, path, "application/json", body.to_string().into_bytes(), headers).await
    }

    /// Sends a request.
    pub async fn send_as(
        &self,
        authorization: &str,
        method: &str,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> Answer {
        self.send_any(authorization, method, path, content_type, Body::from(body), headers).await
    }

    /// Sends a request.
    ///
    /// # Panics
    /// When it is no request.
    async fn send_any(
        &self,
        authorization: &str,
        method: &str,
        path: &str,
        content_type: &str,
        body: Body,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", authorization)
            .header("content-type", content_type);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).expect("a request");
        let response = self.local.stack.api().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
        let json = strict::json(&bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status.as_u16(), json, text, headers: parts.headers }
    }

    /// Makes and starts a campaign with these contacts (a CSV with a header).
    ///
    /// # Panics
    /// When it is refused.
    pub async fn campaign(&self, cap: u32, contacts: &str) -> CampaignId {
        let request = serde_json::json!({
            "name": "Test", "assistant_id": "assistant-1", "cap": cap, "consent_required": "none",
        });
        let made = self.send("POST", "/v1/campaigns", request).await;
        assert_eq!(made.status, 201, "{made:?}");
        let id = made.json["id"].as_str().expect("an id").to_owned();
        let added = self.send_csv(&format!("/v1/campaigns/{id}/contacts"), contacts).await;
        assert_eq!(added.status, 200, "{added:?}");
        let started = self.send("POST", &format!("/v1/campaigns/{id}/start"), Value::Null).await;
        assert_eq!(started.status, 200, "{started:?}");
        id.parse().expect("an id")
    }

    /// Makes and starts a campaign past the API, which may be under faults.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn quiet_campaign(&self, cap: u32, contacts: &str) -> CampaignId {
        self.quiet_campaign_in(Mode::Continuous, cap, contacts).await
    }

    /// The same in a mode.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn quiet_campaign_in(&self, mode: Mode, cap: u32, contacts: &str) -> CampaignId {
        let new = NewCampaign {
            id: CampaignId::new(self.now(), 1),
            company: self.company.clone(),
            name: "Test".to_owned(),
            assistant_id: "assistant-1".to_owned(),
            cap: cap.try_into().expect("a cap"),
            hold: HoldHours::try_from(1).expect("hours"),
            from_number: None,
            policy: Policy { mode, consent_required: ConsentRequired::None, ..Policy::default() },
        };
        let (store, cause) = (self.store(), self.cause());
        let made = store.create_campaign(&cause, &new).await.expect("a campaign");
        assert_eq!(made, CampaignMade::Done);
        let rows = control_api::read_contacts(contacts.as_bytes(), false).expect("contacts").rows;
        let contacts: Vec<_> = rows.into_iter().map(|(_, contact)| contact).collect();
        let added = store.add_contacts(&cause, &self.company, &new.id, &contacts).await.expect("contacts");
        assert!(matches!(added, Added::Done { .. }), "{added:?}");
        let started = store.command_campaign(&cause, &self.company, &new.id, CampaignCommand::Start).await;
        assert!(matches!(started, Ok(Commanded::Done(_))), "{started:?}");
        new.id
    }

    /// Whether no campaign runs and the provider has no call.
    ///
    /// # Panics
    /// When the store gives no answer.
    pub async fn is_over(&self) -> bool {
        let running = self.store().running_campaigns().await.expect("an answer");
        running.is_empty() && self.local.simulator.active() == 0
    }

    /// Everything that is wrong now.
    ///
    /// # Panics
    /// When the books cannot be read.
    pub async fn violations(&self, stage: Stage) -> Vec<Violation> {
        self.books().await.violations(stage)
    }

    /// What the stack has written down.
    ///
    /// # Panics
    /// When it cannot be read.
    pub async fn books(&self) -> Books {
        Books::read(&self.local.stack.engine, self.local.simulator.ledger()).await.expect("the books")
    }

    /// The types of the events so far, by time.
    pub async fn event_types(&self) -> Vec<&'static str> {
        self.books().await.events().iter().map(|event| event.data.kind()).collect()
    }
}

/// So many numbers of Manhattan.
///
/// # Panics
/// When one is refused.
pub async fn with_numbers(world: &World, count: u32) {
    let numbers: Vec<String> = (0..count).map(|n| format!("+1212555{:04}", 100 + n)).collect();
    world.add_numbers(&numbers.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

/// A talk of which nothing comes: the person hangs up.
pub fn talk_of(talk: Duration) -> Ending {
    Ending::Answered { talk, customer_hangs_up: true, opted_out: false, booked: false, call_again: None }
}

/// What a person does who is called.
pub fn script(ending: Ending) -> Script {
    Script { ring: Duration::from_secs(4), ending }
}

/// A lead's id.
///
/// # Panics
/// When it is none.
pub fn lead(text: &str) -> LeadId {
    text.parse().expect("a lead")
}
