//! What a person means by a short message: stop, help, or start again.
//!
//! 47 CFR 64.1200(a)(10) lets a person revoke consent by any reasonable means; the words stop, quit, end, revoke,
//! opt out, cancel and unsubscribe are reasonable per se, others by what a reasonable person would take them for.
//!
//! A message is a stop when it *is* such a word or request, courtesies aside: every sentence of it is one, or says
//! nothing else ("not interested"). A message that merely contains the word ("stop by tomorrow", "cancel my 3pm
//! appointment") is not. What is neither plain request nor plain talk is left to the reader of the conversation.

use serde::{Deserialize, Serialize};

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

/// Stand alone, courtesies aside.
const STOP_WORDS: &str = "\
    stop | stopall | stop all | stop it | stop this | stop everything | quit | end | revoke | cancel | \
    cancel all | optout | opt out | unsubscribe | unsubscribe all | unsubscribe me | unsub | unsubcribe | \
    unsuscribe | remove | remove me | i said stop | i already said stop";

/// Whole requests; a wish may stand before them ("i want to opt out", "can you leave me alone").
const STOP_REQUESTS: &str = "\
    opt out | optout | opt me out | unsubscribe | unsubscribe me | be removed | be taken off | \
    be left alone | leave me alone | leave us alone | lose my number | lose this number | \
    forget my number | revoke consent | revoke my consent | withdraw consent | withdraw my consent | \
    revoke my permission";

const HELP_WORDS: &str = "help | help me | info | information";

const START_WORDS: &str = "start | unstop | resume | subscribe | resubscribe | opt in | optin | opt me in";

/// Said around a request without changing it.
const COURTESIES: &str = "\
    please | pls | plz | kindly | just | thanks | thank | you | thx | ty | ok | okay | hi | hello | hey | \
    yes | no | now | immediately | asap | already | sir | maam | sorry | and";

/// Sentences that neither ask for anything nor take a stop back.
const ASIDES: &str = "\
    not interested | im not interested | i am not interested | no longer interested | wrong number | \
    you have the wrong number | who is this | sent from my iphone";

const WISHES: &str = "\
    i want to | i want you to | i would like to | i would like you to | id like to | id like you to | \
    i wish to | i need you to | need to | must | should | can you | could you | would you | will you | \
    i said | i told you to | i";

/// Begin a demand to leave off; what must be left off follows.
const LEAVE_OFF: &str = "\
    stop | quit | cease | never | do not ever | do not | dont ever | dont | dont you | do not want | \
    dont want | no more";

const CONTACTING: &str = "\
    call | calling | text | texting | message | messaging | contact | contacting | email | emailing | \
    phone | phoning | ring | ringing | bother | bothering | spam | spamming | harass | harassing | send | \
    sending";

const CONTACTS: &str = "call | calls | text | texts | message | messages | msgs | emails | sms | spam";

/// May stand between the demand and the calls or messages.
const ARTICLES: &str = "\
    the | these | those | your | all | any | with | my | more | automated | marketing";

/// May follow a demand to leave off contacting.
const LEAVE_OFF_TAIL: &str = "\
    me | us | my | this | the | these | those | your | all | any | with | number | phone | cell | line | \
    anymore | more | again | ever | at | here | from | to | on | marketing | promotional | automated";

/// Ask to be taken off; whom, then from what.
const TAKE_OFF: &str = "remove | take | delete | unsubscribe | opt | erase";

const TAKE_OFF_TAIL: &str = "\
    me | us | my | this | name | number | phone | info | information | from | off | out | of | your | \
    the | all | any | everything | list | lists | call | calls | calling | contact | contacts | mailing | \
    text | texts | texting | messages | message | sms | emails | email | marketing | database | system | \
    records | and | these | this | future";

/// What the message asks for; none when it asks for something else, or for two of these at once.
pub fn intent(text: &str) -> Option<Intent> {
    let mut intent = None;
    for sentence in text.split(['.', '!', '?', ';', '\n', '\u{3002}', '\u{ff0e}', '\u{ff61}', '\u{2026}']) {
        match (of_words(&words(sentence)), intent) {
            (Said::Nothing, _) => {}
            (Said::Asks(this), None) => intent = Some(this),
            (Said::Asks(this), Some(before)) if this == before => {}
            // "S.T.O.P." and "Don't. Text. Me." are one sentence after all.
            (Said::Asks(_) | Said::Else, _) => return of_whole(text),
        }
    }
    intent.or_else(|| of_whole(text))
}

enum Said {
    Nothing,
    Asks(Intent),
    Else,
}

fn of_whole(text: &str) -> Option<Intent> {
    match of_words(&words(text)) {
        Said::Asks(intent) => Some(intent),
        Said::Nothing | Said::Else => None,
    }
}

