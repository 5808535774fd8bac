//! Tables that were put back to an earlier moment, each alone, while the others stayed: nothing answers "done" that is not, and
//! every switch works.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use dialpool::engine::Engine;
use dialpool::local::{Local, Settings, TEMPLATE, clock_from};
use dialpool::template::Template;
use dialpool_domain::campaign::{CampaignCommand, CampaignStatus, NewCampaign, Policy};
use dialpool_domain::consent::{Consent, ConsentKind};
use dialpool_domain::event::{Aggregate, Cause};
use dialpool_domain::pool::{HoldHours, NewNumber};
use dialpool_domain::{CampaignId, CompanyId, PhoneNumber, Timestamp, TraceId};
use dialpool_dynamo::{
    CampaignMade, Commanded, Company, Consented, HashKey, Imported, Lines, NumberChange, NumberChanged,
    PhoneHasher, Store, Suppressed,
};
use dialpool_runtime::Clock;

type Items = Vec<HashMap<String, AttributeValue>>;

const MONDAY: &str = "2026-03-02T17:00:00Z";

struct World {
    engine: Engine,
    client: Client,
    store: Store,
    clock: Clock,
    company: CompanyId,
    hasher: PhoneHasher,
}

impl World {
    async fn new() -> Self {
        let clock = clock_from(MONDAY.parse().expect("a moment"));
        let engine = Engine::in_memory(clock.clone()).expect("an engine");
        engine.create(&Template::parse(TEMPLATE).expect("the template")).await.expect("tables");
        let (client, store) = (Client::new(&engine.sdk_config(None, true)), engine.store());
        let company: CompanyId = "acme".parse().expect("a company");
        assert!(store.create_company(&Company::new(company.clone(), "Acme")).await.expect("an answer"));
        let hasher = PhoneHasher::new("key".to_owned().into());
        Self { engine, client, store, clock, company, hasher }
    }

