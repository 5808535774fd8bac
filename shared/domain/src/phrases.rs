//! Phrases: what people write and say, matched against phrases that are data.
//!
//! A grammar is a file of named rules. A rule is a list of alternatives, parted by `|` or a new line. An alternative is a
//! sequence of words and of other rules: `<name>` once, `<name>?` at most once, `<name>*` any number of times.
//!
//! The words of a text are compared without case, accents, apostrophes, emoji, invisible characters and repeated letters, and in
//! the spelling that the grammar's table gives for what people abbreviate.
//!
//! Not here: what a phrase means.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Rules over words.
#[derive(Debug)]
pub(crate) struct Grammar {
    spelling: BTreeMap<String, String>,
    rules: Vec<Phrases>,
    names: BTreeMap<String, usize>,
    /// Every word that a rule has.
    vocabulary: HashSet<String>,
}

/// A rule of a grammar, by its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule(usize);

#[derive(Debug, Default)]
struct Phrases {
    /// Alternatives of one word.
    words: HashSet<String>,
    longer: Vec<Vec<Piece>>,
}

#[derive(Debug)]
enum Piece {
    Word(String),
    Rule(usize, Times),
}

#[derive(Debug, Clone, Copy)]
enum Times {
    Once,
    AtMostOnce,
    Any,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// What people write for a word, and the word, or words.
    #[serde(default)]
    spelling: BTreeMap<String, String>,
    rules: BTreeMap<String, String>,
}

/// The file is no grammar.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidGrammar {
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    #[error("rule {rule}: there is no rule <{missing}>")]
    Missing { rule: String, missing: String },
}

impl Grammar {
    pub(crate) fn read(text: &str) -> Result<Self, InvalidGrammar> {
        let file: File = toml::from_str(text)?;
        let names: BTreeMap<String, usize> = file.rules.keys().cloned().zip(0..).collect();
        let mut vocabulary = HashSet::new();
        let mut rules = Vec::new();
        for (name, alternatives) in &file.rules {
            let mut rule = Phrases::default();
            for alternative in alternatives.split(['|', '\n']) {
                let mut pieces = Vec::new();
                for token in alternative.split_whitespace() {
                    pieces.push(match token.strip_prefix('<') {
                        None => {
                            vocabulary.insert(token.to_owned());
                            Piece::Word(token.to_owned())
                        }
                        Some(token) => {
                            let (called, times) = if let Some(called) = token.strip_suffix(">?") {
                                (called, Times::AtMostOnce)
                            } else if let Some(called) = token.strip_suffix(">*") {
                                (called, Times::Any)
                            } else {
                                (token.trim_end_matches('>'), Times::Once)
                            };
                            let place = names.get(called).ok_or_else(|| InvalidGrammar::Missing {
                                rule: name.clone(),
                                missing: called.to_owned(),
                            })?;
                            Piece::Rule(*place, times)
                        }
                    });
                }
                match pieces.as_slice() {
                    [] => {}
                    [Piece::Word(word)] => {
                        rule.words.insert(word.clone());
                    }
                    _ => rule.longer.push(pieces),
                }
            }
            rules.push(rule);
        }
        Ok(Self { spelling: file.spelling, rules, names, vocabulary })
    }

    /// The rule of that name.
    pub(crate) fn rule(&self, name: &str) -> Option<Rule> {
        self.names.get(name).copied().map(Rule)
    }

