//! `infra/template.yaml`, as far as it decides what runs: tables, queues, buses, functions and what triggers them.
//!
//! Parameters have their defaults. References become the names that the local stack uses. Resources that only matter in an
//! account (log groups, alarms, roles) are known and left alone; a resource of any other type is an error, because what is
//! not wired here would exist on AWS only. So is a condition anywhere but in what is left alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};
use serde_norway::Value as Yaml;

/// Resources that change nothing of what runs on one machine.
const INERT: [&str; 9] = [
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Events::Archive",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Role",
    "AWS::Logs::LogGroup",
    "AWS::Logs::MetricFilter",
    "AWS::SQS::QueuePolicy",
    "AWS::Serverless::HttpApi",
];

/// What only a FIFO queue has.
const FIFO_ONLY: [&str; 3] = ["FifoQueue", "ContentBasedDeduplication", "FifoThroughputLimit"];

const REGION: &str = "us-east-1";
const ACCOUNT: &str = "000000000000";

/// What the template says, in the order of the logical ids.
#[derive(Debug, Clone, Default)]
pub struct Template {
    /// The tables.
    pub tables: Vec<Table>,
    /// The queues.
    pub queues: Vec<Queue>,
    /// The names of the event buses.
    pub buses: Vec<String>,
    /// The functions.
    pub functions: Vec<Function>,
}

/// A DynamoDB table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name: the logical id.
    pub name: String,
    /// What `CreateTable` takes.
    pub definition: Value,
}

/// An SQS queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its name: the logical id.
    pub name: String,
    /// How long a message that was received stays hidden.
    pub visibility_timeout: Duration,
    /// How long a message is held back at first.
    pub delay: Duration,
    /// Where messages go that fail.
    pub redrive: Option<Redrive>,
}

/// Where messages go that fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// The dead-letter queue.
    pub queue_name: String,
    /// After this many receives.
    pub max_receive_count: u32,
}

/// A Lambda function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The logical id.
    pub name: String,
    /// Its variables. A dynamic reference (`{{resolve:...}}`) stays as it is written.
    pub environment: BTreeMap<String, String>,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// What triggers it.
    pub triggers: Vec<Trigger>,
}

/// What triggers a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// A request of the HTTP API.
    Http {
        /// `GET`, `POST`, ...
        method: String,
        /// `/v1/assignments/{id}`.
        path: String,
    },
    /// Any other request of the HTTP API: an event without `Method` and `Path`, the API's route `$default`.
    HttpDefault,
    /// Messages of a queue.
    Queue {
        /// The queue's name.
        queue: String,
        /// At most this many in one invocation.
        batch_size: u32,
        /// At most this many invocations at once.
        concurrency: u32,
    },
    /// Changes of a table.
    Stream {
        /// The table's name.
        table: String,
        /// At most this many in one invocation.
        batch_size: u32,
        /// Which records the function sees: any that matches one of these patterns; all, when there is none.
        patterns: Vec<Value>,
    },
    /// The clock.
    Schedule {
        /// Every so often.
        every: Duration,
    },
}

/// The template cannot be run.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct TemplateError {
    place: String,
    problem: String,
}

fn wrong(place: impl Into<String>, problem: impl Into<String>) -> TemplateError {
    TemplateError { place: place.into(), problem: problem.into() }
}

/// The URL under which functions know the queue.
pub(crate) fn queue_url(name: &str) -> String {
    format!("http://local.invalid/{ACCOUNT}/{name}")
}

/// The ARN of the queue.
pub(crate) fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

fn table_arn(name: &str) -> String {
    format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}")
}

