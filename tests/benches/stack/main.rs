//! `just bench`: what the operations cost, also as a pool grows, how busy lines are, how much one embedded stack does, how
//! fast the functions start, and what a table of PostgreSQL does in the stack's place.
//!
//! Costs are counted and the same each time. Times are of this machine and this moment: only those of one run compare.

mod growth;
mod lines;
mod operations;
mod postgres;
mod report;
mod startup;
mod throughput;
mod upload;

use comfy_table::{CellAlignment, Table, presets};

fn main() {
    // The HTTP client comes without one; everything here is plain HTTP.
    let _only_once = rustls::crypto::ring::default_provider().install_default();
    if std::env::args().nth(1).is_some_and(|word| word == upload::SERVE) {
        return upload::serve();
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let all: [(&str, fn()); 9] = [
        ("operations", operations::run),
        ("growth", growth::run),
        ("lines", lines::run),
        ("throughput", throughput::run),
        ("report", report::run),
        ("upload", upload::run),
        ("preflight", upload::preflight),
        ("startup", startup::run),
        ("postgres", postgres::run),
    ];
    for (name, run) in all {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            println!("\n## {name}\n");
            run();
        }
    }
}

/// Runs work on a clock that stands still while there is something to do.
fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(work)
}

/// Runs work on the machine's clock and all of its cores.
fn in_real_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(work)
}

/// A table in Markdown; all columns but the first are figures.
fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
