//! Assistants: what speaks to the people who are called, configured at the provider, owned by one company here.
//!
//! A configuration is the provider's JSON, as it is sent. Its top level is what can be changed: the provider replaces the
//! fields that it is sent and keeps the others, so a field can be changed, but never taken away. What Dialpool says itself is no part of
//! it: the name, the server (each call names it), and, in the metadata, whose the assistant is.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::time::Duration;
use crate::{AssistantId, CampaignId, CompanyId, Timestamp};

/// The field of a configuration's `metadata` in which we say whose the assistant is.
pub const MARK: &str = "dialpool";

/// The longest name, in characters: the provider's limit.
const LONGEST_NAME: usize = 40;

/// A configuration is part of an item, which has 400 KB at most, at times together with the next one.
const LONGEST_CONFIGURATION_BYTES: usize = 128 * 1024;

/// An update that was not finished by then never will be: whoever made it is gone. Longer than a function runs.
pub const UPDATE_WITHIN: Duration = Duration::from_secs(60);

/// Fields that are not the company's to set, and why.
const NOT_TO_SET: [(&str, &str); 9] = [
    ("id", "is given by the provider"),
    ("orgId", "is given by the provider"),
    ("createdAt", "is given by the provider"),
    ("updatedAt", "is given by the provider"),
    ("latestVersion", "is given by the provider"),
    ("isServerUrlSecretSet", "is given by the provider"),
    ("name", "is given beside the configuration"),
    ("server", "is given with each call"),
    (
        "credentials",
        "is for secrets, which are not kept here: make them at the provider and name them in credentialIds",
    ),
];

/// A name for people: 1 to 40 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AssistantName(String);

/// The name is empty or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is 1 to {LONGEST_NAME} characters")]
pub struct InvalidName;

impl AssistantName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AssistantName {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        let trimmed = name.trim();
        if (1..=LONGEST_NAME).contains(&trimmed.chars().count()) {
            Ok(Self(trimmed.to_owned()))
        } else {
            Err(InvalidName)
        }
    }
}

impl From<AssistantName> for String {
    fn from(name: AssistantName) -> Self {
        name.0
    }
}

impl fmt::Display for AssistantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How an assistant speaks, listens and thinks: the provider's JSON without what is not the company's to set.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Configuration(Map<String, Value>);

/// The configuration cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfiguration {
    /// It has a field that is not the company's to set.
    #[error("{field} {reason}")]
    NotToSet {
        /// The field.
        field: String,
        /// Why not.
        reason: &'static str,
    },
    /// It is too long to be kept.
    #[error("has more than {LONGEST_CONFIGURATION_BYTES} bytes")]
    TooLong,
    /// It says nothing.
    #[error("has no field")]
    Empty,
}

impl Configuration {
    /// The configuration that a company gives.
    ///
    /// # Errors
    /// When it has a field that is not the company's to set, or none, or is too long.
    pub fn given(fields: Map<String, Value>) -> Result<Self, InvalidConfiguration> {
        if let Some((field, reason)) = NOT_TO_SET.iter().find(|(field, _)| fields.contains_key(*field)) {
            return Err(InvalidConfiguration::NotToSet { field: (*field).to_owned(), reason });
        }
        if fields.get("metadata").is_some_and(|metadata| metadata.get(MARK).is_some()) {
            let field = format!("metadata.{MARK}");
            return Err(InvalidConfiguration::NotToSet { field, reason: "says whose the assistant is" });
        }
        if fields.is_empty() {
            return Err(InvalidConfiguration::Empty);
        }
        Self(fields).that_can_be_kept()
    }

    /// What of an assistant at the provider is the company's to set.
    pub fn of_provider(mut fields: Map<String, Value>) -> Self {
        for (field, _) in NOT_TO_SET {
            fields.remove(field);
        }
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            metadata.remove(MARK);
            if metadata.is_empty() {
                fields.remove("metadata");
            }
        }
        Self(fields)
    }

    /// This, with the fields of `changes` in place of those of the same name.
    ///
    /// # Errors
    /// When the whole is too long.
    pub fn changed_by(&self, changes: &Self) -> Result<Self, InvalidConfiguration> {
        let mut fields = self.0.clone();
        fields.extend(changes.0.clone());
        Self(fields).that_can_be_kept()
    }

    /// This, if it is not too long to be kept.
    ///
    /// # Errors
    /// When it is.
    pub fn that_can_be_kept(self) -> Result<Self, InvalidConfiguration> {
        if self.text().len() <= LONGEST_CONFIGURATION_BYTES {
            Ok(self)
        } else {
            Err(InvalidConfiguration::TooLong)
        }
    }

    /// The fields.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.0
    }

    /// As JSON: the same text for the same configuration.
    pub fn text(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    /// The SHA-256 of that text, in hexadecimal digits.
    pub fn sha256(&self) -> String {
        hex::encode(Sha256::digest(self.text()))
    }

    /// Where the provider has something else than this. What it has beside it are its own defaults.
    pub fn differences(&self, theirs: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        compare_fields("", &self.0, &theirs.0, &mut differences);
        differences
    }
}

