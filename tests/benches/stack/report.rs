//! The report of a large pool over HTTP: every number is read, and every hold is compared with what its lead knows.

use dialpool_domain::AssignmentId;
use dialpool_domain::place::Place;
use dialpool_domain::pool::HoldHours;
use dialpool_dynamo::{Assigned, Company, Request};
use serde_json::Value;
use tokio::time::Instant;

use crate::throughput::Served;

const NUMBERS: usize = 3_000;
const HELD: usize = 2_700;
const TIMES: usize = 21;

pub(crate) fn run() {
    crate::in_real_time(async {
        let served = Served::with(NUMBERS).await;
        let company = Company::new(served.company.clone(), "Acme");
        for n in 0..HELD {
            let id = AssignmentId::new(served.local.clock.now(), n as u128);
            let lead = format!("lead-{n}").parse().expect("a lead");
            let request = Request::new(&company, lead, Place::default(), HoldHours::default(), id);
            let assigned = served.local.stack.store.assign(&served.cause(), &request).await;
            assert!(matches!(assigned, Ok(Assigned::Granted(..))), "{assigned:?}");
        }

        let mut table = crate::table(&["route", "p50", "most"]);
        for path in ["/v1/pool", "/v1/pool/report"] {
            let (client, mut times) = (reqwest::Client::new(), Vec::new());
            for _ in 0..TIMES {
                let sent = Instant::now();
                let request = client.get(format!("{}{path}", served.url)).bearer_auth(&served.key);
                let response = request.send().await.expect("an answer");
                assert!(response.status().is_success());
                let answer: Value = response.json().await.expect("a body");
                times.push(sent.elapsed().as_secs_f64() * 1_000.0);
                assert!(answer["double_assignments"].as_array().is_none_or(Vec::is_empty), "{answer}");
            }
            times.sort_by(f64::total_cmp);
            let cells = [times[TIMES / 2], times[TIMES - 1]].map(|time| format!("{time:.0} ms"));
            table.add_row(std::iter::once(path.to_owned()).chain(cells));
        }
        println!("{NUMBERS} numbers, {HELD} of them held\n\n{table}");
    });
}