impl Template {
    /// Reads the template in a file.
    ///
    /// # Errors
    /// When it cannot be read or run; the error names the resource.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| anyhow::anyhow!("failed to read {}: {error}", file.display()))?;
        Ok(Self::parse(&text)?)
    }

    /// Reads a template.
    ///
    /// # Errors
    /// When it cannot be read or run; the error names the resource.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let yaml: Yaml =
            serde_norway::from_str(text).map_err(|error| wrong("template", error.to_string()))?;
        let document = Document::new(&yaml)?;
        let mut template = Self::default();
        for (name, resource) in &document.resources {
            let kind = resource.get("Type").and_then(Yaml::as_str).unwrap_or_default();
            let properties = resource.get("Properties");
            match kind {
                kind if INERT.contains(&kind) => {}
                _ if resource.get("Condition").is_some() => {
                    return Err(wrong(*name, "has a Condition: the local stack knows none"));
                }
                "AWS::DynamoDB::Table" => template.tables.push(document.table(name, properties)?),
                "AWS::SQS::Queue" => template.queues.push(document.queue(name, properties)?),
                "AWS::Events::EventBus" => template.buses.push((*name).to_owned()),
                "AWS::Serverless::Function" => template.functions.push(document.function(name, properties)?),
                "" => return Err(wrong(*name, "has no Type")),
                kind => return Err(wrong(*name, format!("the local stack does not know {kind}"))),
            }
        }
        Ok(template)
    }
}

struct Document<'a> {
    /// Their defaults; none for one that has to be given.
    parameters: BTreeMap<&'a str, Option<String>>,
    resources: BTreeMap<&'a str, &'a Yaml>,
    globals: Option<&'a Yaml>,
}

fn section<'a>(yaml: &'a Yaml, name: &str) -> BTreeMap<&'a str, &'a Yaml> {
    let mapping = yaml.get(name).and_then(Yaml::as_mapping);
    mapping.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str()?, value))).collect()
}

impl<'a> Document<'a> {
    fn new(yaml: &'a Yaml) -> Result<Self, TemplateError> {
        let resources = section(yaml, "Resources");
        if resources.is_empty() {
            return Err(wrong("Resources", "is missing or empty"));
        }
        let parameters = section(yaml, "Parameters")
            .into_iter()
            .map(|(name, parameter)| (name, parameter.get("Default").and_then(scalar)));
        Ok(Self {
            parameters: parameters.collect(),
            globals: yaml.get("Globals").and_then(|globals| globals.get("Function")),
            resources,
        })
    }

    fn table(&self, name: &str, properties: Option<&Yaml>) -> Result<Table, TemplateError> {
        let properties = self.resolved(name, properties)?;
        let mut definition = Map::from_iter([("TableName".to_owned(), json!(name))]);
        definition.insert("BillingMode".to_owned(), json!("PAY_PER_REQUEST"));
        for required in ["AttributeDefinitions", "KeySchema"] {
            let value =
                properties.get(required).ok_or_else(|| wrong(name, format!("{required} is missing")))?;
            definition.insert(required.to_owned(), value.clone());
        }
        for optional in ["LocalSecondaryIndexes", "GlobalSecondaryIndexes"] {
            if let Some(value) = properties.get(optional) {
                definition.insert(optional.to_owned(), value.clone());
            }
        }
        if let Some(view) =
            properties.get("StreamSpecification").and_then(|stream| stream.get("StreamViewType"))
        {
            let stream = json!({ "StreamEnabled": true, "StreamViewType": view });
            definition.insert("StreamSpecification".to_owned(), stream);
        }
        Ok(Table { name: name.to_owned(), definition: Value::Object(definition) })
    }

    fn queue(&self, name: &str, properties: Option<&Yaml>) -> Result<Queue, TemplateError> {
        let properties = self.resolved(name, properties)?;
        let place = format!("queue {name}");
        if let Some(fifo) = FIFO_ONLY.iter().find(|property| properties.get(**property).is_some()) {
            return Err(wrong(place, format!("{fifo}: the local stack has no FIFO queues")));
        }
        let seconds = |property: &str, default: u64| {
            count(&properties, property, &place)?.map_or(Ok(default), Ok).map(Duration::from_secs)
        };
        let redrive = match properties.get("RedrivePolicy") {
            None => None,
            Some(policy) => {
                let place = || format!("queue {name}: RedrivePolicy");
                let target = policy.get("deadLetterTargetArn").and_then(Value::as_str);
                let target = target.ok_or_else(|| wrong(place(), "deadLetterTargetArn is missing"))?;
                let count = count(policy, "maxReceiveCount", &place())?;
                let count = count.ok_or_else(|| wrong(place(), "maxReceiveCount is missing"))?;
                Some(Redrive {
                    queue_name: self.named_by_arn(target, "AWS::SQS::Queue", &place())?,
                    max_receive_count: u32::try_from(count).unwrap_or(u32::MAX),
                })
            }
        };
        Ok(Queue {
            name: name.to_owned(),
            visibility_timeout: seconds("VisibilityTimeout", 30)?,
            delay: seconds("DelaySeconds", 0)?,
            redrive,
        })
    }

