//! Answers, read as strictly as any client may read them.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The JSON of an answer; `null` when it is none.
///
/// # Panics
/// When an object of it has a key twice: clients take the first, the last, or refuse it.
pub(crate) fn json(body: &[u8]) -> Value {
    match serde_json::from_slice(body) {
        Ok(Strict(value)) => value,
        Err(error) if error.is_data() => panic!("{error}: {}", String::from_utf8_lossy(body)),
        Err(_) => Value::Null,
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(truth.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            let value = object.next_value_seed(Self)?;
            if fields.contains_key(&name) {
                return Err(Error::custom(format!("the key {name} is there twice")));
            }
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn an_answer_is_read_as_it_is() {
        let value = json!({ "a": [1, -2, 0.5, "x", true, null], "b": {} });
        assert_eq!(super::json(value.to_string().as_bytes()), value);
        assert_eq!(super::json(b"phone,lead\n"), serde_json::Value::Null);
    }

    #[test]
    #[should_panic(expected = "the key voicemail is there twice")]
    fn an_answer_with_a_key_twice_is_refused_however_deep_it_is() {
        super::json(br#"{"campaigns":[{"voicemail":"skip","voicemail":0}]}"#);
    }
}
