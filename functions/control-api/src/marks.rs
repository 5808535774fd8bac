//! Cells that say whether somebody may be called. In doubt they say no.
//!
//! A do-not-call column says yes unless it clearly says no: `maybe`, `2026-03-01`, `x` and `federal` all mean that the person must not
//! be called. A column about something else (status, tags, notes) says it only by naming it.

use dialpool_domain::phone::is_invisible;

use crate::words::{has_any, place_of, words};

/// What says clearly that a mark is not set.
const NO: &[&str] = &[
    "",
    "no",
    "n",
    "false",
    "f",
    "0",
    "off",
    "none",
    "null",
    "nil",
    "na",
    "n a",
    "not applicable",
    "nope",
    "never",
    "unchecked",
    "inactive",
    "disabled",
    "no dnc",
    "not dnc",
    "non dnc",
    "not on dnc",
    "not on dnc list",
    "not on list",
    "not listed",
    "not on the list",
    "not on do not call list",
    "clean",
    "clear",
    "opted in",
    "opt in",
    "optin",
    "subscribed",
    "not opted out",
    "not set",
    "0 0",
    "0 00",
    "0000 00 00",
    "0000 00 00 00 00 00",
    "not a litigator",
    "no litigator",
    "undefined",
    "nan",
    "empty",
];

/// What says clearly that somebody may be called.
const YES: &[&str] = &[
    "yes",
    "y",
    "true",
    "t",
    "1",
    "x",
    "on",
    "ok",
    "okay",
    "allowed",
    "checked",
    "active",
    "enabled",
    "callable",
    "subscribed",
    "opted in",
    "opt in",
    "optin",
    "granted",
    "1 0",
    "yes ok to call",
    "ok to call",
    "\u{2713}",
];

/// Say that somebody must not be called, wherever they stand.
const MARKS: &[&[&str]] = &[
    &["dnc"],
    &["dncs"],
    &["dncl"],
    &["dncr"],
    &["ndnc"],
    &["dnd"],
    &["do", "not", "call"],
    &["do", "not", "contact"],
    &["do", "not", "phone"],
    &["do", "not", "dial"],
    &["do", "not", "disturb"],
    &["do", "not", "ring"],
    &["do", "not", "reach"],
    &["dont", "call"],
    &["dont", "contact"],
    &["dont", "phone"],
    &["never", "call"],
    &["stop", "call"],
    &["stop", "calls"],
    &["stop", "calling"],
    &["stop", "contact"],
    &["stop", "contacting"],
    &["opt", "out"],
    &["opts", "out"],
    &["opted", "out"],
    &["opting", "out"],
    &["unsubscribe"],
    &["unsubscribed"],
    &["unsub"],
    &["litigator"],
    &["litigators"],
    &["litigant"],
    &["litigious"],
    &["blacklist"],
    &["blacklisted"],
    &["blocklist"],
    &["blocklisted"],
    &["suppress"],
    &["suppressed"],
    &["suppression"],
    &["cease", "and", "desist"],
    &["remove", "me"],
    &["remove", "from", "list"],
    &["consent", "revoked"],
    &["revoked", "consent"],
    &["withdrew", "consent"],
    &["consent", "withdrawn"],
    &["asked", "not", "to", "be", "called"],
    &["no", "llamar"],
    &["no", "molestar"],
];

/// Take a mark back: before it, the whole rest behind it, and anywhere near behind it.
const NOT: &[&str] = &["no", "non", "not", "without"];
const IS_FALSE: &[&str] = &["no", "false", "0", "none", "n"];
const SCRUBBED: &[&str] =
    &["clean", "clear", "cleared", "free", "safe", "scrub", "scrubbed", "checked", "passed", "negative"];

