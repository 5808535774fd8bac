//! Texts that are an opt-out, and texts that are none: `texts/stop.txt`, `texts/not_stop.txt`.

use std::collections::BTreeSet;

use dialpool_domain::opt_out::{Intent, intent};
use proptest::prelude::*;

const STOP: &str = include_str!("texts/stop.txt");
const NOT_STOP: &str = include_str!("texts/not_stop.txt");

fn rows(table: &str) -> Vec<String> {
    let rows = table.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with("# "));
    rows.map(|row| row.replace("\\n", "\n")).collect()
}

#[test]
fn an_opt_out_is_heard_however_it_is_said() {
    let unheard: Vec<String> =
        rows(STOP).into_iter().filter(|text| intent(text) != Some(Intent::Stop)).collect();
    assert_eq!(unheard, Vec::<String>::new());
}

#[test]
fn talk_about_stopping_and_a_request_for_another_time_or_way_are_no_opt_out() {
    let misheard: Vec<String> =
        rows(NOT_STOP).into_iter().filter(|text| intent(text) == Some(Intent::Stop)).collect();
    assert_eq!(misheard, Vec::<String>::new());
}

#[test]
fn the_tables_have_at_least_150_different_texts_each() {
    for table in [STOP, NOT_STOP] {
        let rows = rows(table);
        let different: BTreeSet<String> = rows.iter().map(|row| row.to_lowercase()).collect();
        assert!(different.len() >= 150, "{}", different.len());
    }
}

fn spelled(text: &str, spelling: u8) -> String {
    match spelling {
        0 => text.to_owned(),
        1 => text.to_uppercase(),
        2 => text.to_lowercase(),
        _ => text.replace('\'', "\u{2019}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn courtesies_case_punctuation_and_emoji_around_an_opt_out_do_not_change_it(
        text in prop::sample::select(rows(STOP)),
        before in prop::sample::select(vec!["", "Hi, ", "please ", "Hello! ", "ok ", "No. ", "🙏 ", "Hola, ", "Bonjour, ", "  ", "\"", "... "]),
        after in prop::sample::select(vec!["", " please", ", thanks", "!!!", " 🙏🙏", ". Thank you.", " gracias", ". Merci", "…", "\n", " 🛑", "\"", " :(", "?!"]),
        spelling in 0u8..4,
    ) {
        let said = format!("{before}{}{after}", spelled(&text, spelling));
        prop_assert_eq!(intent(&said), Some(Intent::Stop), "{}", said);
    }

    #[test]
    fn any_text_has_an_answer(text in "\\PC{0,200}") {
        let _: Option<Intent> = intent(&text);
    }
}
