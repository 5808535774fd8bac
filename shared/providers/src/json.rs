//! JSON from a provider, read in whatever state it comes.
//!
//! A report of a call may hold the only word that a person does not want to be called again. It must not be lost because an emoji
//! was cut in half, so this reader never fails. `serde_json` refuses lone surrogates, bytes that are no UTF-8, more than 128
//! levels, a key that comes twice (in a struct), and anything behind the value.
//!
//! 1. Bad surrogates, bytes and escapes become U+FFFD. A byte order mark is passed over. `NaN` and `None` are null.
//! 2. Both members stay when a key comes twice. [`Json::get`] takes the first; whoever must not miss one takes [`Json::all`].
//! 3. Deeper than [`DEPTH`] nothing is built, and the place of a value that was left out says so with [`LEFT_OUT`]. A body that ends too early is
//!    read up to its end. Nothing here recurses without that bound.
//! 4. Bytes that may have been understood wrongly, or are not in the tree, are in [`Reading::lost`]: the caller searches them as text.
//!
//! The tree takes at most about 16 times the memory of the text. Not here: JSON that our own callers send, which must be right.

use std::fmt;
use std::ops::Range;

use serde_json::Value;

/// How many levels of arrays and objects are built.
pub const DEPTH: usize = 100;

/// Stands for a value that was there, or was to follow, and is not in the tree.
pub const LEFT_OUT: &str = "\u{fffd}";

/// A value. Numbers keep their text, so that amounts stay exact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(Box<str>),
    /// A text.
    Text(String),
    /// Values in their order.
    Array(Vec<Json>),
    /// Names and values in their order; a name may come again.
    Object(Vec<(String, Json)>),
}

/// What was made of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The value; null when there is none.
    pub value: Json,
    /// Parts of the bytes that are not in the value, or are in it only as far as they could be understood.
    pub lost: Vec<Range<usize>>,
    /// Whether the value is all that was sent: it did not end too early, and every brace, quote and comma was in its place.
    pub whole: bool,
}

impl Json {
    /// The first member of this name.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.members().iter().find(|(of, _)| of == name).map(|(_, value)| value)
    }

    /// Every member of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.members().iter().filter(move |(of, _)| of == name).map(|(_, value)| value)
    }

    /// The members of an object; none of anything else.
    pub fn members(&self) -> &[(String, Self)] {
        match self {
            Self::Object(members) => members,
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Array(_) => &[],
        }
    }

    /// The elements of an array; none of anything else.
    pub fn elements(&self) -> &[Self] {
        match self {
            Self::Array(elements) => elements,
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Object(_) => &[],
        }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Array(_) | Self::Object(_) => None,
        }
    }

    /// The same for `serde_json`, which takes the last member of a name.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(is) => Value::Bool(*is),
            Self::Number(text) => serde_json::from_str::<serde_json::Number>(text)
                .map_or_else(|_| Value::from(text.as_ref()), Value::Number),
            Self::Text(text) => Value::from(text.as_str()),
            Self::Array(elements) => elements.iter().map(Self::to_value).collect(),
            Self::Object(members) => {
                Value::Object(members.iter().map(|(name, value)| (name.clone(), value.to_value())).collect())
            }
        }
    }
}