    /// The words of a text, as rules compare them. Letters set apart ("s t o p") are one word; a word said twice in a row is one.
    pub(crate) fn words(&self, text: &str) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        for word in joined_letters(plain(text).split_whitespace(), &self.vocabulary) {
            let word = self.without_repeated_letters(&word);
            match self.spelling.get(&word) {
                Some(right) => words.extend(right.split_whitespace().map(str::to_owned)),
                None => words.push(word),
            }
        }
        words.dedup();
        words
    }

    /// "stoppp" and "calllll": a letter that stands there three times or more is meant twice where that is a word of the grammar,
    /// else once.
    fn without_repeated_letters(&self, word: &str) -> String {
        let letters: Vec<char> = word.chars().collect();
        let longest_runs_as = |times: usize| {
            let runs = letters.chunk_by(|one, next| one == next && !one.is_numeric());
            runs.flat_map(|run| &run[..if run.len() > 2 { times } else { run.len() }]).collect::<String>()
        };
        let twice = longest_runs_as(2);
        if twice == word || self.vocabulary.contains(&twice) { twice } else { longest_runs_as(1) }
    }

    /// Whether the words are the rule, from the first to the last.
    pub(crate) fn is(&self, rule: Rule, words: &[&str]) -> bool {
        self.ends(rule, words, 0).contains(&words.len())
    }

    /// Where the rule may end that begins at a word: the places behind its last words.
    pub(crate) fn ends(&self, rule: Rule, words: &[&str], start: usize) -> BTreeSet<usize> {
        let phrases = &self.rules[rule.0];
        let mut ends = BTreeSet::new();
        let Some(first) = words.get(start) else { return ends };
        if phrases.words.contains(*first) {
            ends.insert(start + 1);
        }
        for phrase in &phrases.longer {
            if matches!(phrase.first(), Some(Piece::Word(word)) if word != first) {
                continue;
            }
            let mut at = BTreeSet::from([start]);
            for piece in phrase {
                at = self.after(piece, words, at);
                if at.is_empty() {
                    break;
                }
            }
            ends.extend(at.into_iter().filter(|end| *end > start));
        }
        ends
    }

    /// Whether the rule is anywhere in the words.
    pub(crate) fn is_in(&self, rule: Rule, words: &[&str]) -> bool {
        (0..words.len()).any(|start| !self.ends(rule, words, start).is_empty())
    }

    fn after(&self, piece: &Piece, words: &[&str], at: BTreeSet<usize>) -> BTreeSet<usize> {
        match piece {
            Piece::Word(word) => at
                .into_iter()
                .filter(|from| words.get(*from).is_some_and(|said| said == word))
                .map(|from| from + 1)
                .collect(),
            Piece::Rule(rule, times) => {
                let once = |from: usize| self.ends(Rule(*rule), words, from);
                match times {
                    Times::Once => at.into_iter().flat_map(once).collect(),
                    Times::AtMostOnce => {
                        at.iter().copied().chain(at.iter().copied().flat_map(once)).collect()
                    }
                    Times::Any => {
                        let mut open: Vec<usize> = at.iter().copied().collect();
                        let mut all = at;
                        while let Some(from) = open.pop() {
                            open.extend(once(from).into_iter().filter(|to| all.insert(*to)));
                        }
                        all
                    }
                }
            }
        }
    }
}

/// Lower-case words without accents and signs: "Don’t STOP 🛑" is "dont stop".
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.nfkd() {
        match character {
            '\'' | '\u{2018}' | '\u{2019}' | '\u{2bc}' | '\u{b4}' | '`' => {}
            '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => {}
            '&' => plain.push_str(" and "),
            '/' => plain.push_str(" or "),
            '\u{153}' | '\u{152}' => plain.push_str("oe"),
            _ if is_combining_mark(character) => {}
            _ if character.is_alphanumeric() => plain.extend(character.to_lowercase()),
            _ => plain.push(' '),
        }
    }
    plain
}

/// "s t o p calling" is "stop calling"; "r u a b" stays as it is, for it is no word.
fn joined_letters<'a>(words: impl Iterator<Item = &'a str>, vocabulary: &HashSet<String>) -> Vec<String> {
    let mut joined = Vec::new();
    let mut letters: Vec<&str> = Vec::new();
    let flush = |letters: &mut Vec<&str>, joined: &mut Vec<String>| {
        let together = letters.concat();
        if letters.len() > 2 && vocabulary.contains(&together) {
            joined.push(together);
        } else {
            joined.extend(letters.iter().map(|letter| (*letter).to_owned()));
        }
        letters.clear();
    };
    for word in words {
        if word.chars().count() == 1 {
            letters.push(word);
        } else {
            flush(&mut letters, &mut joined);
            joined.push(word.to_owned());
        }
    }
    flush(&mut letters, &mut joined);
    joined
}

