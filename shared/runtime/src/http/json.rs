//! What callers send as JSON, or as a query, and what is wrong with it in words that name the field.
//!
//! A body is read into a tree first, and the request is read from the tree. That gives three things that reading straight into
//! the request does not: numbers are taken where text is meant (clients send ids and phone numbers as numbers), a field that
//! is there twice is refused wherever it is, and no error speaks of a type of this program.

use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{
    self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::error::Category;

use super::problem::Problem;

/// From here on a float no longer tells neighbouring whole numbers apart: 2^53.
const INEXACT: f64 = 9_007_199_254_740_992.0;

/// A decimal with so many digits is one float, and no other decimal with so few is the same float.
const EXACT_DIGITS: usize = 15;

/// A value of JSON. Objects keep their order, and fields that are there twice.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Whole(i128),
    Fraction(f64),
    Text(String),
    /// A value of a query: the field that it is for decides what it is.
    Word(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Reads a request out of a body.
///
/// # Errors
/// 400 when the body is not one JSON value, 422 when a field of it is not what it should be.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let text = text_of(body)?;
    let json = parse(text).map_err(|error| unreadable(text, &error))?;
    T::deserialize(json).map_err(|wrong| wrong.problem("body"))
}

/// Reads the parameters of a query.
///
/// # Errors
/// 422 when one of them is not what it should be.
pub(super) fn read_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let words = form_urlencoded::parse(query.as_bytes());
    let words = words.map(|(name, word)| (name.into_owned(), Json::Word(word.into_owned())));
    T::deserialize(Json::Object(words.collect())).map_err(|wrong| wrong.problem("query"))
}

/// The body in one spelling: two bodies that say the same have the same. `None`: it is no JSON, or it has numbers that cannot
/// be told apart here, and its bytes are all that can be compared.
pub(super) fn canonical(body: &[u8]) -> Option<String> {
    let text = text_of(body).ok()?;
    if has_long_number(text) {
        return None;
    }
    let mut spelled = String::with_capacity(text.len());
    spell(&parse(text).ok()?, &mut spelled)?;
    Some(spelled)
}

fn text_of(body: &[u8]) -> Result<&str, Problem> {
    if body.starts_with(b"\xff\xfe") || body.starts_with(b"\xfe\xff") {
        return Err(Problem::unreadable("the body is UTF-16 text: send JSON as UTF-8"));
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        Problem::unreadable(format!("the body is not UTF-8 text, from byte {at} on: send JSON as UTF-8"))
    })?;
    // Programs of Windows write a byte order mark before the text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(Problem::unreadable("the body is empty: send a JSON object"));
    }
    Ok(text)
}

fn parse(text: &str) -> Result<Json, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let json = Json::deserialize(&mut reader)?;
    reader.end()?;
    Ok(json)
}

/// Why a body is not one JSON value. Some of what is refused is JSON: it is not called anything else.
fn unreadable(text: &str, error: &serde_json::Error) -> Problem {
    let place = format!("line {} column {}", error.line(), error.column());
    let reason = error.to_string();
    Problem::unreadable(if reason.starts_with("trailing characters") {
        format!("the body goes on after the end of the JSON value, at {place}: send one value")
    } else if reason.starts_with("recursion limit") {
        "the body is nested more than 127 levels deep".to_owned()
    } else if reason.starts_with("number out of range") {
        format!("the number that ends at {place} is too large")
    } else if reason.contains("surrogate") || reason.contains("hex escape") {
        format!("the text at {place} has half a character (a lone \\u surrogate): leave it out")
    } else {
        match error.classify() {
            Category::Eof => format!("the body breaks off at {place}, before the JSON value ends"),
            Category::Syntax | Category::Data | Category::Io => {
                let kind =
                    if text.trim_start().starts_with(['{', '[']) { "no valid JSON" } else { "not JSON" };
                format!("the body is {kind}: {reason}")
            }
        }
    })
}

/// Whether a number has more digits than a float or a whole number keeps.
fn has_long_number(text: &str) -> bool {
    let (mut in_text, mut escaped, mut digits, mut whole) = (false, false, 0, true);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'0'..=b'9' => digits += 1,
            b'.' | b'e' | b'E' | b'+' | b'-' => whole &= !matches!(byte, b'.' | b'e' | b'E'),
            _ => (digits, whole) = (0, true),
        }
        // 18 digits fit into 64 bits whatever they are.
        if digits > if whole { 18 } else { EXACT_DIGITS } {
            return true;
        }
    }
    false
}