/// Ways to reach a person that are no calls, and words of calls.
pub(crate) const OTHER_CHANNELS: &[&str] = &[
    "mail",
    "mails",
    "mailing",
    "mailings",
    "email",
    "emails",
    "postal",
    "post",
    "letter",
    "letters",
    "postcard",
    "postcards",
    "text",
    "texts",
    "texting",
    "txt",
    "sms",
    "mms",
    "rcs",
    "whatsapp",
    "fax",
    "newsletter",
    "newsletters",
    "messaging",
    "message",
    "messages",
    "push",
    "gmb",
    "fb",
    "facebook",
    "messenger",
    "instagram",
];
pub(crate) const CALL_WORDS: &[&str] = &[
    "call",
    "calls",
    "calling",
    "called",
    "phone",
    "phones",
    "phoning",
    "telephone",
    "dial",
    "dialing",
    "voice",
    "ring",
    "all",
    "any",
    "everything",
    "contact",
    "contacted",
    "contacting",
    "disturb",
];

/// Whether the cell of a do-not-call column says that the mark is set: whatever is no clear no.
pub(crate) fn is_set(text: &str) -> bool {
    !says(text, NO)
}

/// Whether the cell of a column that says who may be called says no: whatever is neither empty nor a clear yes.
pub(crate) fn is_not_allowed(text: &str) -> bool {
    !is_blank(text) && !says(text, YES)
}

/// Whether there is nothing but blanks and dashes.
fn is_blank(text: &str) -> bool {
    text.chars().all(|sign| {
        sign.is_whitespace()
            || is_invisible(sign)
            || matches!(sign, '-' | '_' | '.' | '/' | '\u{2010}'..='\u{2015}' | '\u{2212}')
    })
}

fn is_tick(sign: char) -> bool {
    matches!(sign, '\u{2713}' | '\u{2714}' | '\u{2705}' | '\u{2611}' | '+')
}