impl<'de> Deserialize<'de> for Configuration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Map::deserialize(deserializer)?))
    }
}

/// A place at which a configuration and what the provider has are not the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Where: a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What the company said.
    pub ours: Value,
    /// What the provider has; null: nothing.
    pub theirs: Value,
}

fn compare_fields(
    pointer: &str,
    ours: &Map<String, Value>,
    theirs: &Map<String, Value>,
    differences: &mut Vec<Difference>,
) {
    for (name, ours) in ours {
        let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        compare(&pointer, ours, theirs.get(name).unwrap_or(&Value::Null), differences);
    }
}

fn compare(pointer: &str, ours: &Value, theirs: &Value, differences: &mut Vec<Difference>) {
    let same = match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            return compare_fields(pointer, ours, theirs, differences);
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (place, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                compare(&format!("{pointer}/{place}"), ours, theirs, differences);
            }
            return;
        }
        // The provider writes 1.0 as 1.
        (Value::Number(ours), Value::Number(theirs)) => ours == theirs || ours.as_f64() == theirs.as_f64(),
        (ours, theirs) => ours == theirs,
    };
    if !same {
        let (pointer, ours, theirs) = (pointer.to_owned(), ours.clone(), theirs.clone());
        differences.push(Difference { pointer, ours, theirs });
    }
}

/// What an assistant was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Origin {
    /// The company's own configuration.
    Created,
    /// It was at the provider before.
    Imported,
    /// A stock template.
    Template {
        /// Which one.
        template: String,
    },
    /// Another assistant of the company.
    Clone {
        /// Which one.
        assistant_id: AssistantId,
    },
}

/// The mark that an assistant bears at the provider.
///
/// It is how an assistant, or a change of it, is known again of which the provider did not say whether it took it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Whose it is.
    pub company: CompanyId,
    /// The company's record of it.
    pub assistant_id: AssistantId,
    /// The request that made it what it is: each has another.
    pub request: String,
}

/// A change of an assistant of which it is not known yet whether the provider took it.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingUpdate {
    /// Which request it is.
    pub request: String,
    /// The name from then on.
    pub name: AssistantName,
    /// The whole configuration from then on.
    pub configuration: Configuration,
    /// Until then whoever makes it may be at work.
    pub until: Timestamp,
}

/// A company's record of an assistant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Assistant {
    /// Its id.
    pub id: AssistantId,
    /// The tenant.
    pub company: CompanyId,
    /// A name for people, which the provider has, too.
    pub name: AssistantName,
    /// Its id at the provider.
    pub provider_id: String,
    /// The present version of its configuration, from 1.
    pub version: u64,
    /// SHA-256 of that, in hexadecimal digits.
    pub sha256: String,
    /// What it was made from.
    pub origin: Origin,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its present version was made.
    pub updated_at: Timestamp,
    /// Campaigns that will use it, with their names: they are made and have not begun.
    pub planned_by: BTreeMap<CampaignId, String>,
    /// Campaigns that use it, with their names: running or paused. While there is one it stays as it is.
    pub pinned_by: BTreeMap<CampaignId, String>,
    /// A change that is under way, or was broken off.
    #[serde(skip)]
    pub update: Option<PendingUpdate>,
}

/// A version of an assistant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AssistantVersion {
    /// Which one, from 1.
    pub version: u64,
    /// The name then.
    pub name: AssistantName,
    /// The configuration then.
    pub configuration: Configuration,
    /// SHA-256 of that, in hexadecimal digits.
    pub sha256: String,
    /// Since when.
    pub at: Timestamp,
    /// Who made it.
    pub actor: String,
}

/// Which assistant a campaign uses, and which version of it speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssistantUse {
    /// The assistant.
    pub id: AssistantId,
    /// The version when the campaign began, or else when it was made.
    pub version: u64,
}

/// A configuration to begin with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Template {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What it is for.
    pub purpose: String,
    /// The configuration; `{company}` stands for the company's name.
    pub configuration: Configuration,
}

const TEMPLATES: [&str; 3] = [
    include_str!("../templates/lead-qualifier.json"),
    include_str!("../templates/appointment-setter.json"),
    include_str!("../templates/no-show-follow-up.json"),
];

/// The stock templates. They are part of the program: nobody changes or deletes them.
pub fn templates() -> &'static [Template] {
    static READ: LazyLock<Vec<Template>> = LazyLock::new(|| {
        let read = |text: &&str| serde_json::from_str(text).expect("a test reads every template");
        TEMPLATES.iter().map(read).collect()
    });
    &READ
}

