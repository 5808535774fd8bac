//! Whether the person on a call asked not to be called again, as far as a message of the provider's tells.
//!
//! It is looked for in two places:
//!
//! - **What the assistant found out.** Assistants are configured by companies, so the names vary: `opted_out`, `do_not_call`, `dnc`,
//!   `removeFromList`, a disposition of `DNC`, a tool called `stop_calling`. All of a message is searched, at any depth and within JSON that is
//!   sent as text, but not the configuration that it repeats. Any value but a clear no is an opt-out.
//! - **What the person said.** Only the turns of the person count, and not those of a mailbox or a menu.
//!
//! In doubt the person is not called again. The answer says what was heard, so that a mistake can be traced.
//!
//! Not here: what free text of the assistant (a summary, notes) says about the person.

use dialpool_domain::opt_out::{Intent, intent};

use crate::json::{self, Json, LEFT_OUT};

/// How much of what was heard is quoted, in characters.
const QUOTED: usize = 120;

/// JSON within text within JSON is read this often.
const TEXTS_WITHIN: u8 = 3;

/// A value that follows a name in damaged JSON is read up to this many bytes.
const NEAR: usize = 512;

/// Members that repeat the configuration of the call, or describe data that is not there. None tells of the person.
const CONFIGURATION: &[&str] = &[
    "assistant",
    "assistantOverrides",
    "artifactPlan",
    "analysisPlan",
    "credentials",
    "destination",
    "model",
    "phoneNumber",
    "properties",
    "required",
    "schema",
    "server",
    "squad",
    "squadOverrides",
    "tools",
    "transport",
    "workflow",
    "workflowOverrides",
];

/// Parts of names, without blanks, of fields that say that a person opted out.
const NAMES: &[&str] = &[
    "askedtobetakenoff",
    "beremoved",
    "ceaseanddesist",
    "consentrevoked",
    "consentwithdrawn",
    "donotcall",
    "donotcontact",
    "donotdisturb",
    "donotphone",
    "donotring",
    "donottext",
    "dontcall",
    "dontcontact",
    "dontdisturb",
    "nepasappeler",
    "nevercall",
    "nevercontact",
    "nofurthercall",
    "nofurthercontact",
    "nollamar",
    "nomorecall",
    "optedout",
    "optingout",
    "optout",
    "optsout",
    "removefrom",
    "removeme",
    "removenumber",
    "removalrequest",
    "requestedremoval",
    "revokeconsent",
    "revokedconsent",
    "stopcall",
    "stopcontact",
    "takemeoff",
    "takeoff",
    "unsubscrib",
    "withdrawconsent",
    "withdrewconsent",
];

/// Words that say so on their own.
const WORDS: &[&str] = &["blacklist", "blacklisted", "dnc", "dncl", "dnd", "unsub"];

/// Names that say so when there is nothing else to them.
const WHOLE_NAMES: &[&str] = &["remove", "removed", "stop"];

/// Words of names that tell of the assistant or the company, not of the person: `opt_out_instructions_given`.
const NOT_OF_THE_PERSON: &[&str] = &[
    "allowed",
    "available",
    "check",
    "checked",
    "disclosed",
    "disclosure",
    "enabled",
    "explained",
    "given",
    "instruction",
    "instructions",
    "link",
    "offered",
    "policy",
    "provided",
    "script",
    "supported",
    "url",
];

/// Last words of names that say more about an opt-out that another field tells of: `opt_out_reason`.
const ABOUT: &[&str] = &[
    "channel",
    "comment",
    "comments",
    "confidence",
    "context",
    "detail",
    "details",
    "evidence",
    "explanation",
    "likelihood",
    "message",
    "method",
    "note",
    "notes",
    "phrase",
    "probability",
    "quote",
    "reason",
    "reasons",
    "score",
    "source",
    "summary",
];

/// Last words of names whose value names what came of the call.
const DISPOSITIONS: &[&str] = &[
    "action",
    "actions",
    "answer",
    "category",
    "classification",
    "code",
    "data",
    "disposition",
    "dispositions",
    "flag",
    "flags",
    "intent",
    "label",
    "labels",
    "outcome",
    "outcomes",
    "request",
    "resolution",
    "response",
    "result",
    "results",
    "state",
    "status",
    "step",
    "tag",
    "tags",
    "value",
];

