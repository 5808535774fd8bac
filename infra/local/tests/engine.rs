//! What the local engine guarantees, asked through the AWS SDK as the functions ask it.
//!
//! Time is tokio's paused clock: no test waits, and none listens on a socket.

#![expect(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use aws_sdk_sqs::types::Message;
use dialpool::engine::{Crashed, Engine, Fault, Intercept, WireRequest, run_invocation};
use dialpool::template::Template;
use dialpool_domain::Timestamp;
use dialpool_runtime::Clock;

const TEMPLATE: &str = "
Resources:
  Journal:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{ AttributeName: pk, AttributeType: S }]
      KeySchema: [{ AttributeName: pk, KeyType: HASH }]
      StreamSpecification: { StreamViewType: NEW_IMAGE }
  Dead: { Type: AWS::SQS::Queue }
  Jobs:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 60
      RedrivePolicy: { deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 2 }
  Late: { Type: AWS::SQS::Queue, Properties: { DelaySeconds: 30 } }
  Bus: { Type: AWS::Events::EventBus, Properties: { Name: Bus } }
";

/// 2026-03-02T15:00:00Z, and from there on as fast as tokio's clock.
fn clock() -> Clock {
    let (start, began) = (Timestamp::from_millis(1_772_463_600_000), tokio::time::Instant::now());
    Clock::from_fn(move || start + began.elapsed())
}

async fn engine() -> Engine {
    let engine = Engine::in_memory(clock()).unwrap();
    engine.create(&Template::parse(TEMPLATE).unwrap()).await.unwrap();
    engine
}

/// The n-th request of the operation meets the fault; all others pass.
fn nth(operation: &'static str, n: u32, fault: Fault) -> Intercept {
    let seen = AtomicU32::new(0);
    Arc::new(move |request: &WireRequest<'_>| {
        let hit = request.operation == operation && seen.fetch_add(1, Ordering::Relaxed) + 1 == n;
        if hit { fault.clone() } else { Fault::None }
    })
}

struct Sqs(aws_sdk_sqs::Client);

impl Sqs {
    fn of(engine: &Engine) -> Self {
        Self(aws_sdk_sqs::Client::new(&engine.sdk_config(None, false)))
    }

    async fn url(&self, queue: &str) -> String {
        self.0.get_queue_url().queue_name(queue).send().await.unwrap().queue_url.unwrap()
    }

    async fn send(&self, queue: &str, body: &str) {
        self.0.send_message().queue_url(self.url(queue).await).message_body(body).send().await.unwrap();
    }

    async fn receive(&self, queue: &str, wait_seconds: i32) -> Vec<Message> {
        let url = self.url(queue).await;
        let asked = self
            .0
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(10)
            .wait_time_seconds(wait_seconds);
        asked.send().await.unwrap().messages.unwrap_or_default()
    }

    async fn delete(&self, queue: &str, message: &Message) {
        let receipt = message.receipt_handle.clone().unwrap();
        self.0
            .delete_message()
            .queue_url(self.url(queue).await)
            .receipt_handle(receipt)
            .send()
            .await
            .unwrap();
    }
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body().unwrap()).collect()
}

fn receive_count(message: &Message) -> &str {
    &message.attributes().unwrap()[&aws_sdk_sqs::types::MessageSystemAttributeName::ApproximateReceiveCount]
}

fn dynamodb(engine: &Engine, intercept: Option<Intercept>, retries: bool) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(&engine.sdk_config(intercept, retries))
}

async fn write(client: &aws_sdk_dynamodb::Client, key: &str) -> Result<(), aws_sdk_dynamodb::Error> {
    let put = client.put_item().table_name("Journal").item("pk", AttributeValue::S(key.to_owned()));
    put.condition_expression("attribute_not_exists(pk)").send().await?;
    Ok(())
}