/// Writes a value in the one spelling; `None` where an object has a field twice.
fn spell(json: &Json, spelled: &mut String) -> Option<()> {
    match json {
        Json::Null => spelled.push_str("null"),
        Json::Bool(truth) => spelled.push_str(if *truth { "true" } else { "false" }),
        Json::Whole(number) => spelled.push_str(&number.to_string()),
        Json::Fraction(number) => match whole(*number) {
            Some(whole) => spelled.push_str(&whole.to_string()),
            None => spelled.push_str(&format!("{number:e}")),
        },
        Json::Text(text) | Json::Word(text) => spelled.push_str(&serde_json::to_string(text).ok()?),
        Json::List(values) => {
            spelled.push('[');
            for value in values {
                spell(value, spelled)?;
                spelled.push(',');
            }
            spelled.push(']');
        }
        Json::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            if fields.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                return None;
            }
            spelled.push('{');
            for (name, value) in fields {
                spelled.push_str(&serde_json::to_string(name).ok()?);
                spelled.push(':');
                spell(value, spelled)?;
                spelled.push(',');
            }
            spelled.push('}');
        }
    }
    Some(())
}

/// The whole number that a float is, where it is exactly one.
fn whole(number: f64) -> Option<i128> {
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
    (number.fract() == 0.0 && number.abs() < INEXACT).then_some(number as i128)
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Json, E> {
        Ok(Json::Bool(truth))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Whole(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Whole(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Fraction(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = object.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }
}

/// A field is not what it should be.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Where, from the inside out.
    path: Vec<Step>,
    what: String,
}

#[derive(Debug)]
enum Step {
    Field(String),
    Place(usize),
}

impl Wrong {
    fn here(what: impl Into<String>) -> Self {
        Self { path: Vec::new(), what: what.into() }
    }

    fn at(field: &str, what: impl Into<String>) -> Self {
        Self { path: vec![Step::Field(field.to_owned())], what: what.into() }
    }

    fn within(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }

    /// The problem; `whole` is what is wrong when no field of it is.
    fn problem(self, whole: &str) -> Problem {
        let mut path = String::new();
        for step in self.path.iter().rev() {
            match step {
                Step::Field(name) if path.is_empty() => path.push_str(name),
                Step::Field(name) => path.extend([".", name]),
                Step::Place(place) => path.push_str(&format!("[{place}]")),
            }
        }
        Problem::field(if path.is_empty() { whole.to_owned() } else { path }, self.what)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::here(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::here(format!("must be {}, not {}", in_words(expected), Found(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::here(format!("must be {}, not of {length}", in_words(expected)))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::here(format!("must be {}", one_of(known)))
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self::at(field, "is not known here")
    }

    fn missing_field(field: &'static str) -> Self {
        Self::at(field, "is missing")
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::at(field, "is there more than once")
    }
}

fn one_of(known: &[&str]) -> String {
    match known {
        [only] => (*only).to_owned(),
        known => format!("one of {}", known.join(", ")),
    }
}

/// What a reader expects, in words for people. The names are those that serde has for the types that it knows; types of our
/// own say it in words already.
fn in_words(expected: &dyn Expected) -> String {
    let name = expected.to_string();
    let words = match name.as_str() {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "u128" | "usize" => "a whole number, 0 or more",
        "a nonzero u8" => "a whole number from 1 to 255",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "str" | "a borrowed string" | "string" => "a text",
        "a boolean" => "true or false",
        "a map" => "an object",
        "a sequence" => "a list",
        "unit" => "null",
        name if name.starts_with("struct ") => "an object",
        name => {
            let length = name.strip_prefix("an array of length ").or(name.strip_prefix("a tuple of size "));
            return length.map_or_else(|| name.to_owned(), |length| format!("a list of {length}"));
        }
    };
    words.to_owned()
}

struct Found<'a>(Unexpected<'a>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Bool(truth) => write!(f, "{truth}"),
            Unexpected::Unsigned(number) => write!(f, "{number}"),
            Unexpected::Signed(number) => write!(f, "{number}"),
            Unexpected::Float(number) => write!(f, "{number}"),
            Unexpected::Unit | Unexpected::Option => f.write_str("null"),
            Unexpected::Seq => f.write_str("a list"),
            Unexpected::Map => f.write_str("an object"),
            Unexpected::Other(what) => f.write_str(what),
            Unexpected::Char(_)
            | Unexpected::Str(_)
            | Unexpected::Bytes(_)
            | Unexpected::NewtypeStruct
            | Unexpected::Enum
            | Unexpected::UnitVariant
            | Unexpected::NewtypeVariant
            | Unexpected::TupleVariant
            | Unexpected::StructVariant => f.write_str("a text"),
        }
    }
}

const ANOTHER_WORD: Unexpected<'_> = Unexpected::Other("another text");

impl Json {
    fn found(&self) -> Unexpected<'_> {
        match self {
            Self::Null => Unexpected::Unit,
            Self::Bool(truth) => Unexpected::Bool(*truth),
            Self::Whole(number) => match i64::try_from(*number) {
                Ok(number) => Unexpected::Signed(number),
                Err(_) => Unexpected::Other("so large a number"),
            },
            Self::Fraction(number) => Unexpected::Float(*number),
            Self::Text(text) | Self::Word(text) => Unexpected::Str(text),
            Self::List(_) => Unexpected::Seq,
            Self::Object(_) => Unexpected::Map,
        }
    }

    /// A number, for a reader of one.
    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Fraction(number) => match whole(number) {
                Some(number) => Self::Whole(number).deserialize_any(visitor),
                None => visitor.visit_f64(number),
            },
            Self::Word(word) => match (word.parse::<i64>(), word.parse::<u64>()) {
                (Ok(number), _) => Self::Whole(number.into()).deserialize_any(visitor),
                (_, Ok(number)) => visitor.visit_u64(number),
                (Err(_), Err(_)) => Err(de::Error::invalid_type(ANOTHER_WORD, &visitor)),
            },
            other => other.deserialize_any(visitor),
        }
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            self.number(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Json {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(truth) => visitor.visit_bool(truth),
            Self::Whole(number) => match (u64::try_from(number), i64::try_from(number)) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                (Err(_), Err(_)) => visitor.visit_i128(number),
            },
            Self::Fraction(number) => visitor.visit_f64(number),
            Self::Text(text) | Self::Word(text) => visitor.visit_string(text),
            Self::List(values) => {
                let mut list = List { values: values.into_iter().enumerate() };
                let length = list.values.len();
                let value = visitor.visit_seq(&mut list)?;
                let read = length - list.values.len();
                if read == length {
                    return Ok(value);
                }
                Err(Wrong::here(format!("must be a list of {read}, not of {length}")))
            }
            Self::Object(fields) => {
                let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
                names.sort_unstable();
                if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                    return Err(Wrong::at(twice[0], "is there more than once"));
                }
                visitor.visit_map(Object { fields: fields.into_iter(), value: None })
            }
        }
    }

    numbers! {
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_f32 deserialize_f64
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Word(word) => match word.parse() {
                Ok(truth) => visitor.visit_bool(truth),
                Err(_) => Err(de::Error::invalid_type(ANOTHER_WORD, &visitor)),
            },
            other => other.deserialize_any(visitor),
        }
    }

    /// A whole number is taken as text: what was an id, or a phone number, is a number to many a program.
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Whole(number) => visitor.visit_string(number.to_string()),
            Self::Fraction(number) => match whole(number) {
                Some(number) => visitor.visit_string(number.to_string()),
                None if number.abs() >= INEXACT => {
                    Err(Wrong::here("is a number with more digits than are kept: send it as a text"))
                }
                None => Err(de::Error::invalid_type(Unexpected::Float(number), &visitor)),
            },
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Null => visitor.visit_none(),
            some => visitor.visit_some(some),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self {
            Self::Text(text) | Self::Word(text) => {
                let text: StringDeserializer<Wrong> = text.into_deserializer();
                visitor.visit_enum(text)
            }
            other => Err(Wrong::here(format!("must be {}, not {}", one_of(known), Found(other.found())))),
        }
    }

    /// By its fields' names only: a list that happens to fit is none.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self {
            Self::Object(_) => self.deserialize_any(visitor),
            other => Err(de::Error::invalid_type(other.found(), &visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct seq tuple tuple_struct map identifier
    }
}