/// Values of a disposition that say that a person opted out.
const DISPOSED: &[&str] = &[
    "blacklisted",
    "dnc",
    "do not call",
    "do not contact",
    "do not text",
    "donotcall",
    "donotcontact",
    "dont call",
    "dont contact",
    "never call",
    "no further calls",
    "no more calls",
    "opt out",
    "opted out",
    "optedout",
    "optout",
    "remove from list",
    "remove me",
    "removed from list",
    "stop calling",
    "stop calls",
    "unsubscribe",
    "unsubscribed",
];

/// Members that hold the value of a field that is an object.
const VALUES: &[&str] = &[
    "answer",
    "bool",
    "boolean",
    "confirmed",
    "detected",
    "flag",
    "is",
    "present",
    "response",
    "result",
    "selected",
    "value",
];

/// First words of the names of tools that ask whether a person opted out.
const QUESTIONS: &[&str] =
    &["check", "find", "get", "has", "is", "list", "look", "lookup", "query", "search", "validate", "verify"];

/// Texts that clearly say that the person did not opt out, in words.
const NO: &[&str] = &[
    "0",
    "0 0",
    "callable",
    "clear",
    "did not opt out",
    "does not apply",
    "f",
    "false",
    "n",
    "n a",
    "na",
    "nan",
    "negative",
    "nil",
    "no",
    "no dnc",
    "no opt out",
    "no request",
    "none",
    "nope",
    "not applicable",
    "not asked",
    "not discussed",
    "not dnc",
    "not listed",
    "not mentioned",
    "not on dnc",
    "not on list",
    "not on the list",
    "not opted out",
    "not requested",
    "not specified",
    "not stated",
    "null",
    "off",
    "opted in",
    "undefined",
];

/// Texts without a word that say nothing.
const BLANK: &[&str] = &["", "-", "--", "\u{2013}", "\u{2014}", "/"];

/// What is denied in "the customer did not ask to be removed".
const DENIED: &[&str] = &[
    "ask",
    "asked",
    "express",
    "expressed",
    "indicate",
    "indicated",
    "made",
    "make",
    "mention",
    "mentioned",
    "opt",
    "opted",
    "raise",
    "request",
    "requested",
    "say",
    "state",
    "stated",
];

/// May stand before that.
const SUBJECTS: &[&str] = &[
    "caller", "client", "contact", "customer", "false", "he", "lead", "no", "person", "she", "the", "they",
    "user",
];

/// Take a denial back, or make it something else.
const TURNS: &[&str] =
    &["although", "and", "but", "except", "however", "later", "then", "though", "until", "yet"];

/// Roles of turns that the person speaks.
const PERSON: &[&str] = &["caller", "customer", "human", "user"];

/// How a mailbox or a menu speaks, in words. A person who says one of these as well is heard by what the assistant found out.
const MACHINE: &[&str] = &[
    "after the beep",
    "after the tone",
    "at the tone",
    "leave a message",
    "leave your message",
    "leave your name",
    "mailbox",
    "main menu",
    "para espanol",
    "press 0",
    "press 1",
    "press 2",
    "press 3",
    "press 4",
    "press 5",
    "press 6",
    "press 7",
    "press 8",
    "press 9",
    "press eight",
    "press five",
    "press four",
    "press nine",
    "press one",
    "press pound",
    "press seven",
    "press six",
    "press star",
    "press the",
    "press three",
    "press two",
    "press zero",
];

/// How an opt-out was heard in a message; none when it was not.
pub(super) fn opt_out(message: &Json) -> Option<String> {
    let mut search = Search::default();
    search.look(message, "", TEXTS_WITHIN);
    if search.heard.is_none() && !search.turns && !search.voicemail {
        search.listen_to_transcripts();
    }
    search.heard
}