    fn function(&self, name: &str, properties: Option<&Yaml>) -> Result<Function, TemplateError> {
        let place = format!("function {name}");
        let mut environment = BTreeMap::new();
        for source in [self.globals, properties] {
            let variables =
                source.and_then(|source| source.get("Environment")).and_then(|it| it.get("Variables"));
            let Some(variables) = variables else { continue };
            let resolved = self.value(&format!("{place}: Environment"), variables)?;
            for (variable, value) in resolved.as_object().into_iter().flatten() {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                environment.insert(variable.clone(), text);
            }
        }
        let own_timeout = properties.and_then(|properties| properties.get("Timeout"));
        let timeout = own_timeout.or_else(|| self.globals.and_then(|globals| globals.get("Timeout")));
        let timeout = timeout.map(|timeout| self.value(&place, timeout)).transpose()?;
        let timeout =
            count(&json!({ "Timeout": timeout.unwrap_or(json!(3)) }), "Timeout", &place)?.unwrap_or(3);
        let mut triggers = Vec::new();
        let events = properties.map(|properties| section(properties, "Events")).unwrap_or_default();
        for (event, definition) in events {
            triggers.push(self.trigger(&format!("{place}: event {event}"), definition)?);
        }
        Ok(Function { name: name.to_owned(), environment, timeout: Duration::from_secs(timeout), triggers })
    }

    fn trigger(&self, place: &str, definition: &Yaml) -> Result<Trigger, TemplateError> {
        let kind = definition.get("Type").and_then(Yaml::as_str).unwrap_or_default();
        let properties = self.resolved(place, definition.get("Properties"))?;
        let text = |property: &str| {
            let value = properties.get(property).and_then(Value::as_str);
            value.ok_or_else(|| wrong(place, format!("{property} is missing"))).map(str::to_owned)
        };
        let count = |properties: &Value, property: &str, default: u32| {
            let given = count(properties, property, place)?;
            given
                .map_or(Ok(default), u32::try_from)
                .map_err(|error| wrong(place, format!("{property}: {error}")))
        };
        match kind {
            "HttpApi" if properties.get("Method").or(properties.get("Path")).is_none() => {
                Ok(Trigger::HttpDefault)
            }
            "HttpApi" => Ok(Trigger::Http { method: text("Method")?.to_uppercase(), path: text("Path")? }),
            "SQS" => {
                let partial = properties.get("FunctionResponseTypes").and_then(Value::as_array);
                if !partial.is_some_and(|types| types.contains(&json!("ReportBatchItemFailures"))) {
                    return Err(wrong(place, "FunctionResponseTypes must have ReportBatchItemFailures"));
                }
                let scaling = properties.get("ScalingConfig");
                Ok(Trigger::Queue {
                    queue: self.named_by_arn(&text("Queue")?, "AWS::SQS::Queue", place)?,
                    batch_size: count(&properties, "BatchSize", 10)?,
                    concurrency: scaling
                        .map_or(Ok(10), |scaling| count(scaling, "MaximumConcurrency", 10))?,
                })
            }
            "DynamoDB" => {
                let filters = properties.get("FilterCriteria").and_then(|criteria| criteria.get("Filters"));
                let patterns = filters.and_then(Value::as_array).into_iter().flatten().map(|filter| {
                    let pattern = filter.get("Pattern").and_then(Value::as_str).unwrap_or_default();
                    serde_json::from_str(pattern)
                        .map_err(|error| wrong(place, format!("FilterCriteria: {error}")))
                });
                Ok(Trigger::Stream {
                    table: self.named_by_arn(&text("Stream")?, "AWS::DynamoDB::Table", place)?,
                    batch_size: count(&properties, "BatchSize", 100)?,
                    patterns: patterns.collect::<Result<_, _>>()?,
                })
            }
            "Schedule" | "ScheduleV2" => {
                let expression = properties.get("ScheduleExpression").or_else(|| properties.get("Schedule"));
                let expression = expression.and_then(Value::as_str).unwrap_or_default();
                let every = rate(expression)
                    .ok_or_else(|| wrong(place, format!("schedule `{expression}` is not rate(N minutes)")))?;
                Ok(Trigger::Schedule { every })
            }
            kind => Err(wrong(place, format!("the local stack does not know events of type `{kind}`"))),
        }
    }