fn of_words(all: &[String]) -> Said {
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    if listed(ASIDES, &all.join(" ")) {
        return Said::Nothing;
    }
    // A courtesy may be part of the request ("no more calls"): the words as they are come first.
    for words in [all.as_slice(), without_courtesies(&all)] {
        let said = words.join(" ");
        if said.is_empty() {
            return Said::Nothing;
        }
        let several_stops = words.iter().all(|word| listed(STOP_WORDS, word));
        if several_stops || listed(STOP_WORDS, &said) || is_stop_request(without_wish(words)) {
            return Said::Asks(Intent::Stop);
        }
        if listed(HELP_WORDS, &said) {
            return Said::Asks(Intent::Help);
        }
        if listed(START_WORDS, &said) {
            return Said::Asks(Intent::Start);
        }
    }
    Said::Else
}

fn is_stop_request(words: &[&str]) -> bool {
    let words = without_courtesies(words);
    listed(STOP_REQUESTS, &words.join(" "))
        || LEAVE_OFF.split(" | ").any(|demand| begins(words, demand).is_some_and(is_contacting))
        || is_taking_off(words)
}

/// "calling me", "call or text this number", "the calls", "sending me messages".
fn is_contacting(words: &[&str]) -> bool {
    let joins = |word: &str| ["or", "and", "nor"].contains(&word);
    let start = words.iter().position(|word| !listed(ARTICLES, word)).unwrap_or(words.len());
    let Some((first, rest)) = words[start..].split_first() else {
        return false;
    };
    let named = listed(CONTACTS, first) || (start == 0 && listed(CONTACTING, first));
    let mut joined = false;
    named
        && rest.iter().all(|word| {
            // "don't text me, call me" asks for a call: another way of contacting needs an "or" before it.
            let allowed = listed(LEAVE_OFF_TAIL, word)
                || joins(word)
                || (listed(CONTACTING, word) && joined)
                || (listed(CONTACTS, word) && (joined || ["send", "sending"].contains(first)));
            joined = joins(word);
            allowed
        })
}

/// "remove me from your list", "take my number off", "opt me out of all texts".
fn is_taking_off(words: &[&str]) -> bool {
    let Some((verb, rest)) = words.split_first() else {
        return false;
    };
    let whom = rest.iter().any(|word| ["me", "us", "number", "name"].contains(word));
    let from = rest.iter().any(|word| ["from", "off", "out"].contains(word));
    let enough = match *verb {
        // One can be taken, and can opt, somewhere else.
        "take" => whom && from,
        "opt" => from,
        "unsubscribe" => whom || from,
        _ => whom,
    };
    listed(TAKE_OFF, verb) && enough && rest.iter().all(|word| listed(TAKE_OFF_TAIL, word))
}

fn without_courtesies<'a, 'b>(mut words: &'a [&'b str]) -> &'a [&'b str] {
    while let [rest @ .., last] = words
        && listed(COURTESIES, last)
    {
        words = rest;
    }
    while let [first, rest @ ..] = words
        && listed(COURTESIES, first)
        && !words.starts_with(&["no", "more"])
    {
        words = rest;
    }
    words
}

fn without_wish<'a, 'b>(words: &'a [&'b str]) -> &'a [&'b str] {
    let words = without_courtesies(words);
    WISHES.split(" | ").find_map(|wish| begins(words, wish)).unwrap_or(words)
}

/// What follows after the words of `start`, when the words begin with them.
fn begins<'a, 'b>(words: &'a [&'b str], start: &str) -> Option<&'a [&'b str]> {
    start.split(' ').try_fold(words, |rest, word| {
        rest.split_first().filter(|(first, _)| **first == word).map(|(_, rest)| rest)
    })
}

fn listed(list: &str, said: &str) -> bool {
    list.split(" | ").any(|one| one == said)
}

/// Lower-case words without punctuation; letters set apart ("s t o p") are one word, a word said twice in a row is one.
fn words(text: &str) -> Vec<String> {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // Full-width forms of ASCII, as some keyboards write them.
            '\u{ff01}'..='\u{ff5e}' => {
                let ascii = char::from_u32(u32::from(character) - 0xfee0).unwrap_or(' ');
                plain.extend(
                    ascii.to_lowercase().map(|letter| if letter.is_alphanumeric() { letter } else { ' ' }),
                );
            }
            '\'' | '\u{2018}' | '\u{2019}' | '\u{2bc}' | '`' => {}
            '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => {}
            _ if character.is_alphanumeric() => plain.extend(character.to_lowercase()),
            _ => plain.push(' '),
        }
    }
    let mut words: Vec<String> = plain.split_whitespace().map(str::to_owned).collect();
    if words.len() > 1 && words.iter().all(|word| word.chars().count() == 1) {
        words = vec![words.concat()];
    }
    words.dedup();
    words
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