async fn keys(engine: &Engine) -> Vec<String> {
    let found = dynamodb(engine, None, false).scan().table_name("Journal").send().await.unwrap();
    let mut keys: Vec<String> = found.items().iter().map(|item| item["pk"].as_s().unwrap().clone()).collect();
    keys.sort();
    keys
}

#[tokio::test(start_paused = true)]
async fn a_received_message_is_hidden_until_its_visibility_time_out_and_then_comes_back() {
    let sqs = Sqs::of(&engine().await);
    sqs.send("Jobs", "dial").await;
    assert_eq!(bodies(&sqs.receive("Jobs", 0).await), ["dial"]);

    tokio::time::advance(Duration::from_secs(59)).await;
    assert!(sqs.receive("Jobs", 0).await.is_empty());

    tokio::time::advance(Duration::from_secs(1)).await;
    let again = sqs.receive("Jobs", 0).await;
    assert_eq!(bodies(&again), ["dial"]);
    assert_eq!(receive_count(&again[0]), "2");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_failed_as_often_as_allowed_goes_to_the_dead_letter_queue() {
    let engine = engine().await;
    let sqs = Sqs::of(&engine);
    sqs.send("Jobs", "unreadable").await;
    for _ in 0..2 {
        assert_eq!(bodies(&sqs.receive("Jobs", 0).await), ["unreadable"]);
        tokio::time::advance(Duration::from_mins(1)).await;
    }

    assert!(sqs.receive("Jobs", 0).await.is_empty());
    assert_eq!(bodies(&sqs.receive("Dead", 0).await), ["unreadable"]);
    assert_eq!(engine.queue_depth("Jobs").total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_message_is_not_seen_before_its_time() {
    let engine = engine().await;
    let sqs = Sqs::of(&engine);
    sqs.send("Late", "by the queue").await;
    let own =
        sqs.0.send_message().queue_url(sqs.url("Late").await).message_body("by itself").delay_seconds(5);
    own.send().await.unwrap();
    assert!(sqs.receive("Late", 0).await.is_empty());
    assert_eq!(engine.queue_depth("Late").delayed, 2);

    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(bodies(&sqs.receive("Late", 0).await), ["by itself"]);
    tokio::time::advance(Duration::from_secs(25)).await;
    assert_eq!(bodies(&sqs.receive("Late", 0).await), ["by the queue"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_ends_when_a_message_becomes_visible_or_with_its_time() {
    let sqs = Sqs::of(&engine().await);
    let began = tokio::time::Instant::now();
    assert!(sqs.receive("Jobs", 20).await.is_empty());
    assert_eq!(began.elapsed().as_secs(), 20);

    let send = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        sqs.send("Jobs", "dial").await;
    };
    let (received, ()) = tokio::join!(sqs.receive("Jobs", 20), send);
    assert_eq!(bodies(&received), ["dial"]);
    assert_eq!(began.elapsed().as_secs(), 23);
}

#[tokio::test(start_paused = true)]
async fn a_stale_receipt_deletes_nothing_and_is_no_error() {
    let engine = engine().await;
    let sqs = Sqs::of(&engine);
    sqs.send("Jobs", "dial").await;
    let first = sqs.receive("Jobs", 0).await;
    tokio::time::advance(Duration::from_mins(1)).await;
    let second = sqs.receive("Jobs", 0).await;

    sqs.delete("Jobs", &first[0]).await;
    assert_eq!(engine.queue_depth("Jobs").in_flight, 1);
    sqs.delete("Jobs", &second[0]).await;
    assert_eq!(engine.queue_depth("Jobs").total(), 0);
}

#[tokio::test(start_paused = true)]
async fn messages_outlive_a_restart_and_one_in_flight_stays_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let template = Template::parse(TEMPLATE).unwrap();
    let clock = clock();
    {
        let engine = Engine::in_folder(folder.path(), clock.clone()).unwrap();
        engine.create(&template).await.unwrap();
        let sqs = Sqs::of(&engine);
        sqs.send("Jobs", "in flight").await;
        sqs.receive("Jobs", 0).await;
        sqs.send("Jobs", "waiting").await;
    }
    let engine = Engine::in_folder(folder.path(), clock).unwrap();
    engine.create(&template).await.unwrap();
    let sqs = Sqs::of(&engine);
    assert_eq!(bodies(&sqs.receive("Jobs", 0).await), ["waiting"]);
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(sqs.receive("Jobs", 0).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_two_messages_have_one_id_in_whichever_queue_before_or_after_a_restart_or_a_clock_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut ids = Vec::new();
    for _restart in 0..3 {
        // Each time from the same moment on.
        let engine = Engine::in_folder(folder.path(), clock()).unwrap();
        engine.create(&Template::parse(TEMPLATE).unwrap()).await.unwrap();
        let sqs = Sqs::of(&engine);
        for queue in ["Jobs", "Dead"] {
            let url = sqs.url(queue).await;
            for _ in 0..2 {
                let sent = sqs.0.send_message().queue_url(&url).message_body("a").send().await.unwrap();
                ids.push(sent.message_id.unwrap());
            }
        }
        let taken = sqs.receive("Jobs", 0).await;
        ids.extend(taken.into_iter().map(|message| message.receipt_handle.unwrap()));
    }
    let made = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), made), (18, 18));
}

/// Lets a message of `Jobs` fail as often as it may.
async fn fail(sqs: &Sqs) {
    for _ in 0..3 {
        sqs.receive("Jobs", 0).await;
        tokio::time::advance(Duration::from_mins(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_moved_back_to_where_it_failed_as_new_messages() {
    let engine = engine().await;
    let sqs = Sqs::of(&engine);
    sqs.send("Jobs", "failed").await;
    fail(&sqs).await;
    sqs.send("Dead", "sent there").await;
    let dead = sqs.receive("Dead", 0).await;
    assert_eq!(dead.len(), 2);
    tokio::time::advance(Duration::from_secs(30)).await;
    let (source, jobs) = ("arn:aws:sqs:us-east-1:000000000000:Dead", sqs.url("Jobs").await);

    let moved = sqs.0.start_message_move_task().source_arn(source).send().await.unwrap();

    assert!(moved.task_handle.is_some());
    let back = sqs.receive("Jobs", 0).await;
    let mut texts = bodies(&back);
    texts.sort_unstable();
    assert_eq!(texts, ["failed", "sent there"]);
    assert!(back.iter().all(|message| receive_count(message) == "1"));
    assert!(back.iter().all(|message| dead.iter().all(|dead| dead.message_id != message.message_id)));
    assert_eq!(engine.queue_depth("Dead").total(), 0);
    let moves = sqs.0.list_message_move_tasks().source_arn(source).send().await.unwrap();
    assert_eq!(moves.results()[0].approximate_number_of_messages_moved(), 2);
    assert_eq!(moves.results()[0].status(), Some("COMPLETED"));
    // And it fails again as any other.
    sqs.0.purge_queue().queue_url(jobs).send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_move_goes_to_the_queue_that_is_named_and_leaves_what_is_in_flight() {
    let engine = engine().await;
    let sqs = Sqs::of(&engine);
    for body in ["in flight", "waiting"] {
        sqs.send("Dead", body).await;
    }
    let url = sqs.url("Dead").await;
    let taken = sqs.0.receive_message().queue_url(url).send().await.unwrap().messages.unwrap();
    let arn = |queue: &str| format!("arn:aws:sqs:us-east-1:000000000000:{queue}");

    let asked = sqs.0.start_message_move_task().source_arn(arn("Dead")).destination_arn(arn("Late"));
    asked.send().await.unwrap();

    assert_eq!(bodies(&taken), ["in flight"]);
    assert_eq!(bodies(&sqs.receive("Late", 0).await), ["waiting"]);
    assert_eq!(engine.queue_depth("Dead").in_flight, 1);
    for (source, to) in [("Jobs", None), ("Gone", None), ("Dead", Some("Gone"))] {
        let asked = sqs.0.start_message_move_task().source_arn(arn(source));
        let refused = asked.set_destination_arn(to.map(arn)).send().await;
        assert!(refused.is_err(), "{source} to {to:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_purged_queue_has_nothing_left_also_not_what_is_in_flight_or_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    {
        let engine = Engine::in_folder(folder.path(), clock.clone()).unwrap();
        engine.create(&Template::parse(TEMPLATE).unwrap()).await.unwrap();
        let sqs = Sqs::of(&engine);
        sqs.send("Jobs", "in flight").await;
        sqs.receive("Jobs", 0).await;
        sqs.send("Jobs", "waiting").await;
        sqs.send("Late", "delayed").await;
        for queue in ["Jobs", "Late"] {
            sqs.0.purge_queue().queue_url(sqs.url(queue).await).send().await.unwrap();
        }
        assert_eq!(engine.queue_depth("Jobs").total() + engine.queue_depth("Late").total(), 0);
        sqs.send("Jobs", "afterwards").await;
    }
    let engine = Engine::in_folder(folder.path(), clock).unwrap();
    engine.create(&Template::parse(TEMPLATE).unwrap()).await.unwrap();
    assert_eq!(engine.queue_bodies("Jobs"), ["afterwards"]);
    assert_eq!(engine.queue_depth("Late").total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_in_flight_is_hidden_for_as_long_as_its_receiver_says() {
    let sqs = Sqs::of(&engine().await);
    sqs.send("Jobs", "dial").await;
    let url = sqs.url("Jobs").await;
    let first = sqs.receive("Jobs", 0).await.remove(0).receipt_handle.unwrap();
    let change = |receipt: &str, seconds: i32| {
        let change = sqs.0.change_message_visibility().queue_url(&url).receipt_handle(receipt);
        change.visibility_timeout(seconds).send()
    };

    change(&first, 100).await.unwrap();
    tokio::time::advance(Duration::from_secs(99)).await;
    assert!(sqs.receive("Jobs", 0).await.is_empty());
    tokio::time::advance(Duration::from_secs(1)).await;
    let late = change(&first, 100).await.unwrap_err().into_service_error();
    let second = sqs.receive("Jobs", 0).await.remove(0).receipt_handle.unwrap();
    change(&second, 0).await.unwrap();
    let stale = change(&first, 10).await.unwrap_err().into_service_error();
    let long = change(&second, 12 * 3_600 + 1).await;

    assert!(late.is_message_not_inflight(), "{late:?}");
    assert!(stale.is_receipt_handle_is_invalid(), "{stale:?}");
    assert!(long.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sent_hidden_and_deleted_with_what_became_of_each_entry() {
    use aws_sdk_sqs::types::{
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
        SendMessageBatchRequestEntry,
    };
    let engine = engine().await;
    let sqs = Sqs::of(&engine);
    let url = sqs.url("Jobs").await;
    let entry = |id: &str, body: &str| {
        SendMessageBatchRequestEntry::builder().id(id).message_body(body).build().unwrap()
    };
    let send = |entries| sqs.0.send_message_batch().queue_url(&url).set_entries(Some(entries)).send();

    let sent = send(vec![entry("a", "one"), entry("b", ""), entry("c", "two")]).await.unwrap();
    assert_eq!(sent.successful().iter().map(|entry| entry.id()).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(
        (sent.failed()[0].id(), sent.failed()[0].code(), sent.failed()[0].sender_fault()),
        ("b", "InvalidParameterValue", true)
    );

    let received = sqs.receive("Jobs", 0).await;
    let receipt = |n: usize| received[n].receipt_handle.clone().unwrap();
    let hide = |id: &str, receipt: &str| {
        let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id).receipt_handle(receipt);
        entry.visibility_timeout(0).build().unwrap()
    };
    let hidden = sqs.0.change_message_visibility_batch().queue_url(&url);
    let hidden = hidden.entries(hide("a", &receipt(0))).entries(hide("b", "none")).send().await.unwrap();
    assert_eq!((hidden.successful().len(), hidden.failed()[0].code()), (1, "ReceiptHandleIsInvalid"));
    assert_eq!(engine.queue_depth("Jobs").visible, 1);

    let delete = |id: &str, receipt: String| {
        DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(receipt).build().unwrap()
    };
    let deleted = sqs.0.delete_message_batch().queue_url(&url);
    let deleted =
        deleted.entries(delete("a", receipt(0))).entries(delete("b", receipt(1))).send().await.unwrap();
    assert_eq!((deleted.successful().len(), deleted.failed().len()), (2, 0));
    assert_eq!(engine.queue_depth("Jobs").total(), 0);

    let none = send(Vec::new()).await.unwrap_err().into_service_error();
    let eleven = (0..11).map(|n| entry(&n.to_string(), "a")).collect();
    let many = send(eleven).await.unwrap_err().into_service_error();
    let twice = send(vec![entry("a", "1"), entry("a", "2")]).await.unwrap_err().into_service_error();
    let unnamed = send(vec![entry("a b", "1")]).await.unwrap_err().into_service_error();
    let half = "x".repeat(600 * 1024);
    let long = send(vec![entry("a", &half), entry("b", &half)]).await.unwrap_err().into_service_error();
    assert!(none.is_empty_batch_request(), "{none:?}");
    assert!(many.is_too_many_entries_in_batch_request(), "{many:?}");
    assert!(twice.is_batch_entry_ids_not_distinct(), "{twice:?}");
    assert!(unnamed.is_invalid_batch_entry_id(), "{unnamed:?}");
    assert!(long.is_batch_request_too_long(), "{long:?}");
    assert_eq!(engine.queue_depth("Jobs").total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_table_with_other_keys_than_the_template_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::in_folder(folder.path(), clock()).unwrap();
    engine.create(&Template::parse(TEMPLATE).unwrap()).await.unwrap();

    let other = Template::parse(&TEMPLATE.replace("AttributeName: pk", "AttributeName: id")).unwrap();
    let error = engine.create(&other).await.unwrap_err().to_string();
    assert!(error.contains("Journal") && error.contains("KeySchema"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_transaction_tells_which_condition_failed_and_what_was_there() {
    let engine = engine().await;
    let client = dynamodb(&engine, None, false);
    write(&client, "held").await.unwrap();
    let put = |key: &str| {
        let put = Put::builder().table_name("Journal").item("pk", AttributeValue::S(key.to_owned()));
        let put = put.condition_expression("attribute_not_exists(pk)");
        let put = put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        TransactWriteItem::builder().put(put.build().unwrap()).build()
    };

    let asked = client.transact_write_items().transact_items(put("free")).transact_items(put("held"));
    let error = asked.send().await.unwrap_err().into_service_error();
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
        cancelled,
    ) = error
    else {
        panic!("{error:?}")
    };
    let codes: Vec<_> =
        cancelled.cancellation_reasons().iter().map(|reason| reason.code().unwrap()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    assert_eq!(cancelled.cancellation_reasons()[1].item().unwrap()["pk"].as_s().unwrap(), "held");
    assert_eq!(keys(&engine).await, ["held"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_an_error_to_the_sdk_though_the_write_was_applied() {
    let engine = engine().await;
    let client = dynamodb(&engine, Some(nth("PutItem", 1, Fault::AnswerLost)), false);
    let put = client.put_item().table_name("Journal").item("pk", AttributeValue::S("a".to_owned()));
    let error = put.send().await.unwrap_err();
    assert!(matches!(error, aws_sdk_dynamodb::error::SdkError::DispatchFailure(_)), "{error:?}");
    assert_eq!(keys(&engine).await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_the_sdk_passes_the_intercept_again() {
    let engine = engine().await;
    let client = dynamodb(&engine, Some(nth("PutItem", 1, Fault::Lost)), true);
    write(&client, "a").await.unwrap();

    // Applied, not confirmed, sent again: the condition sees the write of the first attempt.
    let client = dynamodb(&engine, Some(nth("PutItem", 1, Fault::AnswerLost)), true);
    let error = write(&client, "b").await.unwrap_err();
    assert!(matches!(error, aws_sdk_dynamodb::Error::ConditionalCheckFailedException(_)), "{error:?}");
    assert_eq!(engine.requests()["DynamoDB.PutItem"], 3);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_reaches_the_caller_as_the_error_of_the_service() {
    let engine = engine().await;
    let conflict =
        r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionConflictException","message":"conflict"}"#;
    let client = dynamodb(&engine, Some(nth("PutItem", 1, Fault::Refused(400, conflict.to_owned()))), false);
    let error = write(&client, "a").await.unwrap_err();
    assert!(matches!(error, aws_sdk_dynamodb::Error::TransactionConflictException(_)), "{error:?}");
    assert!(keys(&engine).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_crash_ends_the_invocation_before_or_after_the_request_and_nothing_follows() {
    for (fault, left) in [(Fault::CrashBefore, vec!["1"]), (Fault::CrashAfter, vec!["1", "2"])] {
        let engine = engine().await;
        let client = dynamodb(&engine, Some(nth("PutItem", 2, fault)), true);
        let crashed = run_invocation(async {
            for key in ["1", "2", "3"] {
                write(&client, key).await.unwrap();
            }
        })
        .await;
        assert_eq!(crashed, Err(Crashed));
        assert_eq!(keys(&engine).await, left);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_is_archived_and_one_for_a_bus_that_is_not_there_is_refused() {
    let engine = engine().await;
    let client = aws_sdk_eventbridge::Client::new(&engine.sdk_config(None, false));
    let entry = |bus: &str| {
        let entry = aws_sdk_eventbridge::types::PutEventsRequestEntry::builder();
        entry
            .event_bus_name(bus)
            .source("dialpool")
            .detail_type("number.assigned")
            .detail(r#"{"seq":1}"#)
            .build()
    };
    let answer = client.put_events().entries(entry("Bus")).entries(entry("Gone")).send().await.unwrap();

    assert_eq!(answer.failed_entry_count(), 1);
    assert_eq!(answer.entries()[1].error_code(), Some("ResourceNotFoundException"));
    assert_eq!(engine.bus_events().len(), 1);
    assert_eq!(engine.bus_events()[0].detail["seq"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_not_there_is_a_typed_error() {
    let sqs = Sqs::of(&engine().await);
    let error = sqs.0.get_queue_url().queue_name("Gone").send().await.unwrap_err().into_service_error();
    assert!(error.is_queue_does_not_exist(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn two_tasks_interleave_between_their_requests() {
    let engine = engine().await;
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let task = |name: &'static str| {
        let (client, order) = (dynamodb(&engine, None, false), order.clone());
        tokio::spawn(async move {
            for step in 0..2 {
                write(&client, &format!("{name}{step}")).await.unwrap();
                order.lock().unwrap().push(name);
            }
        })
    };
    let (a, b) = (task("a"), task("b"));
    a.await.unwrap();
    b.await.unwrap();
    assert_eq!(*order.lock().unwrap(), ["a", "b", "a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn many_messages_go_to_the_dead_letter_queue_at_once() {
    let engine = engine().await;
    let sqs = Sqs::of(&engine);
    for number in 0..3_000 {
        sqs.send("Jobs", &number.to_string()).await;
    }
    for _ in 0..2 {
        while !sqs.receive("Jobs", 0).await.is_empty() {}
        tokio::time::advance(Duration::from_mins(1)).await;
    }
    assert!(sqs.receive("Jobs", 0).await.is_empty());
    assert_eq!(engine.queue_depth("Dead").visible, 3_000);
}

#[tokio::test(start_paused = true)]
async fn what_is_put_into_the_state_in_memory_is_found_there() {
    let engine = engine().await;
    engine.state().put("checkpoint/Journal", &serde_json::json!(7)).unwrap();
    assert_eq!(engine.state().list("checkpoint/").unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn stream_records_carry_the_time_of_the_engines_clock() {
    let engine = engine().await;
    write(&dynamodb(&engine, None, false), "a").await.unwrap();
    let streams = aws_sdk_dynamodbstreams::Client::new(&engine.sdk_config(None, false));
    let arn = streams.list_streams().send().await.unwrap().streams()[0].stream_arn().unwrap().to_owned();
    let described = streams.describe_stream().stream_arn(&arn).send().await.unwrap();
    let shard = described.stream_description().unwrap().shards()[0].shard_id().unwrap().to_owned();
    let iterator = streams.get_shard_iterator().stream_arn(&arn).shard_id(shard);
    let iterator =
        iterator.shard_iterator_type("TRIM_HORIZON".into()).send().await.unwrap().shard_iterator.unwrap();
    let records = streams.get_records().shard_iterator(iterator).send().await.unwrap();
    let at = records.records()[0].dynamodb().unwrap().approximate_creation_date_time().unwrap().secs();
    assert_eq!(at, 1_772_463_600);
}

/// Why the template is refused with something else for the visibility time-out of `Jobs`.
fn refused(visibility: &str) -> String {
    let text = format!("Parameters: {{ Seconds: {{ Type: String }} }}{TEMPLATE}");
    let text = text.replace("VisibilityTimeout: 60", visibility);
    Template::parse(&text).unwrap_err().to_string()
}

#[test]
fn a_fifo_queue_is_refused() {
    let error = refused("VisibilityTimeout: 60\n      FifoQueue: true");
    assert_eq!(error, "queue Jobs: FifoQueue: the local stack has no FIFO queues");
}

#[test]
fn an_unreadable_number_is_refused() {
    let error = refused("VisibilityTimeout: soon");
    assert_eq!(error, "queue Jobs: VisibilityTimeout: \"soon\" is not a number");
}

#[test]
fn a_parameter_without_a_value_is_named() {
    assert_eq!(refused("VisibilityTimeout: !Ref Seconds"), "Jobs: parameter Seconds has no Default");
}

#[test]
fn the_batch_size_of_a_stream_is_100_unless_given() {
    let text = format!(
        "{TEMPLATE}  Relay:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        Journal: {{ Type: DynamoDB, Properties: {{ Stream: !GetAtt Journal.StreamArn, StartingPosition: TRIM_HORIZON }} }}
"
    );
    let trigger = format!("{:?}", Template::parse(&text).unwrap().functions[0].triggers);
    assert!(trigger.contains("batch_size: 100"), "{trigger}");
}

#[tokio::test(start_paused = true)]
async fn a_message_of_1_mib_outlives_a_restart_and_its_deletion_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // As long as a message may be; signs of two bytes, and such as JSON escapes.
    let body = format!("{}x", "\u{e9}\"".repeat(349_525));
    assert_eq!(body.len(), 1024 * 1024);
    let clock = clock();
    for restart in 0..3 {
        let engine = Engine::in_folder(folder.path(), clock.clone()).unwrap();
        engine.create(&Template::parse(TEMPLATE).unwrap()).await.unwrap();
        let sqs = Sqs::of(&engine);
        match restart {
            0 => sqs.send("Jobs", &body).await,
            1 => {
                let received = sqs.receive("Jobs", 0).await;
                assert!(received[0].body() == Some(body.as_str()));
                sqs.delete("Jobs", &received[0]).await;
            }
            _ => {
                assert_eq!(engine.queue_depth("Jobs").total(), 0);
                assert!(engine.state().list("part/queue/Jobs/").unwrap().is_empty());
            }
        }
    }
}
