//! What a person means by a message: stop, help, or start again.
//!
//! 47 CFR 64.1200(a)(10) lets a person revoke consent by any reasonable means; the words stop, quit, end, revoke,
//! opt out, cancel and unsubscribe are reasonable per se, others by what a reasonable person would take them for.
//!
//! 1. A text is read in parts: its sentences, and what stands between their commas. A quoted message is left out.
//! 2. One part that is a plain request ("stop calling me", "remove me from your list", "ne m'appelez plus") makes the text an
//!    opt-out, whatever the other parts say.
//! 3. So does a word that means nothing else ("stop", "unsubscribe"). One that may be about an appointment ("cancel", "end") does
//!    only when the other parts are courtesies and asides.
//! 4. A text that also asks for contact ("don't call, text me", "call my cell instead") is unclear, and so is a request for a place
//!    or a time ("don't call me at work"): [`intent`] says nothing, and a person has to read it.
//! 5. A text that merely contains the word ("stop by tomorrow", "cancel my 3pm appointment") is no opt-out.
//!
//! The phrases, in English, Spanish and French, are in `data/opt_out.toml`; texts that must and must not be an opt-out are in
//! `tests/texts/`.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::phrases::{self, Grammar, Rule};

/// What a message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Not to be contacted any more.
    Stop,
    /// To be told who this is and how to stop it.
    Help,
    /// To be contacted again.
    Start,
}

/// What one part of a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Courtesies and asides: neither a request nor something that changes one.
    Nothing,
    /// A plain request to stop.
    Request,
    /// A word that means stop and nothing else.
    Word,
    /// A word that means stop when nothing else is said.
    WeakWord,
    Help,
    Start,
    /// A request for contact.
    Contact,
    Other,
}

/// The grammar and its rules for parts.
struct Phrases {
    grammar: Grammar,
    fillers: Rule,
    demand: Rule,
    lone_word: Rule,
    lone_weak_word: Rule,
    word: Rule,
    help: Rule,
    start: Rule,
    firm: Rule,
    firm_end: Rule,
    blocker: Rule,
    after: Rule,
    after_word: Rule,
    threat: Rule,
    contact: Rule,
    contact_sign: Rule,
    contact_after: Rule,
}

static PHRASES: LazyLock<Phrases> = LazyLock::new(|| {
    let grammar = Grammar::read(include_str!("../data/opt_out.toml")).expect("a test reads the phrases");
    let rule = |name| grammar.rule(name).expect("a test reads every rule");
    Phrases {
        fillers: rule("fillers"),
        demand: rule("demand"),
        lone_word: rule("lone_word"),
        lone_weak_word: rule("lone_weak_word"),
        word: rule("word"),
        help: rule("lone_help"),
        start: rule("lone_start"),
        firm: rule("firm"),
        firm_end: rule("firm_end"),
        blocker: rule("blocker"),
        after: rule("after"),
        after_word: rule("after_word"),
        threat: rule("threat"),
        contact: rule("contact"),
        contact_sign: rule("contact_sign"),
        contact_after: rule("contact_after"),
        grammar,
    }
});

/// What the message asks for; none when it asks for something else, or for two of these at once.
pub fn intent(text: &str) -> Option<Intent> {
    let phrases = &*PHRASES;
    let text = &without_quotes(text);
    let words = phrases.grammar.words(text);
    // "S.T.O.P." and "Don't. Text. Me." are one sentence after all.
    if let Some(whole) = phrases.exactly(&borrowed(&words)) {
        match whole {
            Part::Request | Part::Word | Part::WeakWord => return Some(Intent::Stop),
            Part::Help => return Some(Intent::Help),
            Part::Start => return Some(Intent::Start),
            // A stop sign, and nothing else but courtesies.
            Part::Nothing => return text.contains('\u{1f6d1}').then_some(Intent::Stop),
            Part::Contact | Part::Other => return None,
        }
    }
    let mut parts = Vec::new();
    for sentence in phrases::sentences(text) {
        phrases.read(sentence, &mut parts);
    }
    let any = |wanted: &[Part]| parts.iter().any(|part| wanted.contains(part));
    let only =
        |wanted: Part| parts.iter().all(|part| [wanted, Part::Nothing].contains(part)) && any(&[wanted]);
    if any(&[Part::Contact, Part::Start]) {
        return only(Part::Start).then_some(Intent::Start);
    }
    if any(&[Part::Request, Part::Word]) || any(&[Part::WeakWord]) && !any(&[Part::Other, Part::Help]) {
        return Some(Intent::Stop);
    }
    only(Part::Help).then_some(Intent::Help)
}