    /// The resource that an ARN, as made by [`Document::attribute`], is of.
    fn named_by_arn(&self, arn: &str, kind: &str, place: &str) -> Result<String, TemplateError> {
        let tail = arn.rsplit(':').next().unwrap_or(arn);
        let name = tail.strip_prefix("table/").unwrap_or(tail).split('/').next().unwrap_or(tail);
        let resource = self.resources.get(name);
        match resource.and_then(|resource| resource.get("Type")).and_then(Yaml::as_str) {
            Some(found) if found == kind => Ok(name.to_owned()),
            _ => Err(wrong(place, format!("`{arn}` is no {kind} of the template"))),
        }
    }

    fn resolved(&self, place: &str, properties: Option<&Yaml>) -> Result<Value, TemplateError> {
        properties.map_or_else(|| Ok(json!({})), |properties| self.value(place, properties))
    }

    /// The value with every intrinsic function carried out.
    fn value(&self, place: &str, yaml: &Yaml) -> Result<Value, TemplateError> {
        match yaml {
            Yaml::Null => Ok(Value::Null),
            Yaml::Bool(flag) => Ok(json!(flag)),
            Yaml::Number(number) => {
                serde_json::to_value(number).map_err(|error| wrong(place, error.to_string()))
            }
            Yaml::String(text) => Ok(json!(text)),
            Yaml::Sequence(items) => {
                items.iter().map(|item| self.value(place, item)).collect::<Result<_, _>>().map(Value::Array)
            }
            Yaml::Tagged(tagged) => {
                let tag = tagged.tag.to_string();
                self.intrinsic(place, tag.trim_start_matches('!'), &tagged.value)
            }
            Yaml::Mapping(mapping) => {
                if let Some((key, argument)) = mapping.iter().next().filter(|_| mapping.len() == 1) {
                    let name = key.as_str().unwrap_or_default();
                    if name == "Ref" {
                        return self.intrinsic(place, name, argument);
                    }
                    if let Some(function) = name.strip_prefix("Fn::") {
                        return self.intrinsic(place, function, argument);
                    }
                }
                let mut object = Map::new();
                for (key, value) in mapping {
                    object.insert(scalar(key).unwrap_or_default(), self.value(place, value)?);
                }
                Ok(Value::Object(object))
            }
        }
    }

    fn intrinsic(&self, place: &str, function: &str, argument: &Yaml) -> Result<Value, TemplateError> {
        match (function, argument) {
            ("Ref", Yaml::String(name)) => self.reference(place, name),
            ("GetAtt", Yaml::String(path)) => {
                let (name, attribute) = path.split_once('.').unwrap_or((path, ""));
                self.attribute(place, name, attribute)
            }
            ("GetAtt", Yaml::Sequence(path)) => {
                let part = |index: usize| path.get(index).and_then(Yaml::as_str).unwrap_or_default();
                self.attribute(place, part(0), part(1))
            }
            ("Sub", Yaml::String(text)) => self.substitute(place, text, None),
            ("Sub", Yaml::Sequence(parts)) => {
                let text = parts.first().and_then(Yaml::as_str).unwrap_or_default();
                self.substitute(place, text, parts.get(1))
            }
            (function, _) => Err(wrong(place, format!("the local stack cannot carry out !{function} here"))),
        }
    }

    fn reference(&self, place: &str, name: &str) -> Result<Value, TemplateError> {
        if let Some(parameter) = self.parameters.get(name) {
            let value =
                parameter.as_ref().ok_or_else(|| wrong(place, format!("parameter {name} has no Default")))?;
            return Ok(json!(value));
        }
        match name {
            "AWS::Region" => return Ok(json!(REGION)),
            "AWS::AccountId" => return Ok(json!(ACCOUNT)),
            "AWS::Partition" => return Ok(json!("aws")),
            "AWS::URLSuffix" => return Ok(json!("local.invalid")),
            "AWS::StackName" => return Ok(json!("dialpool")),
            _ => {}
        }
        let resource = self.resources.get(name);
        let resource = resource.ok_or_else(|| wrong(place, format!("{name} is not in the template")))?;
        Ok(match resource.get("Type").and_then(Yaml::as_str) {
            Some("AWS::SQS::Queue") => json!(queue_url(name)),
            _ => json!(name),
        })
    }

