//! The same job done by PostgreSQL in one statement, behind HTTP as Dialpool is, and beside it in one run.
//!
//! The baseline is what its users had, done well: `FOR UPDATE SKIP LOCKED`, an index that serves the order, idempotent by
//! lead, with lead, audit and outbox in the statement. It knows no area, no limits and no API keys in tables.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use deadpool_postgres::{Manager, Pool};
use serde_json::{Value, json};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Config, NoTls, Row};

use crate::throughput::{self, CLIENTS, HEADER, Measured, NUMBERS};

/// Connections of the baseline's service.
const CONNECTIONS: usize = 32;

const LOCK: &str = "FOR UPDATE SKIP LOCKED";
const COMPANY: &str = "acme";
const KEY: &str = "key-of-the-bench";

pub(crate) fn run() {
    let Ok(url) = std::env::var("DIALPOOL_BENCH_POSTGRES") else {
        println!("left out: DIALPOOL_BENCH_POSTGRES is not set; `just bench-postgres` sets it");
        return;
    };
    let config: Config = url.parse().expect("DIALPOOL_BENCH_POSTGRES is a connection string");
    let mut header = vec!["side"];
    header.extend(HEADER);
    let mut table = crate::table(&header);
    for clients in CLIENTS {
        let mut add = |side: &str, measured: &Measured| {
            let mut cells = vec![side.to_owned()];
            cells.extend(measured.cells(clients));
            table.add_row(cells);
        };
        add("Dialpool, embedded", &crate::in_real_time(throughput::dialpool(clients)));
        add("PostgreSQL", &crate::in_real_time(baseline(&config, clients, LOCK)));
        add("PostgreSQL without the lock", &crate::in_real_time(baseline(&config, clients, "")));
    }
    println!("Assigns over HTTP in a company of {NUMBERS} numbers, a commit on disk each\n\n{table}");
}

struct Service {
    pool: Pool,
    assign: String,
}

async fn baseline(config: &Config, clients: usize, lock: &str) -> Measured {
    let pool = Pool::builder(Manager::new(config.clone(), NoTls)).max_size(CONNECTIONS).build();
    let pool = pool.expect("connections");
    let client = pool.get().await.expect("a connection");
    client.batch_execute(include_str!("postgres/schema.sql")).await.expect("the tables");
    let numbers: Vec<String> = (0..NUMBERS).map(throughput::number).collect();
    let insert = "INSERT INTO numbers (company, e164, available_at) \
                  SELECT $1, e164, now() - interval '1 day' + place * interval '1 second' \
                  FROM unnest($2::text[]) WITH ORDINALITY AS new (e164, place)";
    client.execute(insert, &[&COMPANY, &numbers]).await.expect("the numbers");
    client.batch_execute("VACUUM ANALYZE").await.expect("statistics");
    drop(client);

    let assign = include_str!("postgres/assign.sql").replace("/* lock */", lock);
    let service = Arc::new(Service { pool, assign });
    let routes = Router::new().route("/v1/assignments", post(answer)).with_state(service);
    let url = throughput::listen(routes).await;
    throughput::measure(clients, &format!("{url}/v1/assignments"), KEY).await
}

async fn answer(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    let (true, Some(lead)) =
        (authorization == Some(&format!("Bearer {KEY}")), request["lead"].as_str().map(str::to_owned))
    else {
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(Value::Null));
    };
    match service.assign(&lead).await {
        Ok(Some(row)) => {
            let (number, is_new): (String, bool) = (row.get("e164"), row.get("is_new"));
            let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
            (status, Json(json!({ "lead": lead, "number": number })))
        }
        Ok(None) => (StatusCode::CONFLICT, Json(json!({ "title": "no number is free" }))),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "title": error.to_string() }))),
    }
}

impl Service {
    async fn assign(&self, lead: &str) -> Result<Option<Row>, tokio_postgres::Error> {
        let client = self.pool.get().await.expect("a connection");
        let statement = client.prepare_typed_cached(&self.assign, &[Type::TEXT, Type::TEXT]).await?;
        loop {
            match client.query_opt(&statement, &[&COMPANY, &lead]).await {
                Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {}
                answered => return answered,
            }
        }
    }
}