impl Phrases {
    fn read(&self, sentence: &str, parts: &mut Vec<Part>) {
        let words = self.grammar.words(sentence);
        if let Some(part) = self.exactly(&borrowed(&words)) {
            parts.push(part);
            return;
        }
        for part in phrases::parts(sentence) {
            let words = self.grammar.words(part);
            let words = borrowed(&words);
            parts.push(self.exactly(&words).unwrap_or_else(|| self.by_a_piece(&words)));
        }
    }

    /// What the words are from the first to the last.
    fn exactly(&self, words: &[&str]) -> Option<Part> {
        if words.is_empty() {
            return Some(Part::Nothing);
        }
        [
            (self.fillers, Part::Nothing),
            (self.demand, Part::Request),
            (self.lone_word, Part::Word),
            (self.lone_weak_word, Part::WeakWord),
            (self.help, Part::Help),
            (self.start, Part::Start),
        ]
        .into_iter()
        .find_map(|(rule, part)| self.grammar.is(rule, words).then_some(part))
    }

    /// What some of the words are, where people leave out commas.
    fn by_a_piece(&self, words: &[&str]) -> Part {
        let grammar = &self.grammar;
        let asks_for_contact = !grammar.ends(self.contact, words, 0).is_empty()
            || grammar.is_in(self.contact_sign, words)
            || grammar.is_in(self.contact_after, words);
        if asks_for_contact {
            return Part::Contact;
        }
        let begins = |rule: Rule, at: usize| !grammar.ends(rule, words, at).is_empty();
        // "Ok stop I don't know you": a courtesy may come first.
        let mut starts = grammar.ends(self.fillers, words, 0);
        starts.insert(0);
        let mut words_end = starts.into_iter().flat_map(|start| grammar.ends(self.word, words, start));
        if words_end.any(|end| begins(self.after_word, end)) {
            return Part::Word;
        }
        // Another thought may follow, and a threat; a time ("before nine") may not.
        let goes_on = |end: usize| {
            let timed = words.get(end) == Some(&"before") && !begins(self.threat, end);
            end == words.len() || (!timed && begins(self.after, end))
        };
        let request = (0..words.len()).any(|start| {
            let blocked = start > 0 && begins(self.blocker, start - 1);
            !blocked
                && (grammar.ends(self.firm, words, start).into_iter().any(goes_on)
                    || grammar.ends(self.firm_end, words, start).contains(&words.len()))
        });
        if request { Part::Request } else { Part::Other }
    }
}