/// The sentences of a text: what stands between full stops, question and exclamation marks, semicolons and new lines. The full
/// stops within "S.T.O.P" end no sentence.
pub(crate) fn sentences(text: &str) -> impl Iterator<Item = &str> {
    const ENDS: [char; 13] = [
        '.', '!', '?', ';', '\n', '\u{bf}', '\u{a1}', '\u{3002}', '\u{ff0e}', '\u{ff01}', '\u{ff1f}',
        '\u{ff61}', '\u{2026}',
    ];
    let spells = |at: usize| {
        let mut before = text[..at].chars().rev();
        let mut after = text[at + 1..].chars();
        before.next().is_some_and(char::is_alphabetic)
            && after.next().is_some_and(char::is_alphabetic)
            && !before.next().is_some_and(char::is_alphanumeric)
            && !after.next().is_some_and(char::is_alphanumeric)
    };
    let ends =
        text.char_indices().filter(move |(at, sign)| ENDS.contains(sign) && !(*sign == '.' && spells(*at)));
    let mut from = 0;
    let ends = ends.map(|(at, sign)| (at, at + sign.len_utf8())).chain([(text.len(), text.len())]);
    ends.map(move |(end, next)| {
        let sentence = &text[from..end];
        from = next;
        sentence
    })
}

/// The parts of a sentence: what stands between commas, dashes and brackets.
pub(crate) fn parts(sentence: &str) -> impl Iterator<Item = &str> {
    sentence
        .split([',', '(', ')', '\u{2013}', '\u{2014}', '\u{ff0c}', '\u{3001}'])
        .flat_map(|part| part.split(" - "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_stop_within_a_spelled_word_ends_no_sentence() {
        for (text, expected) in [
            ("No. S.T.O.P", &["No", " S.T.O.P"][..]),
            ("S.T.O.P. Now!", &["S.T.O.P", " Now", ""]),
            ("Stop. I. am. done", &["Stop", " I", " am", " done"]),
            ("at 3.30 p.m. today", &["at 3", "30 p.m", " today"]),
            ("", &[""]),
        ] {
            assert_eq!(sentences(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    fn grammar() -> Grammar {
        Grammar::read(
            r#"
            [spelling]
            txt = "text"
            wanna = "want to"
            [rules]
            stop = "stop | quit"
            call = "call | calling"
            tail = "me | ever again"
            demand = "<stop> <call> <tail>*"
            "#,
        )
        .unwrap()
    }

    #[test]
    fn a_rule_matches_words_other_rules_and_their_repetition() {
        let grammar = Grammar::read(
            r#"
            [rules]
            stop = "stop | quit"
            call = "call | calling"
            tail = "me | ever again"
            demand = """<stop> <call> <tail>*
                        do not <call> <tail>?"""
            "#,
        )
        .unwrap();
        let demand = grammar.rule("demand").unwrap();
        for (text, is) in [
            ("stop calling", true),
            ("quit calling me ever again", true),
            ("do not call", true),
            ("do not call me", true),
            ("do not call me ever again", false),
            ("stop", false),
            ("please stop calling", false),
        ] {
            let words: Vec<&str> = text.split(' ').collect();
            assert_eq!(grammar.is(demand, &words), is, "{text}");
        }
        assert!(grammar.is_in(demand, &["please", "stop", "calling"]));
    }

    #[test]
    fn words_are_compared_without_case_accents_signs_and_repeated_letters() {
        let grammar = grammar();
        for (text, words) in [
            ("STOP!!! calling", vec!["stop", "calling"]),
            ("stoppppp callllling", vec!["stop", "calling"]),
            ("Ｓｔóp txt", vec!["stop", "text"]),
            ("s t o p", vec!["stop"]),
            ("I wanna \u{1f6d1} st\u{200b}op", vec!["i", "want", "to", "stop"]),
            ("𝗦𝗧𝗢𝗣 don’t", vec!["stop", "dont"]),
            ("call me at 7777", vec!["call", "me", "at", "7777"]),
        ] {
            assert_eq!(grammar.words(text), words, "{text}");
        }
    }

    #[test]
    fn a_rule_that_is_not_there_is_named() {
        let error = Grammar::read("[rules]\na = \"b <c>\"").unwrap_err();
        assert_eq!(error.to_string(), "rule a: there is no rule <c>");
    }
}