/// JSON text. Reading it gives the same value.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |f: &mut fmt::Formatter<'_>, text: &str| write!(f, "{}", Value::from(text));
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(is) => write!(f, "{is}"),
            Self::Number(number) => match serde_json::from_str::<serde_json::Number>(number) {
                Ok(_) => f.write_str(number),
                Err(_) => text(f, number),
            },
            Self::Text(said) => text(f, said),
            Self::Array(elements) => {
                f.write_str("[")?;
                for (place, element) in elements.iter().enumerate() {
                    write!(f, "{}{element}", if place == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (place, (name, value)) in members.iter().enumerate() {
                    f.write_str(if place == 0 { "" } else { "," })?;
                    text(f, name)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

/// Reads the first array or object in the bytes, or the first value when there is none.
pub fn read(bytes: &[u8]) -> Reading {
    let mut reader = Reader { bytes, at: 0, damaged: false, cut: false, lost: Vec::new() };
    reader.find_start();
    let value = reader.value();
    reader.blank();
    if reader.at < bytes.len() {
        reader.lost.push(reader.at..bytes.len());
    }
    let whole = !reader.damaged && !reader.cut && reader.at == bytes.len();
    if reader.damaged {
        reader.lost = std::iter::once(0..bytes.len()).collect();
    }
    Reading { value, lost: reader.lost, whole }
}

/// Reads the value that the bytes begin with, whatever follows.
pub(crate) fn read_first(bytes: &[u8]) -> Json {
    let mut reader = Reader { bytes, at: 0, damaged: false, cut: false, lost: Vec::new() };
    reader.blank();
    match bytes.get(reader.at) {
        None | Some(b',' | b':' | b'}' | b']') => Json::Text(LEFT_OUT.to_owned()),
        Some(_) => reader.value(),
    }
}

/// An array or object that is not at its end yet.
enum Open {
    Array(Vec<Json>),
    Object { members: Vec<(String, Json)>, name: Option<String> },
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Something stood where it must not: what follows may be understood wrongly.
    damaged: bool,
    /// The bytes ended before the value did.
    cut: bool,
    lost: Vec<Range<usize>>,
}

impl Reader<'_> {
    fn find_start(&mut self) {
        self.at = if self.bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        self.blank();
        let rest = &self.bytes[self.at..];
        if !rest.first().is_some_and(|first| b"{[\"".contains(first))
            && let Some(start) = rest.iter().position(|byte| b"{[".contains(byte))
        {
            self.lost.push(self.at..self.at + start);
            self.at += start;
        }
    }

    fn value(&mut self) -> Json {
        let mut open: Vec<Open> = Vec::new();
        loop {
            self.blank();
            let Some(&byte) = self.bytes.get(self.at) else { break };
            if let Some(Open::Object { name: name @ None, .. }) = open.last_mut() {
                match byte {
                    b'}' => {}
                    b',' => {
                        self.at += 1;
                        continue;
                    }
                    b'"' | b'\'' => {
                        *name = Some(self.text());
                        self.colon();
                        continue;
                    }
                    b'{' | b'[' | b']' | b':' => {
                        self.damaged = true;
                        if byte != b']' {
                            self.at += 1;
                            continue;
                        }
                    }
                    _ => {
                        self.damaged = true;
                        *name = Some(String::from_utf8_lossy(self.word()).into_owned());
                        self.colon();
                        continue;
                    }
                }
            }
            let done = match byte {
                b'{' | b'[' if open.len() == DEPTH => {
                    self.pass_over();
                    Json::Text(LEFT_OUT.to_owned())
                }
                b'{' => {
                    self.at += 1;
                    open.push(Open::Object { members: Vec::new(), name: None });
                    continue;
                }
                b'[' => {
                    self.at += 1;
                    open.push(Open::Array(Vec::new()));
                    continue;
                }
                b'}' | b']' => {
                    self.at += 1;
                    match self.close(&mut open, byte) {
                        Some(done) => done,
                        None => continue,
                    }
                }
                b',' | b':' => {
                    self.at += 1;
                    self.damaged |= byte == b':';
                    match open.last_mut() {
                        // The value is missing.
                        Some(Open::Object { name: Some(_), .. }) => {
                            self.damaged = true;
                            Json::Text(LEFT_OUT.to_owned())
                        }
                        Some(Open::Object { name: None, .. } | Open::Array(_)) | None => continue,
                    }
                }
                b'"' | b'\'' => Json::Text(self.text()),
                _ => self.scalar(),
            };
            if let Some(root) = put(&mut open, done) {
                return root;
            }
        }
        self.cut = true;
        while let Some(last) = open.pop() {
            if let Some(root) = put(&mut open, closed(last)) {
                return root;
            }
        }
        Json::Null
    }

    /// Ends the innermost array or object that `closer` may end; what is within it ends, too.
    fn close(&mut self, open: &mut Vec<Open>, closer: u8) -> Option<Json> {
        let ends = |open: &Open| match open {
            Open::Array(_) => closer == b']',
            Open::Object { .. } => closer == b'}',
        };
        let Some(place) = open.iter().rposition(ends) else {
            self.damaged = true;
            return None;
        };
        self.damaged |= place + 1 < open.len();
        while open.len() > place + 1 {
            if let Some(last) = open.pop() {
                put(open, closed(last));
            }
        }
        let last = open.pop()?;
        self.damaged |= matches!(last, Open::Object { name: Some(_), .. });
        Some(closed(last))
    }

    /// Passes over an array or object.
    fn pass_over(&mut self) {
        let start = self.at;
        let mut depth = 0usize;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => self.pass_over_text(),
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
        self.at = self.at.min(self.bytes.len());
        // Many small ones are one part, so that there are never many parts.
        match self.lost.last_mut() {
            Some(last) if start - last.end < 64 => last.end = self.at,
            _ => self.lost.push(start..self.at),
        }
    }

    /// From an opening quote to the closing one.
    fn pass_over_text(&mut self) {
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => return,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    /// A text, from its opening quote on.
    fn text(&mut self) -> String {
        let quote = self.bytes[self.at];
        self.damaged |= quote != b'"';
        self.at += 1;
        let mut text: Vec<u8> = Vec::new();
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(end) = rest.iter().position(|byte| *byte == quote || *byte == b'\\') else {
                text.extend_from_slice(rest);
                (self.at, self.cut) = (self.bytes.len(), true);
                break;
            };
            text.extend_from_slice(&rest[..end]);
            self.at += end + 1;
            if rest[end] == quote {
                break;
            }
            let escaped = self.escaped();
            text.extend_from_slice(escaped.encode_utf8(&mut [0; 4]).as_bytes());
        }
        String::from_utf8(text).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned())
    }

    /// The character that an escape stands for, from behind the backslash on.
    fn escaped(&mut self) -> char {
        let Some(&byte) = self.bytes.get(self.at) else { return char::REPLACEMENT_CHARACTER };
        if byte == b'u' {
            return self.escaped_unit();
        }
        // The rest of a character of several bytes is not lost: it stays as it is, and is replaced if it makes no sense.
        self.at += 1;
        match byte {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            byte if byte.is_ascii() => char::from(byte),
            _ => char::REPLACEMENT_CHARACTER,
        }
    }

    fn escaped_unit(&mut self) -> char {
        let unit = |at: usize| {
            let digits =
                self.bytes.get(at..at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
        };
        let Some(first) = unit(self.at + 1) else {
            self.at += 1;
            return char::REPLACEMENT_CHARACTER;
        };
        let second = self.bytes.get(self.at + 5..self.at + 7).filter(|next| next == b"\\u");
        let second =
            second.and_then(|_| unit(self.at + 7)).filter(|second| (0xdc00..0xe000).contains(second));
        let (length, code) = match second {
            Some(second) if (0xd800..0xdc00).contains(&first) => {
                (11, 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
            }
            _ => (5, first),
        };
        self.at += length;
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    fn colon(&mut self) {
        self.blank();
        match self.bytes.get(self.at) {
            Some(b':') => self.at += 1,
            Some(_) => self.damaged = true,
            None => {}
        }
    }

    /// Bytes up to the next that means something.
    fn word(&mut self) -> &[u8] {
        let rest = &self.bytes[self.at..];
        let ends = |byte: &u8| *byte <= b' ' || b",:{}[]\"".contains(byte);
        let word = &rest[..rest.iter().position(ends).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn scalar(&mut self) -> Json {
        let end = self.bytes.len();
        let word = String::from_utf8_lossy(self.word()).into_owned();
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            "null" | "nan" | "none" | "nil" | "undefined" => Json::Null,
            "infinity" | "-infinity" => Json::Text(word),
            _ if self.at == end && ["false", "true", "null"].iter().any(|all| all.starts_with(&lower)) => {
                match lower.as_bytes().first() {
                    Some(b'f') => Json::Bool(false),
                    Some(b't') => Json::Bool(true),
                    _ => Json::Null,
                }
            }
            _ if word.parse::<f64>().is_ok() => Json::Number(word.into()),
            _ => {
                self.damaged = true;
                Json::Text(word)
            }
        }
    }

    fn blank(&mut self) {
        while self.bytes.get(self.at).is_some_and(|byte| *byte <= b' ') {
            self.at += 1;
        }
    }
}

/// Adds a value where it belongs; answers it when nothing is open.
fn put(open: &mut [Open], value: Json) -> Option<Json> {
    match open.last_mut() {
        None => return Some(value),
        Some(Open::Array(elements)) => elements.push(value),
        Some(Open::Object { members, name }) => members.push((name.take().unwrap_or_default(), value)),
    }
    None
}

fn closed(open: Open) -> Json {
    match open {
        Open::Array(mut elements) => {
            elements.shrink_to_fit();
            Json::Array(elements)
        }
        Open::Object { mut members, name } => {
            // Its value was to follow.
            members.extend(name.map(|name| (name, Json::Text(LEFT_OUT.to_owned()))));
            members.shrink_to_fit();
            Json::Object(members)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn value(text: impl AsRef<[u8]>) -> Value {
        read(text.as_ref()).value.to_value()
    }

    #[test]
    fn what_is_right_is_read_as_serde_json_reads_it() {
        for text in [
            r#"{"a":[1,-2.5e3,true,false,null,"x\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"],"b":{},"c":[],"":{"d":0.1432}}"#,
            "[]",
            "\"x\"",
            " 7 ",
            "null",
        ] {
            let reading = read(text.as_bytes());
            assert_eq!(reading.value.to_value(), serde_json::from_str::<Value>(text).unwrap(), "{text}");
            assert!(reading.whole && reading.lost.is_empty(), "{text}: {reading:?}");
        }
    }

    #[test]
    fn half_a_surrogate_and_bytes_that_are_no_utf_8_become_a_replacement_character() {
        for text in [
            &br#"{"a":"x\ud83dy","b":true}"#[..],
            br#"{"a":"x\ude00y","b":true}"#,
            br#"{"a":"x\ud83d\u0041y","b":true}"#,
            br#"{"a":"x\ud83d\ud83dy","b":true}"#,
            b"{\"a\":\"x\xffy\",\"b\":true}",
            b"{\"a\":\"x\xed\xa0\xbdy\",\"b\":true}",
            br#"{"a":"x\u12zy","b":true}"#,
            b"{\"a\":\"x\\\xc3y\",\"b\":true}",
        ] {
            let reading = read(text);
            let said = reading.value.get("a").and_then(Json::text).unwrap();
            assert!(said.starts_with('x') && said.contains('\u{fffd}') && said.ends_with('y'), "{said:?}");
            assert_eq!(reading.value.get("b"), Some(&Json::Bool(true)));
            assert!(reading.whole && reading.lost.is_empty(), "{reading:?}");
        }
    }

    #[test]
    fn a_mark_in_front_and_words_of_other_languages_are_taken() {
        assert_eq!(value(b"\xef\xbb\xbf {\"a\":1}"), json!({ "a": 1 }));
        assert_eq!(
            value("{'a':None,\"b\":NaN,\"c\":Infinity,\"d\":undefined,e:True}"),
            json!({ "a": null, "b": null, "c": "Infinity", "d": null, "e": true })
        );
        assert_eq!(value("[+1, .5, 01, 1e999,]"), json!(["+1", ".5", "01", "1e999"]));
    }

    #[test]
    fn a_key_that_comes_twice_is_there_twice() {
        let reading = read(br#"{"a":1,"a":2}"#);
        assert_eq!(reading.value.all("a").count(), 2);
        assert_eq!(reading.value.get("a"), Some(&Json::Number("1".into())));
        assert_eq!(reading.value.to_string(), r#"{"a":1,"a":2}"#);
    }

    #[test]
    fn a_body_that_was_cut_is_read_up_to_the_cut() {
        for (text, read_as) in [
            (r#"{"a":{"b":[1,2"#, json!({ "a": { "b": [1, 2] } })),
            (r#"{"a":true,"b":"half"#, json!({ "a": true, "b": "half" })),
            (r#"{"a":true,"b"#, json!({ "a": true, "b": LEFT_OUT })),
            (r#"{"a":"#, json!({ "a": LEFT_OUT })),
            (r#"{"a":fal"#, json!({ "a": false })),
            (r#"{"a":"x\u00"#, json!({ "a": "x\u{fffd}00" })),
            ("{", json!({})),
            ("", json!(null)),
        ] {
            let reading = read(text.as_bytes());
            assert_eq!(reading.value.to_value(), read_as, "{text}");
            assert!(!reading.whole && reading.lost.is_empty(), "{text}: {reading:?}");
        }
    }

    #[test]
    fn what_follows_or_stands_in_front_is_kept_for_a_search() {
        let reading = read(br#"{"a":1} {"b":2}"#);
        assert_eq!(
            (reading.value.to_value(), reading.lost),
            (json!({ "a": 1 }), std::iter::once(8..15).collect())
        );
        let reading = read(br#")]}', {"a":1}"#);
        assert_eq!(
            (reading.value.to_value(), reading.lost),
            (json!({ "a": 1 }), std::iter::once(0..6).collect())
        );
    }

    #[test]
    fn what_is_nested_too_deep_is_left_out_and_said_to_be() {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            for levels in [DEPTH, DEPTH + 1, 5_000, 1_000_000] {
                let text = format!(
                    r#"{{"deep":{}7{},"after":true}}"#,
                    open.repeat(levels - 1),
                    close.repeat(levels - 1)
                );
                let reading = read(text.as_bytes());
                assert_eq!(reading.value.get("after"), Some(&Json::Bool(true)), "{levels}");
                assert_eq!(reading.lost.is_empty(), levels == DEPTH, "{levels}");
                assert!(reading.whole);
            }
            assert_eq!(read(open.repeat(1_000_000).as_bytes()).lost.len(), 1);
        }
        let many = format!("{}{}", "[".repeat(DEPTH), "[],".repeat(100_000));
        assert_eq!(read(many.as_bytes()).lost.len(), 1, "one part, not many");
    }

    #[test]
    fn what_stands_in_the_wrong_place_makes_all_of_it_searched() {
        for text in [
            r#"{"a" 1,"b":2}"#,
            r#"{"a":1]"#,
            r#"{"a":oops}"#,
            r#"{a:1}"#,
            r#"{"a":,"b":1}"#,
            r#"{"a":}"#,
            "[1:2]",
        ] {
            let reading = read(text.as_bytes());
            assert_eq!(reading.lost, std::iter::once(0..text.len()).collect::<Vec<_>>(), "{text}");
            assert!(!reading.whole);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_and_written_and_read_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let reading = read(&bytes);
            let again = read(reading.value.to_string().as_bytes());
            prop_assert!(again.whole, "{}", reading.value);
            prop_assert_eq!(again.value.to_string(), reading.value.to_string());
        }

        #[test]
        fn any_pieces_of_json_are_read_and_written_and_read_the_same(
            pieces in proptest::collection::vec(
                proptest::sample::select(&[
                    "{", "}", "[", "]", ",", ":", "\"", "'", "\\", "\\u", "d83d", "true", "nul", "-1e5", "a", " ", "\u{e9}", "\"a\":", "NaN",
                ][..]),
                0..40,
            ),
        ) {
            let reading = read(pieces.concat().as_bytes());
            let again = read(reading.value.to_string().as_bytes());
            prop_assert!(again.whole, "{}", reading.value);
            prop_assert_eq!(again.value.to_string(), reading.value.to_string());
        }
    }
}