/// How an opt-out was heard in bytes that could not be understood as JSON: a name like those of the fields, a colon, and anything
/// but a clear no.
pub(super) fn opt_out_in(bytes: &[u8]) -> Option<String> {
    let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-. ".contains(byte);
    let colons = bytes.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(at, _)| at);
    for colon in colons {
        let before = &bytes[colon.saturating_sub(80)..colon];
        let end = before.iter().rposition(u8::is_ascii_alphanumeric).map_or(0, |last| last + 1);
        if before[end..].iter().any(|byte| !b" \t\r\n\"'\\".contains(byte)) {
            continue;
        }
        let start = before[..end].iter().rposition(|byte| !of_name(byte)).map_or(0, |other| other + 1);
        let name = String::from_utf8_lossy(&before[start..end]);
        if !matches!(Name::of(&name), Name::OptedOut) {
            continue;
        }
        let rest = &bytes[colon + 1..];
        let near: Vec<u8> =
            rest[..rest.len().min(NEAR)].iter().copied().filter(|byte| *byte != b'\\').collect();
        let value = json::read_first(&near);
        if !is_no(&value) {
            return Some(quoted(name.trim(), &value));
        }
    }
    None
}

/// What the name of a field says about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    /// Whether the person opted out.
    OptedOut,
    /// Whether the person did not.
    NotOptedOut,
    /// More about an opt-out.
    About,
    /// What came of the call.
    Disposition,
    Other,
}

impl Name {
    fn of(name: &str) -> Self {
        // Longer texts are no names.
        if name.len() > 80 {
            return Self::Other;
        }
        let words = words(name);
        let (joined, last) = (words.concat(), words.last().map_or("", String::as_str));
        let is = |list: &[&str], word: &str| list.contains(&word);
        let said = NAMES.iter().find_map(|part| joined.find(part));
        let word = words.iter().position(|word| is(WORDS, word));
        if said.is_none() && word.is_none() && !is(WHOLE_NAMES, &joined) {
            return if is(DISPOSITIONS, last) { Self::Disposition } else { Self::Other };
        }
        if words.iter().any(|word| is(NOT_OF_THE_PERSON, word)) {
            return Self::Other;
        }
        if is(ABOUT, last) {
            return Self::About;
        }
        let before = match (said, word) {
            (Some(at), _) => joined[..at].to_owned(),
            (None, Some(at)) => words[..at].concat(),
            (None, None) => String::new(),
        };
        let negated = ["not", "no", "non", "never", "didnt", "hasnt"].iter().any(|no| before.ends_with(no));
        if negated { Self::NotOptedOut } else { Self::OptedOut }
    }
}

#[derive(Default)]
struct Search<'a> {
    heard: Option<String>,
    /// Whether a turn of the person's was there.
    turns: bool,
    /// Whether the provider says that a mailbox took the call.
    voicemail: bool,
    transcripts: Vec<&'a str>,
}