fn says(text: &str, known: &[&str]) -> bool {
    let text: String = text.chars().filter(|sign| !is_invisible(*sign)).collect();
    // Signs without a letter: a tick is a yes, a dash is nothing, and a question mark neither.
    if !text.chars().any(char::is_alphanumeric) {
        return match is_blank(&text) {
            true => known.contains(&""),
            false => known.contains(&"\u{2713}") && text.chars().any(is_tick),
        };
    }
    // `-1` is the yes of some databases, and no 1.
    if text.trim() == "-1" {
        return false;
    }
    let plain = text.to_lowercase();
    let plain: Vec<&str> =
        plain.split(|sign: char| !sign.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    known.contains(&plain.join(" ").as_str())
}

/// Whether the cell of another column (a status, tags, notes) names a mark about calls.
pub(crate) fn names_a_mark(text: &str) -> bool {
    text.split([',', ';', '|', '\n', '\r', '.', '!', '?']).any(|entry| {
        let words = words(entry);
        let says = |mark: &&&[&str]| {
            place_of(&words, mark).is_some_and(|at| {
                !is_taken_back(&words[..at], &words[at + mark.len()..]) && !is_other_channel(&words, mark)
            })
        };
        words == ["tcpa"] || MARKS.iter().any(|mark| says(&mark))
    })
}

/// Whether what stands before a mark, or behind it, says that it is not set: `not on DNC list`, `DNC: no`, `DNC scrubbed`.
fn is_taken_back(before: &[String], behind: &[String]) -> bool {
    let ends = |with: &[&str]| {
        before.iter().rev().zip(with.iter().rev()).filter(|(word, of)| word == of).count() == with.len()
    };
    before.last().is_some_and(|word| NOT.contains(&word.as_str()))
        || ends(&["not", "on"])
        || ends(&["not", "on", "the"])
        || ends(&["not", "a"])
        || (behind.len() == 1 && has_any(behind, IS_FALSE))
        || has_any(&behind[..behind.len().min(2)], SCRUBBED)
}

/// Whether the words are about mail or text alone. The words of the mark itself do not count.
fn is_other_channel(words: &[String], mark: &[&str]) -> bool {
    has_any(words, OTHER_CHANNELS)
        && !names_calls(words)
        && !mark.iter().any(|word| CALL_WORDS.contains(word))
}

/// Whether the words are about calls, too. "All email" is about none.
pub(crate) fn names_calls(words: &[String]) -> bool {
    let of_another = |at: usize| {
        ["all", "any"].contains(&words[at].as_str())
            && words.get(at + 1).is_some_and(|next| OTHER_CHANNELS.contains(&next.as_str()))
    };
    (0..words.len()).any(|at| CALL_WORDS.contains(&words[at].as_str()) && !of_another(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_set_unless_its_cell_clearly_says_no() {
        for yes in [
            "TRUE",
            "true",
            "Y",
            "yes",
            "Yes",
            "YES ",
            "1",
            "1.0",
            "x",
            "X",
            "t",
            "T",
            "on",
            "DNC",
            "dnd",
            "2026-03-01",
            "03/01/2026",
            "opted out",
            "federal",
            "maybe",
            "unknown",
            "✓",
            "✔",
            "☑",
            "+",
            "2",
            "-1",
            "checked",
            "active",
            "State DNC",
            "requested",
            "si",
            "oui",
            "ja",
            "?",
            "Do Not Call",
            "all",
            "true,false",
            "no, but text is fine",
            "yes\u{200b}",
        ] {
            assert!(is_set(yes), "{yes}");
        }
        for no in [
            "",
            " ",
            "no",
            "No",
            "NO",
            "n",
            "N",
            "false",
            "FALSE",
            "f",
            "0",
            "0.0",
            "off",
            "none",
            "null",
            "NULL",
            "-",
            "--",
            "—",
            "n/a",
            "N/A",
            "#N/A",
            "na",
            "No.",
            "\u{200b}no",
            "unchecked",
            "not on DNC",
            "Clean",
            "Opted In",
        ] {
            assert!(!is_set(no), "{no}");
        }
    }

    #[test]
    fn who_may_be_called_is_not_called_unless_the_cell_says_yes_or_nothing() {
        for no in ["No", "n", "false", "0", "never", "maybe", "revoked", "2026-03-01"] {
            assert!(is_not_allowed(no), "{no}");
        }
        for yes in ["Yes", "y", "TRUE", "1", "x", "OK", "", " ", "-"] {
            assert!(!is_not_allowed(yes), "{yes}");
        }
    }

    #[test]
    fn a_status_says_it_by_naming_it() {
        for marked in [
            "DNC",
            "dnc",
            "Do Not Call",
            "DO_NOT_CALL",
            "doNotContact",
            "Opted Out",
            "opt-out",
            "unsubscribed",
            "Litigator",
            "TCPA litigator",
            "probate, dnc",
            "probate;DND",
            "Dead - DNC",
            "DNC requested",
            "Blacklisted",
            "suppressed",
            "opted_out",
            "Lead said: don't call again",
            "Closed: stop calling",
            "dnd all",
            "dnd calls, dnd sms",
            "No answer - DNC",
            "DNC - Not Interested",
            "Do Not Call/Text",
            "NDNC",
            "Contact revoked consent",
            "on DNC list",
        ] {
            assert!(names_a_mark(marked), "{marked}");
        }
        for other in [
            "",
            "new",
            "Open - Not Contacted",
            "probate, vacant",
            "dnd sms",
            "email opt out",
            "Callback",
            "called",
            "Not DNC",
            "non-dnc",
            "No DNC",
            "DNC scrubbed",
            "DNC: no",
            "DNC clean",
            "not on DNC list",
            "Correct",
            "Wrong",
            "interested",
            "do not mail",
            "opted in",
            "call back Monday",
            "Contacted",
            "No contact",
            "No calls yet",
            "TCPA compliant",
            "unsubscribed from email",
            "not opted out",
            "real estate agent",
        ] {
            assert!(!names_a_mark(other), "{other}");
        }
    }
}