struct List {
    values: std::iter::Enumerate<std::vec::IntoIter<Json>>,
}

impl<'de> SeqAccess<'de> for &mut List {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let Some((place, value)) = self.values.next() else { return Ok(None) };
        seed.deserialize(value).map(Some).map_err(|wrong| wrong.within(Step::Place(place)))
    }
}

struct Object {
    fields: std::vec::IntoIter<(String, Json)>,
    value: Option<(String, Json)>,
}

impl<'de> MapAccess<'de> for Object {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        let Some((name, value)) = self.fields.next() else { return Ok(None) };
        self.value = Some((name.clone(), value));
        let name: StringDeserializer<Wrong> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let (name, value) = self.value.take().ok_or_else(|| Wrong::here("has a value without a name"))?;
        seed.deserialize(value).map_err(|wrong| wrong.within(Step::Field(name)))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Map, Value, json};

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Asked {
        lead: Option<String>,
        cap: Option<u32>,
        wait: bool,
        channel: Option<Channel>,
        days: Option<[u32; 3]>,
        limits: Option<Limits>,
        list: Vec<Limits>,
        configuration: Option<Map<String, Value>>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        per_day: i64,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Channel {
        Sms,
        Chat,
    }

    fn asked(body: &str) -> Result<Asked, String> {
        read(body.as_bytes()).map_err(|problem| format!("{} {problem}", problem.status().as_u16()))
    }

    fn lead(body: &str) -> Result<String, String> {
        asked(body).map(|asked| asked.lead.unwrap_or_default())
    }

    #[test]
    fn a_whole_number_is_taken_where_text_is_meant_and_exactly() {
        for (body, text) in [
            (r#"{"lead":123}"#, "123"),
            (r#"{"lead":4155550123}"#, "4155550123"),
            (r#"{"lead":18446744073709551615}"#, "18446744073709551615"),
            (r#"{"lead":-7}"#, "-7"),
            (r#"{"lead":1.0}"#, "1"),
            (r#"{"lead":1e3}"#, "1000"),
        ] {
            assert_eq!(lead(body).as_deref(), Ok(text), "{body}");
        }
        for (body, reason) in [
            (r#"{"lead":1.5}"#, "422 lead: must be a text, not 1.5"),
            (
                r#"{"lead":123456789012345678901234}"#,
                "422 lead: is a number with more digits than are kept: send it as a text",
            ),
            (r#"{"lead":true}"#, "422 lead: must be a text, not true"),
            (r#"{"lead":["a"]}"#, "422 lead: must be a text, not a list"),
            (r#"{"lead":{"id":7}}"#, "422 lead: must be a text, not an object"),
        ] {
            assert_eq!(lead(body).unwrap_err(), reason, "{body}");
        }
    }

    #[test]
    fn a_wrong_value_is_told_with_its_path_and_what_was_expected_in_words() {
        for (body, reason) in [
            (r#"{"cap":"5"}"#, "422 cap: must be a whole number, 0 or more, not a text"),
            (r#"{"cap":-5}"#, "422 cap: must be a whole number, 0 or more, not -5"),
            (r#"{"cap":2.5}"#, "422 cap: must be a whole number, 0 or more, not 2.5"),
            (r#"{"cap":{}}"#, "422 cap: must be a whole number, 0 or more, not an object"),
            (r#"{"wait":"yes"}"#, "422 wait: must be true or false, not a text"),
            (r#"{"wait":1}"#, "422 wait: must be true or false, not 1"),
            (r#"{"wait":null}"#, "422 wait: must be true or false, not null"),
            (r#"{"channel":"fax"}"#, "422 channel: must be one of sms, chat"),
            (r#"{"channel":7}"#, "422 channel: must be one of sms, chat, not 7"),
            (r#"{"days":[1,2]}"#, "422 days: must be a list of 3, not of 2"),
            (r#"{"days":[1,2,3,4]}"#, "422 days: must be a list of 3, not of 4"),
            (r#"{"days":[1,"2",3]}"#, "422 days[1]: must be a whole number, 0 or more, not a text"),
            (r#"{"limits":[]}"#, "422 limits: must be an object, not a list"),
            (r#"{"limits":{}}"#, "422 limits.per_day: is missing"),
            (r#"{"limits":{"per_day":1,"per_dya":2}}"#, "422 limits.per_dya: is not known here"),
            (
                r#"{"list":[{"per_day":1},{"per_day":"x"}]}"#,
                "422 list[1].per_day: must be a whole number, not a text",
            ),
            (r#"{"lead":"a","lead":"b"}"#, "422 lead: is there more than once"),
            (
                r#"{"configuration":{"model":{"x":1,"x":2}}}"#,
                "422 configuration.model.x: is there more than once",
            ),
            ("[]", "422 body: must be an object, not a list"),
            ("null", "422 body: must be an object, not null"),
            ("7", "422 body: must be an object, not 7"),
        ] {
            assert_eq!(asked(body).unwrap_err(), reason, "{body}");
        }
    }

    #[test]
    fn what_is_right_is_read_with_a_byte_order_mark_and_blanks_or_without() {
        let body = r#"{"cap":5,"wait":true,"channel":"chat","days":[1,2,3],"limits":{"per_day":-4},"configuration":{"a":[1,2.5,{"b":null}]}}"#;
        let right = asked(body).unwrap();
        assert_eq!(right.limits, Some(Limits { per_day: -4 }));
        assert_eq!(
            Value::Object(right.configuration.clone().unwrap()),
            json!({ "a": [1, 2.5, { "b": null }] })
        );
        assert_eq!(asked(&format!("\u{feff}{body}")).unwrap(), right);
        assert_eq!(asked(&format!("\r\n {body}\n\n")).unwrap(), right);
        assert_eq!(asked(r#"{"cap":5.0}"#).unwrap().cap, Some(5));
    }

    #[test]
    fn what_follows_the_value_and_what_is_no_value_is_refused_and_json_is_not_called_anything_else() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for (body, reason) in [
            (
                "{}\n{}",
                "the body goes on after the end of the JSON value, at line 2 column 1: send one value",
            ),
            ("{} x", "the body goes on after the end"),
            ("{},", "the body goes on after the end"),
            ("{}\u{0}", "the body goes on after the end"),
            ("", "the body is empty"),
            ("\u{feff}", "the body is empty"),
            ("{\"lead\":", "the body breaks off at line 1 column 8"),
            ("lead=7", "the body is not JSON"),
            ("{'lead':7}", "the body is no valid JSON"),
            (r#"{"lead":"\ud83d"}"#, "the text at line 1 column"),
            (r#"{"cap":1e999}"#, "the number that ends at line 1 column"),
            (&deep, "the body is nested more than 127 levels deep"),
        ] {
            let error = asked(body).unwrap_err();
            assert!(error.starts_with(&format!("400 {reason}")), "{body:?}: {error}");
        }
        for body in [&b"\xff\xfe{\0}\0"[..], b"{\"lead\":\"\xe9\"}"] {
            assert_eq!(read::<Asked>(body).unwrap_err().status().as_u16(), 400);
        }
    }

    #[test]
    fn a_parameter_of_a_query_is_told_as_a_field_is() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Page {
            after: Option<String>,
            limit: Option<u32>,
            #[serde(default)]
            dry_run: bool,
        }
        let page: Page = read_query("after=%2B1415&limit=50&dry_run=true").unwrap();
        assert_eq!((page.after.as_deref(), page.limit, page.dry_run), (Some("+1415"), Some(50), true));
        for (query, reason) in [
            ("limit=many", "limit: must be a whole number, 0 or more, not another text"),
            ("limit=-1", "limit: must be a whole number, 0 or more, not -1"),
            ("dry_run=1", "dry_run: must be true or false, not another text"),
            ("limit=1&limit=2", "limit: is there more than once"),
            ("limmit=1", "limmit: is not known here"),
        ] {
            assert_eq!(read_query::<Page>(query).unwrap_err().to_string(), reason, "{query}");
        }
    }

    #[test]
    fn bodies_that_say_the_same_have_one_spelling_and_others_have_not() {
        let same = |one: &str, other: &str| {
            canonical(one.as_bytes()).is_some() && canonical(one.as_bytes()) == canonical(other.as_bytes())
        };
        for (one, other) in [
            (r#"{"a":1,"b":[true,null]}"#, "\u{feff}{ \"b\" : [true, null],\n\"a\" : 1.0 }"),
            (r#"{"a":1000}"#, r#"{"a":1e3}"#),
            (r#"{"a":0.1}"#, r#"{"a":1.0E-1}"#),
            (r#"{"a":0}"#, r#"{"a":-0.0}"#),
            (r#"{"a":"é/"}"#, r#"{"a":"\u00e9\/"}"#),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
        for (one, other) in [
            (r#"{"a":1}"#, r#"{"a":"1"}"#),
            (r#"{"a":1}"#, r#"{"a":2}"#),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#),
            (r#"{"a":null}"#, "{}"),
            (r#"{"a":123456789012345678}"#, r#"{"a":123456789012345679}"#),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
        for bytes in [
            r#"{"a":12345678901234567890123}"#,
            r#"{"a":0.10000000000000000001}"#,
            r#"{"a":1,"a":2}"#,
            "phone,lead\n",
        ] {
            assert_eq!(canonical(bytes.as_bytes()), None, "{bytes}");
        }
        assert!(canonical(br#"{"a":"12345678901234567890123"}"#).is_some(), "digits of a text are no number");
    }
}