    fn attribute(&self, place: &str, name: &str, attribute: &str) -> Result<Value, TemplateError> {
        let resource = self.resources.get(name);
        let resource = resource.ok_or_else(|| wrong(place, format!("{name} is not in the template")))?;
        let kind = resource.get("Type").and_then(Yaml::as_str).unwrap_or_default();
        match (kind, attribute) {
            ("AWS::SQS::Queue", "Arn") => Ok(json!(queue_arn(name))),
            ("AWS::SQS::Queue", "QueueName") | ("AWS::Events::EventBus", "Name") => Ok(json!(name)),
            ("AWS::DynamoDB::Table", "Arn") => Ok(json!(table_arn(name))),
            ("AWS::DynamoDB::Table", "StreamArn") => Ok(json!(format!("{}/stream/local", table_arn(name)))),
            (_, "Arn") => Ok(json!(format!("arn:aws:local:{REGION}:{ACCOUNT}:{name}"))),
            _ => Err(wrong(place, format!("the local stack does not know {name}.{attribute}"))),
        }
    }

    fn substitute(&self, place: &str, text: &str, own: Option<&Yaml>) -> Result<Value, TemplateError> {
        let mut parts = text.split("${");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) =
                part.split_once('}').ok_or_else(|| wrong(place, format!("`{text}` has ${{ without }}")))?;
            let value =
                match (own.and_then(|own| own.get(name)), name.strip_prefix('!'), name.split_once('.')) {
                    (Some(own), _, _) => self.value(place, own)?,
                    (None, Some(literal), _) => json!(format!("${{{literal}}}")),
                    (None, None, Some((resource, attribute))) => {
                        self.attribute(place, resource, attribute)?
                    }
                    (None, None, None) => self.reference(place, name)?,
                };
            out.push_str(value.as_str().unwrap_or_default());
            out.push_str(rest);
        }
        Ok(json!(out))
    }
}

fn scalar(yaml: &Yaml) -> Option<String> {
    match yaml {
        Yaml::String(text) => Some(text.clone()),
        Yaml::Number(number) => Some(number.to_string()),
        Yaml::Bool(flag) => Some(flag.to_string()),
        Yaml::Null | Yaml::Sequence(_) | Yaml::Mapping(_) | Yaml::Tagged(_) => None,
    }
}

