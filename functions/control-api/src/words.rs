//! Headers and marks as words: what a column or a cell is called, whatever way it is spelled.
//!
//! `Do Not Call`, `do_not_call`, `doNotCall`, `DO-NOT-CALL`, `donotcall` and `Do_Not_Call__c` are the words `do not call`. A run of
//! letters is taken apart only when all of it is known words: `mailingstate` is `mailing state`, and `estate` stays what it is.

use dialpool_domain::phone::is_invisible;

/// The words that a run of letters may be put together from.
const KNOWN: &[&str] = &[
    "address",
    "billing",
    "call",
    "calls",
    "calling",
    "cell",
    "city",
    "code",
    "consent",
    "contact",
    "country",
    "county",
    "customer",
    "date",
    "do",
    "dial",
    "dnc",
    "dnd",
    "dont",
    "email",
    "federal",
    "first",
    "flag",
    "full",
    "has",
    "home",
    "in",
    "internal",
    "is",
    "last",
    "lead",
    "list",
    "litigator",
    "mail",
    "mailing",
    "mobile",
    "name",
    "national",
    "no",
    "not",
    "number",
    "opt",
    "opted",
    "out",
    "owner",
    "phone",
    "post",
    "postal",
    "property",
    "province",
    "reason",
    "region",
    "site",
    "sms",
    "state",
    "status",
    "tcpa",
    "text",
    "time",
    "type",
    "work",
    "zip",
    "zone",
];

/// The longest run of letters that is taken apart.
const LONGEST_RUN: usize = 40;

/// The words of a text in lower case, and its numbers. Punctuation, blanks, and a change from small letters to capitals part them.
pub(crate) fn words(text: &str) -> Vec<String> {
    let text = text.strip_suffix("__c").unwrap_or(text);
    let mut runs: Vec<Vec<char>> = Vec::new();
    let mut before: Option<char> = None;
    let signs: Vec<char> = text
        .chars()
        .filter(|sign| !is_invisible(*sign) && !matches!(sign, '\'' | '\u{2019}' | '`'))
        .map(narrow)
        .collect();
    for (nth, &sign) in signs.iter().enumerate() {
        if !sign.is_alphanumeric() {
            before = None;
            continue;
        }
        let next_is_small = signs.get(nth + 1).is_some_and(|next| next.is_lowercase());
        let begins = before.is_none_or(|before| {
            before.is_numeric() != sign.is_numeric()
                || (sign.is_uppercase()
                    && (before.is_lowercase() || (before.is_uppercase() && next_is_small)))
        });
        match runs.last_mut() {
            Some(run) if !begins => run.push(sign),
            _ => runs.push(vec![sign]),
        }
        before = Some(sign);
    }
    runs.into_iter().flat_map(|run| parts(&String::from_iter(run).to_lowercase())).collect()
}

/// A sign of full width as the one that it stands for.
fn narrow(sign: char) -> char {
    match sign {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(sign) - 0xfee0).unwrap_or(sign),
        sign => sign,
    }
}

/// The fewest known words that make a run up; the run itself when it is not made of them.
fn parts(run: &str) -> Vec<String> {
    if run.len() > LONGEST_RUN || !run.is_ascii() {
        return vec![run.to_owned()];
    }
    // The fewest words that make up what is before each place.
    let mut best: Vec<Option<Vec<&str>>> = vec![None; run.len() + 1];
    best[0] = Some(Vec::new());
    for end in 1..=run.len() {
        for word in KNOWN.iter().filter(|word| run[..end].ends_with(**word)) {
            let Some(before) = best[end - word.len()].clone() else { continue };
            if best[end].as_ref().is_none_or(|best| before.len() + 1 < best.len()) {
                best[end] = Some([before, vec![*word]].concat());
            }
        }
    }
    let whole = best.pop().flatten().filter(|words| !words.is_empty());
    whole.map_or_else(|| vec![run.to_owned()], |words| words.into_iter().map(str::to_owned).collect())
}

/// What a header is called in answers: small letters and `_`.
pub(crate) fn spelled(header: &str) -> String {
    let mut name = String::new();
    let mut apart = false;
    for sign in header.chars().filter(|sign| !is_invisible(*sign)).map(narrow) {
        if sign.is_alphanumeric() {
            if apart && !name.is_empty() {
                name.push('_');
            }
            apart = false;
            name.extend(sign.to_lowercase());
        } else {
            apart = true;
        }
    }
    name
}

/// Whether the words stand next to each other in this order.
pub(crate) fn has_run(words: &[String], run: &[&str]) -> bool {
    place_of(words, run).is_some()
}

/// Where the words stand next to each other.
pub(crate) fn place_of(words: &[String], run: &[&str]) -> Option<usize> {
    words.windows(run.len()).position(|window| window.iter().zip(run).all(|(word, of_run)| word == of_run))
}

/// Whether any of the words is there.
pub(crate) fn has_any(words: &[String], any: &[&str]) -> bool {
    words.iter().any(|word| any.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_the_same_words_in_whatever_way_it_is_spelled() {
        for header in [
            "do_not_call",
            "Do Not Call",
            "DO-NOT-CALL",
            "doNotCall",
            "DoNotCall",
            "donotcall",
            "DONOTCALL",
            "Do.Not.Call",
            "do/not/call",
            "Do_Not_Call__c",
            "\u{feff}Do  Not Call:",
            "(do not call)",
            "#DoNot_call",
            "do\u{200b}notcall",
            "Ｄｏ Not Call",
        ] {
            assert_eq!(words(header).join(" "), "do not call", "{header}");
        }
        for (header, expected) in [
            ("DNCStatus", "dnc status"),
            ("Phone1DNC", "phone 1 dnc"),
            ("ZIPCode", "zip code"),
            ("zipcode", "zip code"),
            ("State/Region", "state region"),
            ("mailingState", "mailing state"),
            ("mailingstate", "mailing state"),
            ("Don't Call", "dont call"),
            ("Phone 1 - Value", "phone 1 value"),
            ("optOut", "opt out"),
            ("TimeZone", "time zone"),
            ("contact_1_phone2", "contact 1 phone 2"),
            ("optedout", "opted out"),
            ("phoneno", "phone no"),
        ] {
            assert_eq!(words(header).join(" "), expected, "{header}");
        }
    }

    #[test]
    fn a_word_is_not_found_within_another() {
        for header in [
            "estate",
            "statement",
            "Callback",
            "notes",
            "Donotello",
            "zipper",
            "realestate",
            "interstate",
            "recall",
        ] {
            assert_eq!(words(header), [header.to_lowercase()], "{header}");
        }
    }
}