impl Template {
    /// The template of that id.
    pub fn named(id: &str) -> Option<&'static Self> {
        templates().iter().find(|template| template.id == id)
    }

    /// The configuration for a company of that name.
    pub fn configuration_for(&self, company: &str) -> Configuration {
        fn filled(value: &Value, company: &str) -> Value {
            match value {
                Value::String(text) => Value::String(text.replace("{company}", company)),
                Value::Array(values) => values.iter().map(|value| filled(value, company)).collect(),
                Value::Object(fields) => {
                    let fields = fields.iter().map(|(name, value)| (name.clone(), filled(value, company)));
                    Value::Object(fields.collect())
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
            }
        }
        let fields = self.configuration.0.iter().map(|(name, value)| (name.clone(), filled(value, company)));
        Configuration(fields.collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(fields) => fields,
            value => panic!("{value} is no object"),
        }
    }

    fn pointers(ours: Value, theirs: Value) -> Vec<String> {
        let theirs = Configuration::of_provider(fields(theirs));
        let differences = Configuration::given(fields(ours)).unwrap().differences(&theirs);
        differences.into_iter().map(|difference| difference.pointer).collect()
    }

    #[test]
    fn a_difference_is_named_by_its_pointer_and_what_the_provider_adds_is_none() {
        let ours = json!({
            "model": { "provider": "openai", "temperature": 1.0, "messages": [{ "role": "system", "content": "a" }] },
            "a/b": { "c~d": true }, "endCallPhrases": ["bye"], "firstMessage": null,
        });
        let mut theirs = ours.clone();
        theirs["model"]["temperature"] = json!(1);
        theirs["model"]["maxTokens"] = json!(250);
        theirs["id"] = json!("a-1");
        theirs["backgroundSound"] = json!("off");
        assert_eq!(pointers(ours.clone(), theirs.clone()), Vec::<String>::new());

        theirs["model"]["messages"][0]["content"] = json!("b");
        theirs["a/b"] = json!({});
        theirs["endCallPhrases"] = json!(["bye", "goodbye"]);
        assert_eq!(pointers(ours, theirs), ["/a~1b/c~0d", "/endCallPhrases", "/model/messages/0/content"]);
    }

    #[test]
    fn what_is_not_the_companys_to_set_is_refused_by_name() {
        for (configuration, message) in [
            (json!({ "id": "a-1" }), "id is given by the provider"),
            (json!({ "name": "Anna" }), "name is given beside the configuration"),
            (json!({ "server": { "url": "https://example.com" } }), "server is given with each call"),
            (json!({ "metadata": { "dialpool": {} } }), "metadata.dialpool says whose the assistant is"),
            (json!({ "firstMessage": "a".repeat(200_000) }), "has more than 131072 bytes"),
            (json!({}), "has no field"),
        ] {
            assert_eq!(Configuration::given(fields(configuration)).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn every_template_says_that_it_is_an_ai_and_finds_opt_outs() {
        let ids: Vec<&str> = templates().iter().map(|template| template.id.as_str()).collect();
        assert_eq!(ids, ["lead-qualifier", "appointment-setter", "no-show-follow-up"]);
        for template in templates() {
            let configuration = template.configuration_for("Example Brokers");
            let text = |pointer: &str| {
                let whole = Value::Object(configuration.fields().clone());
                whole.pointer(pointer).cloned().unwrap_or_default()
            };
            let first = text("/firstMessage").as_str().unwrap().to_owned();
            assert!(first.contains("AI assistant of Example Brokers"), "{first}");
            assert!(text("/model/messages/0/content").as_str().unwrap().contains("You are an AI assistant"));
            let plan = "/analysisPlan/structuredDataPlan";
            assert_eq!(text(&format!("{plan}/enabled")), true);
            assert_eq!(text(&format!("{plan}/schema/properties/opted_out/type")), "boolean");
            assert!(!configuration.text().contains("{company}"));
            assert!(Configuration::given(configuration.fields().clone()).is_ok(), "{}", template.id);
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (-3i64..3).prop_map(Value::from),
            "[a-c~/]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[a-c~/]{1,2}", inner, 0..3)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn any_configuration() -> impl Strategy<Value = Configuration> {
        proptest::collection::btree_map("[a-c~/]{1,2}", any_value(), 0..4)
            .prop_map(|fields| Configuration(fields.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn a_configuration_that_was_sent_is_there_whatever_was_there_before(
            ours in any_configuration(),
            before in any_configuration(),
        ) {
            let theirs = before.changed_by(&ours).unwrap();
            prop_assert_eq!(ours.differences(&theirs), Vec::new());
        }

        #[test]
        fn each_difference_points_at_what_both_have(
            ours in any_configuration(),
            theirs in any_configuration(),
        ) {
            let (left, right) = (Value::Object(ours.0.clone()), Value::Object(theirs.0.clone()));
            for Difference { pointer, ours, theirs } in ours.differences(&theirs) {
                prop_assert_eq!(left.pointer(&pointer), Some(&ours));
                prop_assert_eq!(right.pointer(&pointer).unwrap_or(&Value::Null), &theirs);
                prop_assert_ne!(ours, theirs);
            }
        }
    }
}