/// A number that may be absent.
fn count(properties: &Value, property: &str, place: &str) -> Result<Option<u64>, TemplateError> {
    let Some(value) = properties.get(property) else {
        return Ok(None);
    };
    number(value).map(Some).ok_or_else(|| wrong(place, format!("{property}: {value} is not a number")))
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Whether `record` matches an event pattern: fields by name, values by equality or `prefix`.
pub(crate) fn matches(pattern: &Value, record: &Value) -> bool {
    match pattern {
        Value::Object(fields) => fields.iter().all(|(name, pattern)| matches(pattern, &record[name])),
        Value::Array(alternatives) => {
            alternatives.iter().any(|alternative| match alternative["prefix"].as_str() {
                Some(prefix) => record.as_str().is_some_and(|text| text.starts_with(prefix)),
                None => alternative == record,
            })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => pattern == record,
    }
}

/// The time between two runs of `rate(5 minutes)`.
fn rate(expression: &str) -> Option<Duration> {
    let (count, unit) = expression.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?;
    let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
    match unit.trim_end_matches('s') {
        "minute" => Some(Duration::from_mins(count)),
        "hour" => Some(Duration::from_hours(count)),
        _ => None,
    }
}

impl Table {
    /// What is different about a table that is there, as `DescribeTable` tells of it.
    pub(crate) fn difference_from(&self, found: &Value) -> Option<String> {
        for part in ["KeySchema", "LocalSecondaryIndexes", "GlobalSecondaryIndexes"] {
            if shape(&self.definition[part]) != shape(&found[part]) {
                return Some(format!("{part} differs"));
            }
        }
        None
    }
}

/// The names, keys and projections of a list of indexes or keys, in a fixed order.
fn shape(value: &Value) -> Vec<String> {
    let mut shape: Vec<String> = value
        .as_array()
        .into_iter()
        .flatten()
        .map(|part| {
            let mut projected: Vec<&str> = part["Projection"]["NonKeyAttributes"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            projected.sort_unstable();
            let (name, kind) = (&part["IndexName"], &part["Projection"]["ProjectionType"]);
            format!(
                "{name} {kind} {projected:?} {} {} {}",
                part["KeySchema"], part["AttributeName"], part["KeyType"]
            )
        })
        .collect();
    shape.sort();
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r"
Parameters:
  Stage: { Type: String, Default: dev }
Globals:
  Function:
    Timeout: 30
    Environment: { Variables: { RUST_LOG: info } }
Resources:
  Dead: { Type: AWS::SQS::Queue }
  Jobs:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 180
      RedrivePolicy: { deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 5 }
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Environment:
        Variables:
          JOBS: !Ref Jobs
          NAME: !Sub '${AWS::StackName}-${Stage}-${Jobs.QueueName}'
          SECRET: !Sub '{{resolve:secretsmanager:dialpool/${Stage}:SecretString:key}}'
      Events:
        Jobs:
          Type: SQS
          Properties:
            Queue: !GetAtt Jobs.Arn
            BatchSize: 5
            FunctionResponseTypes: [ReportBatchItemFailures]
            ScalingConfig: { MaximumConcurrency: 20 }
        Tick: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(5 minutes) } }
        Api: { Type: HttpApi, Properties: { Method: post, Path: '/v1/x/{id}' } }
        Others: { Type: HttpApi, Properties: { ApiId: api } }
";

    #[test]
    fn a_function_has_the_triggers_and_variables_that_the_template_gives_it() {
        let template = Template::parse(WHOLE).unwrap();
        let worker = &template.functions[0];
        assert_eq!(worker.timeout, Duration::from_secs(30));
        assert_eq!(worker.environment["JOBS"], queue_url("Jobs"));
        assert_eq!(worker.environment["NAME"], "dialpool-dev-Jobs");
        assert_eq!(worker.environment["SECRET"], "{{resolve:secretsmanager:dialpool/dev:SecretString:key}}");
        assert_eq!(
            worker.triggers,
            [
                Trigger::Http { method: "POST".to_owned(), path: "/v1/x/{id}".to_owned() },
                Trigger::Queue { queue: "Jobs".to_owned(), batch_size: 5, concurrency: 20 },
                Trigger::HttpDefault,
                Trigger::Schedule { every: Duration::from_mins(5) },
            ]
        );
        let jobs = template.queues.iter().find(|queue| queue.name == "Jobs").unwrap();
        assert_eq!(jobs.redrive, Some(Redrive { queue_name: "Dead".to_owned(), max_receive_count: 5 }));
    }

    #[test]
    fn what_is_missing_from_the_template_or_not_known_is_named_with_who_needs_it() {
        let cases = [
            ("  Dead: { Type: AWS::SQS::Queue }\n", "", "Dead is not in the template"),
            (
                "            Queue: !GetAtt Jobs.Arn\n",
                "            Queue: !GetAtt Gone.Arn\n",
                "function Worker: event Jobs",
            ),
            (
                "          JOBS: !Ref Jobs\n",
                "          JOBS: !Ref Gone\n",
                "function Worker: Environment: Gone",
            ),
            (
                "          JOBS: !Ref Jobs\n",
                "          JOBS: !If [IsProd, big, small]\n",
                "function Worker: Environment: the local stack cannot carry out !If",
            ),
            (
                "  Dead: { Type: AWS::SQS::Queue }",
                "  Dead: { Type: AWS::SQS::Queue, Condition: IsProd }",
                "Dead: has a Condition",
            ),
            ("Method: post, Path", "Path", "event Api: Method is missing"),
            ("rate(5 minutes)", "cron(0 9 * * ? *)", "event Tick: schedule"),
            ("            FunctionResponseTypes: [ReportBatchItemFailures]\n", "", "ReportBatchItemFailures"),
            (
                "  Dead: { Type: AWS::SQS::Queue }",
                "  Dead: { Type: AWS::SNS::Topic }",
                "Dead: the local stack does not know",
            ),
        ];
        for (text, instead, expected) in cases {
            let error = Template::parse(&WHOLE.replace(text, instead)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
