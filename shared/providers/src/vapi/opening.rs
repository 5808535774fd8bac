//! How long a person who answered heard nobody of ours, from the messages of a call.
//!
//! The provider gives each message a moment (`time`, milliseconds since 1970) and its distance from the beginning (`secondsFromStart`). The
//! moment is compared with that of the answer. Where one of the two is missing the distance counts. Without either, or without messages,
//! nothing is known, and nothing is made up.

use dialpool_domain::Timestamp;
use dialpool_domain::dead_air::SILENCE;
use serde_json::Value;

/// Words that somebody spoke: from and until when, in milliseconds after the answer.
struct Words {
    ours: bool,
    from: u64,
    until: u64,
}

/// How long nobody of ours spoke, in milliseconds, from the answer or from the end of a greeting that began within two seconds of it. `None`:
/// not known, or the call was over before two seconds were.
pub(super) fn silence_ms(
    messages: &Value,
    answered_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
) -> Option<u64> {
    let messages = messages.as_array().filter(|messages| !messages.is_empty())?;
    let mut words = Vec::new();
    for message in messages {
        let ours = match message["role"].as_str() {
            Some("bot" | "assistant") => true,
            Some("user") => false,
            _ => continue,
        };
        let text = message["message"].as_str().or_else(|| message["content"].as_str());
        if text.is_some_and(|text| !text.trim().is_empty()) {
            words.push(spoken(message, ours, answered_at)?);
        }
    }
    let first = words.iter().filter(|words| words.ours).min_by_key(|words| words.from);
    let until = match first {
        Some(first) => first.from,
        None => whole(ended_at?.since(answered_at?).as_millis())?,
    };
    let greeting = words.iter().filter(|words| !words.ours).min_by_key(|words| words.from);
    let greeted =
        greeting.filter(|greeting| u128::from(greeting.from) < SILENCE.as_millis() && greeting.from < until);
    let silence = until.saturating_sub(greeted.map_or(0, |greeting| greeting.until));
    // Whoever hangs up at once hears nobody, and waits for nobody.
    (first.is_some() || u128::from(silence) >= SILENCE.as_millis()).then_some(silence)
}

fn spoken(message: &Value, ours: bool, answered_at: Option<Timestamp>) -> Option<Words> {
    let after_answer = |name: &str| {
        let moment = millis(&message[name], 1.0)?;
        Some(moment.saturating_sub(u64::try_from(answered_at?.as_millis()).ok()?))
    };
    let from = after_answer("time").or_else(|| millis(&message["secondsFromStart"], 1_000.0))?;
    let length = || millis(&message["duration"], 1_000.0);
    let until = after_answer("endTime").or_else(|| Some(from + length()?)).unwrap_or(from);
    Some(Words { ours, from, until: until.max(from) })
}

/// A number of JSON in whole milliseconds. Some moments are written as floats: 1.722115418016999E12.
fn millis(value: &Value, factor: f64) -> Option<u64> {
    let millis = value.as_f64().filter(|value| value.is_finite() && *value >= 0.0)? * factor;
    format!("{millis:.0}").parse().ok()
}

fn whole(millis: u128) -> Option<u64> {
    u64::try_from(millis).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ANSWER: i64 = 1_772_463_612_000;

    /// The silence before these words (who, from, until, in milliseconds after the answer) of a call of ten seconds.
    fn silence(words: &[(&str, i64, i64)]) -> Option<u64> {
        let message = |(role, from, until): &(&str, i64, i64)| json!({ "role": role, "message": "Hello?", "time": ANSWER + from, "endTime": ANSWER + until });
        let system = json!({ "role": "system", "message": "You are an assistant.", "time": ANSWER });
        let messages: Vec<Value> = std::iter::once(system).chain(words.iter().map(message)).collect();
        let at = |millis: i64| Some(Timestamp::from_millis(ANSWER + millis));
        silence_ms(&json!(messages), at(0), at(10_000))
    }

    #[test]
    fn silence_lasts_from_the_answer_to_our_first_word() {
        for (words, expected) in [
            (&[("bot", 590, 2_000)][..], 590),
            (&[("bot", 2_400, 4_000)], 2_400),
            (&[("assistant", 1_999, 4_000)], 1_999),
            (&[("bot", 5_000, 6_000), ("bot", 700, 2_000)], 700),
            // By another clock the words came before the answer.
            (&[("bot", -40, 2_000)], 0),
        ] {
            assert_eq!(silence(words), Some(expected), "{words:?}");
        }
    }

    #[test]
    fn silence_lasts_from_the_end_of_a_greeting_that_comes_at_once() {
        for (words, expected) in [
            (&[("user", 800, 1_500), ("bot", 3_100, 4_000)][..], 1_600),
            (&[("user", 800, 1_500), ("bot", 3_500, 4_000)], 2_000),
            // The first greeting counts, not the third.
            (
                &[("user", 500, 900), ("user", 3_000, 3_400), ("user", 5_000, 5_400), ("bot", 6_000, 7_000)],
                5_100,
            ),
            // Who says something after two seconds asks whether anybody is there.
            (&[("user", 2_500, 3_000), ("bot", 3_200, 4_000)], 3_200),
            (&[("bot", 300, 2_000), ("user", 900, 1_500)], 300),
            (&[("user", 200, 3_000), ("bot", 1_000, 2_000)], 0),
        ] {
            assert_eq!(silence(words), Some(expected), "{words:?}");
        }
    }

    #[test]
    fn a_call_in_which_nobody_of_ours_speaks_is_silent_to_its_end() {
        assert_eq!(silence(&[]), Some(10_000));
        assert_eq!(silence(&[("user", 1_000, 1_500)]), Some(8_500));
        let (at, system) =
            (|millis| Some(Timestamp::from_millis(ANSWER + millis)), json!([{ "role": "system" }]));
        assert_eq!(silence_ms(&system, at(0), at(1_900)), None, "whoever hangs up at once waits for nobody");
    }

    #[test]
    fn what_the_provider_does_not_tell_is_not_measured() {
        let at = |millis| Some(Timestamp::from_millis(ANSWER + millis));
        let bot = json!({ "role": "bot", "message": "Hi.", "time": ANSWER + 900, "secondsFromStart": 1.52 });
        let timeless = json!({ "role": "bot", "message": "Hi." });
        for (messages, answered_at, expected) in [
            (Value::Null, at(0), None),
            (json!([]), at(0), None),
            (json!("Hi."), at(0), None),
            (json!([timeless]), at(0), None),
            (json!([timeless, bot]), at(0), None),
            (json!([bot]), at(0), Some(900)),
            (json!([bot]), None, Some(1_520)),
            (json!([{ "role": "system", "message": "x" }]), None, None),
            (json!([{ "role": "bot", "message": "Hi.", "time": 1.772463614016999E12 }]), at(0), Some(2_017)),
            (json!([{ "role": "bot", "message": " ", "time": ANSWER }, bot]), at(0), Some(900)),
            (json!([{ "role": "tool_calls", "message": "x", "time": ANSWER }, bot]), at(0), Some(900)),
        ] {
            assert_eq!(silence_ms(&messages, answered_at, at(10_000)), expected, "{messages}");
        }
    }
}