fn borrowed(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// The text without the message that an email program quotes below or around it, unless there is nothing else.
fn without_quotes(text: &str) -> String {
    let quotes_all = |line: &str| {
        line.contains("-Original Message-")
            || (line.starts_with("On ") && line.trim_end().ends_with("wrote:"))
    };
    let own: Vec<&str> = text
        .lines()
        .take_while(|line| !quotes_all(line))
        .filter(|line| !line.trim_start().starts_with('>'))
        .collect();
    let own = own.join("\n");
    if own.trim().is_empty() { text.to_owned() } else { own }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(messages: &str) -> impl Iterator<Item = &str> {
        messages.split(['|', '\n']).map(str::trim).filter(|message| !message.is_empty())
    }

    #[test]
    fn a_message_that_is_the_word_is_a_stop() {
        let odd = [" stop ", "\"Stop\"", "st\u{200b}op", "STOP\nSent from my iPhone"];
        let messages = "
            stop | STOP | Stop. | stop!!! | STOP。 | ＳＴＯＰ | ｓｔｏｐ． | S.T.O.P. | s t o p | STOP 🛑
            stop stop stop | Stop. Stop! | STOPALL | stop all | Quit | END | revoke | Cancel | cancel.
            unsubscribe | UNSUBSCRIBE me | opt out | OptOut | opt-out | Opt‑out | opt me out | remove
            remove me | stop please | please stop | Pls stop, thank you | ok stop | No. Stop | stop now
            Stop, unsubscribe | Not interested. Stop. | Wrong number. STOP
        ";
        for message in odd.into_iter().chain(each(messages)) {
            assert_eq!(intent(message), Some(Intent::Stop), "{message}");
        }
    }

    #[test]
    fn a_plain_request_is_a_stop() {
        let messages = "
            stop texting me | Stop calling me! | stop calling | please stop contacting me
            stop messaging this number | Stop calling and texting me | stop sending me messages
            stop sending texts | stop the calls | Stop all calls | stop with the texts | quit calling me
            do not call | Do not call me | do not call me again | DO NOT CONTACT | don't text me
            Don’t call me anymore | dont text or call me | Don't ever call me again | never call me again
            never text this number again | do not call or text this number | no more calls
            No more texts please | remove me from your list | Please remove me from your calling list
            take me off your list | take my number off your list | remove my number
            delete my number from your system | unsubscribe from all | opt me out of all texts
            opt out of texts | I want to opt out | I'd like to unsubscribe | i revoke my consent
            revoke consent | I withdraw my consent | leave me alone | Lose my number
            hey you need to stop calling me | can you please stop calling me
            Could you please stop texting me? | you need to stop calling me
            I'm not interested. Stop calling me. | I told you to stop calling me | Stop. Do not call me again.
            Don't. Text. Me. | i want to be removed | I said stop | I don't want any more calls | I do not want your texts
        ";
        for message in each(messages) {
            assert_eq!(intent(message), Some(Intent::Stop), "{message}");
        }
    }

    #[test]
    fn a_message_that_contains_the_word_is_not_a_stop() {
        let odd = ["", " "];
        let messages = "
            ... | 👍 | yes | no | thanks | ok thank you | stop by tomorrow | I'll stop by at 3
            can you stop by the office | bus stop | the end of the day | end of the month works | the end
            cancel my 3pm appointment | please cancel my appointment | can we cancel tomorrow | do not cancel
            don't stop | don't stop calling me | dont stop texting | I can't stop thinking about it | non stop
            I want to quit smoking | quit smoking | stop smoking program | stopped | what does stop do
            don't text me, call me | Don't text me. Call me. | don't call me before 5 | dont call me at work | I don't want a call now
            do not call me today, tomorrow is fine | call me | text me | call me again | take me to the list
            take me through it | remove the old sink | can you remove the tree | opt for the second one
            who is this | not interested | wrong number | no more | i revoke nothing | leave me a message
            stop. start | weekend | endless | never mind | never | please | send me the info on your list
            how do I unsubscribe my wife's gym | stop the car | no problem, call me at 415-555-0100
        ";
        for message in odd.into_iter().chain(each(messages)) {
            assert_eq!(intent(message), None, "{message}");
        }
    }

    #[test]
    fn help_and_start_are_words_of_their_own() {
        for message in each("help | HELP! | help me | Info | help please") {
            assert_eq!(intent(message), Some(Intent::Help), "{message}");
        }
        for message in each("start | UNSTOP | Start please | resume | opt in | subscribe") {
            assert_eq!(intent(message), Some(Intent::Start), "{message}");
        }
        for message in
            each("can you help me move | when can we start | start over tomorrow | info about pricing")
        {
            assert_eq!(intent(message), None, "{message}");
        }
    }
}