    fn cause(&self) -> Cause {
        Cause { at: self.now(), actor: "test".to_owned(), trace_id: TraceId::new(1) }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// All items of a table.
    async fn items(&self, table: &str) -> Items {
        let pages = self.client.scan().table_name(table).consistent_read(true).into_paginator();
        pages.items().send().collect::<Result<_, _>>().await.expect("the items")
    }

    /// Puts a table back to what it was.
    async fn restore(&self, table: &str, to: &Items) {
        let key = |item: &HashMap<String, AttributeValue>| -> HashMap<String, AttributeValue> {
            ["pk", "sk"].iter().map(|part| ((*part).to_owned(), item[*part].clone())).collect()
        };
        for item in self.items(table).await {
            let request = self.client.delete_item().table_name(table).set_key(Some(key(&item)));
            request.send().await.expect("deleted");
        }
        for item in to {
            let request = self.client.put_item().table_name(table).set_item(Some(item.clone()));
            request.send().await.expect("put");
        }
    }

    async fn suppress(&self, phone: &PhoneNumber) -> Suppressed {
        let suppressed =
            self.store.suppress(&self.cause(), &self.company, &self.hasher, phone, None, "request").await;
        suppressed.expect("an answer")
    }

    async fn is_suppressed(&self, phone: &PhoneNumber) -> bool {
        let hash = self.hasher.hash(phone);
        self.store.is_suppressed(&self.company, &hash).await.expect("an answer")
    }

    async fn campaign(&self) -> CampaignId {
        let new = NewCampaign {
            id: CampaignId::new(self.now(), 1),
            company: self.company.clone(),
            name: "Test".to_owned(),
            assistant_id: "assistant-1".to_owned(),
            cap: 2.try_into().expect("a cap"),
            hold: HoldHours::try_from(1).expect("hours"),
            from_number: None,
            policy: Policy::default(),
        };
        let made = self.store.create_campaign(&self.cause(), &new).await.expect("an answer");
        assert_eq!(made, CampaignMade::Done);
        new.id
    }

    async fn command(&self, id: &CampaignId, command: CampaignCommand) -> CampaignStatus {
        let done = self.store.command_campaign(&self.cause(), &self.company, id, command).await;
        match done.expect("an answer") {
            Commanded::Done(campaign) => campaign.status,
            other => panic!("{command:?}: {other:?}"),
        }
    }

    /// The sequences of an aggregate's events.
    async fn sequences(&self, aggregate: &Aggregate) -> Vec<u64> {
        let events = self.store.events_of(&self.company, aggregate).await.expect("the events");
        events.iter().map(|event| event.sequence).collect()
    }
}

fn phone() -> PhoneNumber {
    "+14155550150".parse().expect("a number")
}

#[tokio::test(start_paused = true)]
async fn a_suppression_is_stored_though_the_journal_has_it_from_before_a_restore() {
    let world = World::new().await;
    let before = world.items("DialingTable").await;
    assert_eq!(world.suppress(&phone()).await, Suppressed::Added);
    world.restore("DialingTable", &before).await;
    assert!(!world.is_suppressed(&phone()).await);

    let again = world.suppress(&phone()).await;

    assert_eq!(again, Suppressed::Added);
    assert!(world.is_suppressed(&phone()).await);
    assert_eq!(world.suppress(&phone()).await, Suppressed::Already);
    let aggregate = Aggregate::Suppression(world.hasher.hash(&phone()));
    assert_eq!(world.sequences(&aggregate).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_suppression_for_everybody_is_stored_though_its_copy_is_there() {
    let world = World::new().await;
    let before = world.items("DialingTable").await;
    let hash = world.hasher.hash(&phone());
    let everywhere =
        async || world.store.suppress_everywhere(&world.cause(), &hash).await.expect("an answer");
    assert_eq!(everywhere().await, Suppressed::Added);
    world.restore("DialingTable", &before).await;

    assert_eq!(everywhere().await, Suppressed::Added);
    assert!(world.is_suppressed(&phone()).await);
    assert_eq!(everywhere().await, Suppressed::Already);
}

#[tokio::test(start_paused = true)]
async fn a_campaign_is_paused_and_cancelled_after_its_table_was_restored() {
    let world = World::new().await;
    let id = world.campaign().await;
    assert_eq!(world.command(&id, CampaignCommand::Start).await, CampaignStatus::Running);
    let before = world.items("DialingTable").await;
    for command in [CampaignCommand::Pause, CampaignCommand::Resume, CampaignCommand::Pause] {
        world.command(&id, command).await;
    }
    world.restore("DialingTable", &before).await;

    assert_eq!(world.command(&id, CampaignCommand::Pause).await, CampaignStatus::Paused);
    assert_eq!(world.command(&id, CampaignCommand::Resume).await, CampaignStatus::Running);
    assert_eq!(world.command(&id, CampaignCommand::Cancel).await, CampaignStatus::Cancelled);
    assert_eq!(world.sequences(&Aggregate::Campaign(id)).await, (1..=8).collect::<Vec<u64>>());
}

#[tokio::test(start_paused = true)]
async fn a_restored_campaign_counts_on_from_the_last_event_at_once() {
    let world = World::new().await;
    let id = world.campaign().await;
    let before = world.items("DialingTable").await;
    world.command(&id, CampaignCommand::Start).await;
    world.command(&id, CampaignCommand::Pause).await;
    world.restore("DialingTable", &before).await;
    world.command(&id, CampaignCommand::Start).await;

    let campaign = world.items("DialingTable").await;
    let campaign = campaign.iter().find(|item| item["sk"] == AttributeValue::S("CAMPAIGN".to_owned()));

    let version = &campaign.expect("the campaign")["item_version"];
    assert_eq!(*version, AttributeValue::N("4".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn the_stop_switch_works_after_its_table_was_restored() {
    let world = World::new().await;
    let before = world.items("DialingTable").await;
    for lines in [Lines::Company(world.company.clone()), Lines::Account("vapi".to_owned())] {
        let stop =
            async |reason| world.store.stop(&world.cause(), &lines, None, reason).await.expect("an answer");
        stop(Some("test")).await;
        stop(None).await;
        world.restore("DialingTable", &before).await;

        assert_eq!(stop(Some("again")).await.stopped(), Some("again"));
        assert_eq!(stop(None).await.stopped(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_consent_is_revoked_after_its_table_was_restored() {
    let world = World::new().await;
    let consent = Consent {
        kind: ConsentKind::Express,
        text_sha256: None,
        evidence: "form 7".to_owned(),
        captured_at: world.now(),
        expires_at: None,
        revoked_at: None,
    };
    let (store, company, hasher) = (&world.store, &world.company, &world.hasher);
    let captured = store.capture_consent(&world.cause(), company, hasher, &phone(), &consent).await;
    assert_eq!(captured.expect("an answer"), Consented::Written);
    let before = world.items("DialingTable").await;
    let revoke =
        async || store.revoke_consent(&world.cause(), company, hasher, &phone()).await.expect("an answer");
    assert_eq!(revoke().await, Consented::Written);
    world.restore("DialingTable", &before).await;

    assert_eq!(revoke().await, Consented::Written);
    let known = store.consent(company, &hasher.hash(&phone())).await.expect("an answer");
    assert!(known.is_some_and(|known| known.revoked_at.is_some()));
}

#[tokio::test(start_paused = true)]
async fn half_of_a_consent_that_a_restore_kept_does_not_hold_the_next_up() {
    let world = World::new().await;
    let (store, company, hasher) = (&world.store, &world.company, &world.hasher);
    let revoke =
        async || store.revoke_consent(&world.cause(), company, hasher, &phone()).await.expect("an answer");
    assert_eq!(revoke().await, Consented::Written);
    // The person's item is gone, and the entry of the ledger is there.
    let mut half = world.items("DialingTable").await;
    half.retain(|item| item["sk"] != AttributeValue::S("PERSON".to_owned()));
    world.restore("DialingTable", &half).await;

    assert_eq!(revoke().await, Consented::Written);
}

#[tokio::test(start_paused = true)]
async fn a_number_is_put_aside_after_its_table_was_restored() {
    let world = World::new().await;
    let number: PhoneNumber = "+14155550101".parse().expect("a number");
    let imported =
        world.store.import_number(&world.cause(), &world.company, &NewNumber::bare(number.clone())).await;
    assert_eq!(imported.expect("an answer"), Imported::Added);
    let before = world.items("PoolTable").await;
    let quarantine = NumberChange::Quarantine {
        until: world.now() + dialpool_domain::time::Duration::from_hours(1),
        reason: "test".to_owned(),
    };
    let change =
        async || world.store.change_number(&world.cause(), &world.company, &number, &quarantine).await;
    assert!(matches!(change().await, Ok(NumberChanged::Done(_))));
    world.restore("PoolTable", &before).await;

    let Ok(NumberChanged::Done(state)) = change().await else { panic!("not put aside") };
    assert_eq!(state.quarantine.as_deref(), Some("test"));
}

#[tokio::test(start_paused = true)]
async fn a_company_is_made_again_after_its_table_was_restored() {
    let world = World::new().await;
    let before = world.items("PeopleTable").await;
    let new = Company::new("other".parse().expect("a company"), "Other");
    assert!(world.store.create_company(&new).await.expect("an answer"));
    world.restore("PeopleTable", &before).await;

    assert!(world.store.create_company(&new).await.expect("an answer"));
    assert!(world.store.company(&new.company).await.expect("an answer").is_some());
    assert!(!world.store.create_company(&new).await.expect("an answer"));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_came_twice_is_known_though_events_are_renumbered() {
    let world = World::new().await;
    let id = world.campaign().await;
    world.command(&id, CampaignCommand::Start).await;

    let again =
        world.store.command_campaign(&world.cause(), &world.company, &id, CampaignCommand::Start).await;

    assert!(matches!(again, Ok(Commanded::Already(_))), "{again:?}");
    assert_eq!(world.sequences(&Aggregate::Campaign(id)).await, [1, 2]);
}

// ---- the canary of the hash key --------------------------------------------------------------------------------------

async fn start(engine: &Engine, clock: &Clock, key: &str) -> Result<(), String> {
    let mut settings = Settings::new(engine.clone(), clock.clone(), 1);
    settings.phone_hash_key = key.to_owned();
    let template = Template::parse(TEMPLATE).expect("the template");
    Local::start(&template, settings).await.map(|_| ()).map_err(|error| format!("{error:#}"))
}

#[tokio::test(start_paused = true)]
async fn functions_refuse_to_start_with_another_hash_key() {
    let world = World::new().await;
    start(&world.engine, &world.clock, "first").await.expect("a first start");

    let same = start(&world.engine, &world.clock, "first").await;
    let other = start(&world.engine, &world.clock, "second").await;

    assert_eq!(same, Ok(()));
    assert!(other.expect_err("a refusal").contains("PHONE_HASH_KEY is not the key"));
}

#[tokio::test(start_paused = true)]
async fn of_two_first_starts_with_two_keys_one_is_refused() {
    let world = World::new().await;
    let (one, two) = (PhoneHasher::new("one".to_owned().into()), PhoneHasher::new("two".to_owned().into()));

    let (first, second) = tokio::join!(
        world.store.check_hash_key(world.now(), &one),
        world.store.check_hash_key(world.now(), &two)
    );

    let mut found = [first.expect("an answer"), second.expect("an answer")];
    found.sort_by_key(|found| *found == HashKey::Other);
    assert_eq!(found, [HashKey::Same, HashKey::Other]);
}

#[tokio::test(start_paused = true)]
async fn tables_in_use_without_a_canary_start_nothing_until_the_journal_proves_the_key() {
    let world = World::new().await;
    let _added: Suppressed = world.suppress(&phone()).await;
    world.store.open_lines(&Lines::Account("vapi".to_owned())).await.expect("lines");
    let other = PhoneHasher::new("other".to_owned().into());

    let unproven = world.store.check_hash_key(world.now(), &world.hasher).await.expect("an answer");
    let (disproven, _) = world.store.prove_hash_key(world.now(), &other).await.expect("an answer");
    let (proven, proof) = world.store.prove_hash_key(world.now(), &world.hasher).await.expect("an answer");
    let known = world.store.check_hash_key(world.now(), &world.hasher).await.expect("an answer");

    assert_eq!([unproven, disproven], [HashKey::Unproven, HashKey::Other]);
    assert_eq!((proven, proof.same, known), (HashKey::Same, 1, HashKey::Same));
}