impl<'a> Search<'a> {
    fn look(&mut self, value: &'a Json, name: &'a str, texts_within: u8) {
        if self.heard.is_some() {
            return;
        }
        match value {
            Json::Object(members) => self.look_into(members, value, texts_within),
            Json::Array(elements) => {
                // A list of what the assistant was to find out is no list of labels.
                let name = if ["structuredData", "value"].contains(&name) { "" } else { name };
                elements.iter().for_each(|element| self.look(element, name, texts_within));
            }
            Json::Text(text) => {
                if name == "transcript" {
                    self.transcripts.push(text);
                }
                let json = text.trim_start().starts_with(['{', '[']);
                if json && texts_within > 0 {
                    self.look_into_text(text, texts_within - 1);
                } else if Name::of(name) == Name::Disposition && is_disposed(text) {
                    self.heard = Some(quoted(name, value));
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    fn look_into_text(&mut self, text: &str, texts_within: u8) {
        let reading = json::read(text.as_bytes());
        let mut within = Search { voicemail: self.voicemail, ..Search::default() };
        within.look(&reading.value, "", texts_within);
        self.turns |= within.turns;
        let lost = || reading.lost.iter().find_map(|part| opt_out_in(text.as_bytes().get(part.clone())?));
        self.heard = within.heard.or_else(lost);
    }

    fn look_into(&mut self, members: &'a [(String, Json)], object: &'a Json, texts_within: u8) {
        let ended = object.get("endedReason").and_then(Json::text);
        self.voicemail |= ended.is_some_and(|reason| reason.contains("voicemail"));
        let role = object.get("role").and_then(Json::text);
        if role.is_some_and(|role| ["system", "developer"].contains(&role)) {
            return;
        }
        if role.is_some_and(|role| PERSON.contains(&role)) {
            self.listen_to_turn(object);
        }
        let of_tool = role.is_some_and(|role| role.starts_with("tool") || role == "function");
        self.heard = self.heard.take().or_else(|| named_within(object));
        let told = members.iter().any(|(name, _)| Name::of(name) == Name::OptedOut);
        for (name, value) in members {
            if self.heard.is_some() {
                return;
            }
            if CONFIGURATION.contains(&name.as_str()) {
                continue;
            }
            let is_number = matches!(value, Json::Number(_));
            let heard = match Name::of(name) {
                Name::OptedOut => !is_no(value),
                Name::NotOptedOut => is_no(value) && !is_nothing(value),
                Name::About => !told && !is_number && !is_no(value),
                // The words of a tool are about what it looked up.
                Name::Disposition
                    if of_tool
                        && value.text().is_some_and(|text| !text.trim_start().starts_with(['{', '['])) =>
                {
                    continue;
                }
                Name::Disposition | Name::Other => {
                    self.look(value, name, texts_within);
                    continue;
                }
            };
            if heard {
                self.heard = Some(quoted(name, value));
            }
        }
    }

    fn listen_to_turn(&mut self, turn: &'a Json) {
        for name in ["message", "content", "transcript", "originalMessage"] {
            for said in turn.all(name) {
                let parts = said.elements().iter().filter_map(|part| part.get("text")?.text());
                for text in said.text().into_iter().chain(parts) {
                    self.turns = true;
                    self.listen_to(text);
                }
            }
        }
    }

    fn listen_to(&mut self, text: &str) {
        if self.heard.is_none() && !self.voicemail && asks_to_stop(text) {
            self.heard = Some(quoted("said", &Json::Text(text.to_owned())));
        }
    }

    /// A transcript has a line for each turn, and begins it with who speaks. A line without goes on with what was said before.
    fn listen_to_transcripts(&mut self) {
        for transcript in std::mem::take(&mut self.transcripts) {
            let mut turn: Option<String> = None;
            for line in transcript.lines() {
                let speaker = line.split_once(':').map(|(who, said)| (who.trim().to_ascii_lowercase(), said));
                match (speaker, &mut turn) {
                    (Some((who, said)), _) if PERSON.contains(&who.as_str()) => {
                        turn.take().iter().for_each(|said| self.listen_to(said));
                        turn = Some(said.to_owned());
                    }
                    (Some((who, _)), _)
                        if ["ai", "assistant", "bot", "agent", "system"].contains(&who.as_str()) =>
                    {
                        turn.take().iter().for_each(|said| self.listen_to(said));
                    }
                    (_, Some(turn)) => {
                        turn.push(' ');
                        turn.push_str(line);
                    }
                    (_, None) => {}
                }
            }
            turn.iter().for_each(|said| self.listen_to(said));
        }
    }
}

/// An object that has the name of a field as text, and its value beside it: a structured output, or the call of a tool.
fn named_within(object: &Json) -> Option<String> {
    let name =
        ["name", "key", "field", "label", "question"].iter().find_map(|name| object.get(name)?.text())?;
    let of_name = Name::of(name);
    for value in ["result", "value", "answer"].iter().flat_map(|value| object.all(value)) {
        let heard = match of_name {
            Name::OptedOut => !is_no(value),
            Name::NotOptedOut => is_no(value) && !is_nothing(value),
            Name::Disposition => texts(value).any(is_disposed),
            Name::About | Name::Other => false,
        };
        if heard {
            return Some(quoted(name, value));
        }
    }
    let asks = words(name).first().is_some_and(|first| QUESTIONS.contains(&first.as_str()));
    if of_name != Name::OptedOut || asks {
        return None;
    }
    let arguments = object.get("arguments").or_else(|| object.get("parameters"))?;
    let arguments = match arguments {
        Json::Text(text) => json::read(text.as_bytes()).value,
        other => other.clone(),
    };
    let members = arguments.members();
    let describes = members.iter().any(|(name, _)| name == "properties");
    let denied = members.iter().any(|(name, value)| Name::of(name) == Name::OptedOut && is_no(value));
    (!describes && !denied).then(|| quoted(name, &arguments))
}

fn texts(value: &Json) -> impl Iterator<Item = &str> {
    value.text().into_iter().chain(value.elements().iter().filter_map(Json::text))
}

/// Whether a value clearly says no.
fn is_no(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(is) => !is,
        Json::Number(number) => number.parse::<f64>().is_ok_and(|number| number == 0.0),
        Json::Text(text) => {
            let json = text.trim_start().starts_with(['{', '[']);
            if json { is_no(&json::read(text.as_bytes()).value) } else { is_no_text(text) }
        }
        Json::Array(elements) => elements.iter().all(is_no),
        Json::Object(members) => {
            let is_value = |name: &str| VALUES.contains(&name) || Name::of(name) == Name::OptedOut;
            let has_value = members.iter().any(|(name, _)| is_value(name));
            // A description of the field, as a configuration has it.
            let describes = !has_value && value.get("type").is_some_and(|kind| texts(kind).all(is_json_type));
            let counts = |name: &str| !has_value || is_value(name);
            describes || members.iter().filter(|(name, _)| counts(name)).all(|(_, value)| is_no(value))
        }
    }
}

fn is_json_type(text: &str) -> bool {
    ["array", "boolean", "integer", "null", "number", "object", "string"].contains(&text)
}

/// Whether a value says nothing at all.
fn is_nothing(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Text(text) => BLANK.contains(&text.trim()),
        Json::Bool(_) | Json::Number(_) => false,
        Json::Array(elements) => elements.iter().all(is_nothing),
        Json::Object(members) => members.iter().all(|(_, value)| is_nothing(value)),
    }
}

fn is_no_text(text: &str) -> bool {
    if text.contains(LEFT_OUT) {
        return false;
    }
    let words = words(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    BLANK.contains(&text.trim())
        || (!words.is_empty() && NO.contains(&words.join(" ").as_str()))
        || denies(&words)
}

/// "No, the customer did not ask to be removed."
fn denies(words: &[&str]) -> bool {
    let start = words.iter().position(|word| !SUBJECTS.contains(word)).unwrap_or(words.len());
    let denied = match &words[start..] {
        ["did" | "has" | "have" | "had", "not", denied, ..]
        | ["didnt" | "hasnt" | "havent" | "hadnt", denied, ..] => denied,
        _ => return false,
    };
    DENIED.contains(denied) && !words.iter().any(|word| TURNS.contains(word))
}

/// Whether what came of the call is an opt-out.
fn is_disposed(text: &str) -> bool {
    if text.len() > 200 || is_no_text(text) {
        return false;
    }
    let said = words(text);
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    let names = DISPOSED.iter().any(|phrase| {
        let phrase: Vec<&str> = phrase.split(' ').collect();
        said.windows(phrase.len()).enumerate().any(|(at, window)| {
            let before = &said[at.saturating_sub(2)..at];
            let denied = before.iter().any(|word| ["not", "no", "non", "never", "without"].contains(word));
            let no = said
                .get(at + phrase.len())
                .is_some_and(|next| ["no", "false", "none", "0", "check"].contains(next));
            window == phrase && !denied && !no
        })
    });
    names || intent(text) == Some(Intent::Stop)
}

/// Whether a person who says this does not want to be called again.
fn asks_to_stop(text: &str) -> bool {
    let said = format!(" {} ", words(text).join(" "));
    let has = |phrase: &str| said.contains(&format!(" {phrase} "));
    if MACHINE.iter().any(|phrase| has(phrase)) {
        return false;
    }
    if intent(text) == Some(Intent::Stop) {
        return true;
    }
    // Among other things: a sentence of its own. Whoever asks to be called elsewhere or later asks for a call.
    let wants_call = ["call me", "text me", "email me", "call back", "call again"].iter().any(|wish| {
        let asked = format!(" {wish} ");
        said.match_indices(&asked).any(|(at, _)| {
            let before = said[..at].rsplit(' ').next().unwrap_or_default();
            !["not", "dont", "never", "to", "ever", "or", "you", "they", "people"].contains(&before)
        })
    });
    let names_contact = |sentence: &str| {
        words(sentence).iter().any(|word| {
            let word = word.as_str();
            [
                "call",
                "calls",
                "calling",
                "contact",
                "contacting",
                "list",
                "number",
                "alone",
                "unsubscribe",
                "remove",
                "removed",
            ]
            .contains(&word)
        })
    };
    !wants_call
        && text
            .split(['.', '!', '?', ';', ',', '\n'])
            .flat_map(|sentence| [" and ", " so ", " but "].iter().flat_map(move |word| sentence.split(word)))
            .any(|sentence| names_contact(sentence) && intent(sentence) == Some(Intent::Stop))
}

/// The words of a name or a text, in small letters: `doNotCall`, `do_not_call` and `Do not call` are the same.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut open, mut small) = (false, false);
    for character in text.chars() {
        if matches!(character, '\'' | '\u{2019}') {
            continue;
        }
        if !character.is_alphanumeric() {
            (open, small) = (false, false);
            continue;
        }
        if !open || (small && character.is_uppercase()) {
            words.push(String::new());
        }
        (open, small) = (true, character.is_lowercase());
        if let Some(word) = words.last_mut() {
            word.extend(character.to_lowercase());
        }
    }
    words
}

fn quoted(name: &str, value: &Json) -> String {
    let heard = match value {
        Json::Text(text) => format!("{name}: {text:?}"),
        other => format!("{name}: {other}"),
    };
    heard.chars().take(QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn heard(message: serde_json::Value) -> Option<String> {
        opt_out(&json::read(json!({ "message": message }).to_string().as_bytes()).value)
    }

    fn found_out(data: serde_json::Value) -> Option<String> {
        heard(json!({ "analysis": { "structuredData": data } }))
    }

    #[test]
    fn any_value_but_a_clear_no_is_an_opt_out() {
        for value in [
            json!(true),
            json!("true"),
            json!("Yes"),
            json!("Yes, asked to be removed"),
            json!("Y"),
            json!(1),
            json!("1"),
            json!(0.5),
            json!("requested"),
            json!("unknown"),
            json!("maybe"),
            json!("No, never call me again"),
            json!("2026-03-02T15:00:00Z"),
            json!("No, the customer did not ask politely but wants no more calls"),
            json!({ "value": true }),
            json!({ "answer": "yes" }),
            json!({ "value": { "value": "Yes" } }),
            json!({ "reason": "asked", "value": 1 }),
            json!([true]),
            json!(["voice"]),
            json!({ "opted_out": true, "confidence": 0 }),
            json!("{\"value\":true}"),
            json!("x\u{fffd}"),
            json!({ "quote": "take me off" }),
        ] {
            assert!(found_out(json!({ "opted_out": value })).is_some(), "{value}");
        }
        for value in [
            json!(false),
            json!("false"),
            json!("No"),
            json!("no."),
            json!("N"),
            json!(0),
            json!("0"),
            json!(0.0),
            json!(null),
            json!(""),
            json!("-"),
            json!("none"),
            json!("N/A"),
            json!("not opted out"),
            json!("Not applicable"),
            json!([]),
            json!({}),
            json!({ "value": false, "reason": "was not asked for" }),
            json!({ "result": null, "name": "x" }),
            json!("{\"value\":false}"),
            json!("No, the customer did not ask to be removed."),
            json!("The lead did not opt out"),
            json!([false]),
            json!({ "type": "boolean", "description": "Whether the person opted out" }),
        ] {
            assert_eq!(found_out(json!({ "opted_out": value })), None, "{value}");
        }
    }

    #[test]
    fn a_field_says_opt_out_however_it_is_called() {
        for name in [
            "opted_out",
            "optedOut",
            "Opted out",
            "opt-out",
            "customer_opted_out",
            "isOptOut",
            "opt_out_requested",
            "optOutRequest",
            "do_not_call",
            "doNotCall",
            "DO_NOT_CALL",
            "do not contact",
            "DNC",
            "dnc",
            "is_dnc",
            "dnc_requested",
            "dnd",
            "stop_calling",
            "stop_calls",
            "remove_from_list",
            "removeFromList",
            "remove_me",
            "asked_to_be_removed",
            "removal_requested",
            "unsubscribe",
            "unsubscribed",
            "never_call_again",
            "no_more_calls",
            "don't call",
            "revoked_consent",
            "consent_revoked",
            "takeOffList",
            "opted_out_at",
            "no_llamar",
            "stop",
            "remove",
        ] {
            assert!(found_out(json!({ name: true })).is_some(), "{name}");
            assert!(found_out(json!({ "lead": { "wishes": [{ name: "Yes" }] } })).is_some(), "{name} within");
            assert!(heard(json!({ "artifact": { "structuredOutputs": { "u-1": { "name": name, "result": true } } } })).is_some(), "{name} as an output");
            assert!(
                heard(json!({ "artifact": { "structuredOutputs": { name: { "result": "Y" } } } })).is_some(),
                "{name} as a key"
            );
            assert_eq!(found_out(json!({ name: false })), None, "{name}");
        }
        for name in [
            "opt_out_instructions_given",
            "dnc_checked",
            "optOutOffered",
            "stop_by_at",
            "stopover",
            "removed_items",
            "callback_requested",
            "opt_in",
            "call_me",
            "nonstop",
            "list",
            "standing",
        ] {
            assert_eq!(found_out(json!({ name: true })), None, "{name}");
        }
        assert!(found_out(json!({ "not_opted_out": false })).is_some());
        assert_eq!(found_out(json!({ "not_opted_out": true })), None);
        assert!(found_out(json!({ "opt_out_reason": "tired of calls" })).is_some());
        assert_eq!(
            found_out(
                json!({ "opted_out": false, "opt_out_reason": "was not asked for", "opt_out_confidence": 0.1 })
            ),
            None
        );
    }

    #[test]
    fn a_disposition_or_a_tool_says_opt_out() {
        for data in [
            json!({ "disposition": "DNC" }),
            json!({ "outcome": "Do not call" }),
            json!({ "call_status": "opted out" }),
            json!({ "result": "doNotCall" }),
            json!({ "disposition": "DNC - requested removal" }),
            json!({ "tags": ["hot", "do_not_call"] }),
            json!({ "next_action": "remove from list" }),
            json!({ "name": "Disposition", "result": "Unsubscribed" }),
            json!({ "outcome": "Stop calling me" }),
            json!("DNC"),
        ] {
            assert!(found_out(data.clone()).is_some(), "{data}");
        }
        for data in [
            json!({ "disposition": "Interested" }),
            json!({ "outcome": "not DNC" }),
            json!({ "status": "not opted out" }),
            json!({ "result": "No opt-out" }),
            json!({ "disposition": "DNC: no" }),
            json!({ "status": "ended" }),
            json!({ "outcome": "Asked to call again" }),
            json!({ "notes": "on the DNC call" }),
        ] {
            assert_eq!(found_out(data.clone()), None, "{data}");
        }
        let call = |name: &str, arguments: serde_json::Value| {
            heard(
                json!({ "toolCallList": [{ "id": "t1", "type": "function", "function": { "name": name, "arguments": arguments } }] }),
            )
        };
        assert!(call("mark_do_not_call", json!({})).is_some());
        assert!(call("save", json!("{\"opted_out\":\"Yes\"}")).is_some());
        assert!(call("save", json!({ "lead": { "dnc": 1 } })).is_some());
        assert_eq!(call("check_dnc", json!({ "phone": "x" })), None);
        assert_eq!(call("mark_do_not_call", json!({ "do_not_call": false })), None);
        assert_eq!(call("save", json!("{\"opted_out\":false}")), None);
    }

    #[test]
    fn what_the_configuration_of_the_call_says_is_no_opt_out() {
        let plan = json!({ "structuredDataPlan": { "schema": { "type": "object", "properties": { "opted_out": { "type": "boolean" } } } } });
        let configuration = json!({ "firstMessage": "Stop calling?", "analysisPlan": plan, "variableValues": { "opted_out": "Yes" } });
        assert_eq!(
            heard(json!({
                "assistant": configuration,
                "call": { "assistant": configuration, "assistantOverrides": configuration, "squad": { "dnc": true }, "artifactPlan": { "dnc": true } },
                "phoneNumber": { "name": "DNC", "dnc": true },
                "artifact": { "messages": [
                    { "role": "system", "message": "Set opted_out to true when asked.", "dnc": true },
                    { "role": "bot", "message": "Stop calling me." },
                    { "role": "tool_call_result", "name": "lookup", "result": "on the DNC list: nobody" },
                ] },
            })),
            None
        );
        assert!(heard(json!({ "artifact": { "variableValues": { "opted_out": "Yes" } } })).is_some());
    }

    #[test]
    fn the_person_is_heard_and_not_the_assistant_or_a_machine() {
        let turns = |role: &str, said: &str| {
            heard(json!({ "artifact": { "messages": [{ "role": role, "message": said }] } }))
        };
        for said in [
            "Stop calling me.",
            "Please take me off your list and do not call again.",
            "Yeah, hi. I'm driving. Do not call me again.",
            "Take me off your list",
            "unsubscribe",
            "If you call me again I will sue. Stop calling me.",
        ] {
            assert!(turns("user", said).is_some(), "{said}");
            assert_eq!(turns("bot", said), None, "{said}");
            assert_eq!(turns("assistant", said), None, "{said}");
            let lines = format!("AI: Hello.\nUser: {said}\nAI: Bye.\n");
            assert!(heard(json!({ "artifact": { "transcript": lines } })).is_some(), "{said}");
            let bot = format!("User: Hello.\nAI: {said}\n");
            assert_eq!(heard(json!({ "artifact": { "transcript": bot } })), None, "{said}");
            let live = json!({ "type": "transcript", "role": "user", "transcriptType": "final", "transcript": said });
            assert!(heard(live).is_some(), "{said}");
            let open_ai = json!({ "messagesOpenAIFormatted": [{ "role": "user", "content": [{ "type": "text", "text": said }] }] });
            assert!(heard(open_ai).is_some(), "{said}");
            let mailbox = json!({ "endedReason": "voicemail", "artifact": { "messages": [{ "role": "user", "message": said }] } });
            assert_eq!(heard(mailbox), None, "a mailbox's greeting");
        }
        for said in [
            "To be removed from our list press 9. Stop calling? Press one. Remove me.",
            "Please leave a message after the tone. Stop calling.",
            "Don't text me. Call me.",
            "Can you stop by at 3?",
            "Not today, call me again later.",
            "Thank you, not today.",
            "Yes.",
        ] {
            assert_eq!(turns("user", said), None, "{said}");
        }
    }

    #[test]
    fn the_answer_says_what_was_heard() {
        assert_eq!(
            found_out(json!({ "dnc": "Yes, asked to be removed" })).unwrap(),
            r#"dnc: "Yes, asked to be removed""#
        );
        let said = json!({ "messages": [{ "role": "user", "message": "Stop calling me." }] });
        assert_eq!(heard(said).unwrap(), r#"said: "Stop calling me.""#);
        assert!(found_out(json!({ "dnc": "x".repeat(9_000) })).unwrap().len() <= QUOTED);
    }

    #[test]
    fn bytes_that_are_no_json_are_searched_for_a_name_and_its_value() {
        for (text, there) in [
            (r#"oops "opted_out": true"#, true),
            (r#"\"opted_out\":\"Yes\""#, true),
            ("opted_out:1", true),
            (r#""do_not_call" : "cut of"#, true),
            (r#""opted_out":"#, true),
            (r#""opted_out":{"value":true"#, true),
            (r#""opted_out":false"#, false),
            (r#""opted_out":{"type":"boolean"}"#, false),
            (r#""opted_in":true"#, false),
            ("", false),
            (":::", false),
            (r#""opted_out""#, false),
            (r#""opted_out":null,"dnc":true"#, true),
        ] {
            assert_eq!(opt_out_in(text.as_bytes()).is_some(), there, "{text}");
        }
    }
}
