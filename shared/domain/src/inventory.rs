//! The inventory: the numbers of the pools, held against the numbers that the provider has.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{CompanyId, PhoneNumber};

/// Who carries the calls of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The voice provider itself.
    Vapi,
    /// Twilio.
    Twilio,
    /// Vonage.
    Vonage,
    /// Telnyx.
    Telnyx,
    /// A carrier that is connected by a SIP trunk of our own, such as SignalWire.
    OwnTrunk,
    /// One that is not known here.
    Other,
}

/// Whether the provider makes calls from a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It does.
    Active,
    /// It will soon.
    Activating,
    /// It does not.
    Blocked,
    /// It says something that is not known here.
    Other,
}

/// A number as the provider has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderNumber {
    /// The provider's id.
    pub id: String,
    /// The number; none: it is reached by another address, or has none yet.
    pub number: Option<PhoneNumber>,
    /// Its name there.
    pub name: Option<String>,
    /// Who carries its calls.
    pub kind: Kind,
    /// Whether calls are made from it.
    pub status: Status,
}

/// A number as a pool has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PooledNumber {
    /// The number.
    pub number: PhoneNumber,
    /// Whose it is.
    pub company: CompanyId,
    /// Its id at the provider, as far as it is known.
    pub provider_id: Option<String>,
}

/// What is wrong with a pooled number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// The provider does not have it: no call can be made from it.
    Missing,
    /// The provider has it, and the pool does not know under which id: it is not dialed from.
    NoProviderId {
        /// The id.
        found: String,
    },
    /// The provider has it under another id than the pool: calls from it fail.
    OtherProviderId {
        /// The id.
        found: String,
    },
    /// The provider does not make calls from it now.
    NotActive {
        /// What the provider says of it.
        status: Status,
    },
}

impl Finding {
    /// Whether no call can be made from the number, whatever is done here.
    pub fn is_dead(&self) -> bool {
        match self {
            Self::Missing | Self::NotActive { status: Status::Blocked } => true,
            Self::NoProviderId { .. } | Self::OtherProviderId { .. } | Self::NotActive { .. } => false,
        }
    }
}

/// A pooled number, and what the provider says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The number.
    pub number: PhoneNumber,
    /// Whose it is.
    pub company: CompanyId,
    /// Its id at the provider, as the pool has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// Who carries its calls; none: the provider does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Whether calls are made from it; none: the provider does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Whether nothing is wrong with it.
    pub healthy: bool,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
}

/// A number that the provider has and no pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unpooled {
    /// The provider's id.
    pub provider_id: String,
    /// The number, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<PhoneNumber>,
    /// Its name there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who carries its calls.
    pub kind: Kind,
    /// Whether calls are made from it.
    pub status: Status,
}

/// The numbers of the pools beside those of the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Inventory {
    /// Every number of the pools, in order.
    pub lines: Vec<Line>,
    /// What the provider has beside them.
    pub unpooled: Vec<Unpooled>,
}

impl Inventory {
    /// Holds the numbers of the pools against those of the provider. Of several that the provider has of one number, the
    /// one that the pool knows counts, or else one that is active.
    pub fn of(pooled: &[PooledNumber], provider: &[ProviderNumber]) -> Self {
        let mut at_provider: BTreeMap<&PhoneNumber, Vec<&ProviderNumber>> = BTreeMap::new();
        for theirs in provider {
            if let Some(number) = &theirs.number {
                at_provider.entry(number).or_default().push(theirs);
            }
        }
        let mut lines: Vec<Line> = pooled
            .iter()
            .map(|ours| {
                let theirs = at_provider.get(&ours.number).map_or(&[][..], Vec::as_slice);
                Line::of(ours, theirs)
            })
            .collect();
        lines.sort_by(|one, other| (&one.number, &one.company).cmp(&(&other.number, &other.company)));
        let in_pools: BTreeSet<&PhoneNumber> = pooled.iter().map(|ours| &ours.number).collect();
        let unpooled =
            provider.iter().filter(|theirs| theirs.number.as_ref().is_none_or(|n| !in_pools.contains(n)));
        let unpooled = unpooled.map(|theirs| Unpooled {
            provider_id: theirs.id.clone(),
            number: theirs.number.clone(),
            name: theirs.name.clone(),
            kind: theirs.kind,
            status: theirs.status,
        });
        Self { lines, unpooled: unpooled.collect() }
    }

    /// The numbers from which no call can be made, whatever is done here.
    pub fn dead(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.findings.iter().any(Finding::is_dead))
    }
}

/// What the provider says of a number that a company claims as its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the company's.
    Confirmed,
    /// It may be: an operator knows.
    Unconfirmed(&'static str),
    /// It is not, as it is claimed.
    Contradicted(&'static str),
}

/// The numbers of the provider's account, for claims to be held against.
///
/// Companies may share the account, so that a number is in it does not say whose it is. A company shows that a number is its
/// own by the provider's id of it, which nobody else is told. Without an id it takes the name that the number has at the
/// provider: the company's id, alone or before a colon (`acme: Boston`). A company that has the account for itself need show
/// nothing.
#[derive(Debug, Clone, Default)]
pub struct Account {
    by_id: BTreeMap<String, Option<PhoneNumber>>,
    names: BTreeMap<PhoneNumber, Vec<Option<String>>>,
}

impl Account {
    /// The account with these numbers: all of them.
    pub fn of(provider: Vec<ProviderNumber>) -> Self {
        let mut account = Self::default();
        for theirs in provider {
            if let Some(number) = &theirs.number {
                account.names.entry(number.clone()).or_default().push(theirs.name);
            }
            account.by_id.insert(theirs.id, theirs.number);
        }
        account
    }

    /// Whether the account says that `number`, under `id` if one is given, is the company's.
    pub fn verdict(
        &self,
        company: &CompanyId,
        number: &PhoneNumber,
        id: Option<&str>,
        is_only_company: bool,
    ) -> Verdict {
        let names = self.names.get(number);
        match (id.map(|id| self.by_id.get(id)), names) {
            (Some(Some(theirs)), _) if theirs.as_ref() == Some(number) => Verdict::Confirmed,
            (Some(Some(_)), _) => Verdict::Contradicted("the provider has another number under this id"),
            (Some(None), Some(_)) => Verdict::Contradicted("the provider has the number under another id"),
            (Some(None) | None, None) => Verdict::Unconfirmed(
                "the provider does not have the number: a sync confirms it once it does, or an operator",
            ),
            (None, Some(names)) => {
                let says_so = names.iter().flatten().any(|name| is_name_of(company, name));
                if is_only_company || says_so {
                    Verdict::Confirmed
                } else {
                    Verdict::Unconfirmed(
                        "several companies share the provider's account: give the provider's id of the number, \
                         or have an operator confirm it",
                    )
                }
            }
        }
    }
}

/// Whether a number of this name at the provider is the company's.
fn is_name_of(company: &CompanyId, name: &str) -> bool {
    let first = name.split_once(':').map_or(name, |(first, _)| first);
    first.trim().eq_ignore_ascii_case(company.as_str())
}

impl Line {
    fn of(ours: &PooledNumber, theirs: &[&ProviderNumber]) -> Self {
        let known = theirs.iter().find(|theirs| Some(&theirs.id) == ours.provider_id.as_ref());
        let active = || theirs.iter().find(|theirs| theirs.status == Status::Active);
        let found = known.or_else(active).or(theirs.first());
        let mut findings = Vec::new();
        match found {
            None => findings.push(Finding::Missing),
            Some(found) => {
                if known.is_none() {
                    let found = found.id.clone();
                    findings.push(match ours.provider_id {
                        None => Finding::NoProviderId { found },
                        Some(_) => Finding::OtherProviderId { found },
                    });
                }
                if found.status != Status::Active {
                    findings.push(Finding::NotActive { status: found.status });
                }
            }
        }
        Self {
            number: ours.number.clone(),
            company: ours.company.clone(),
            provider_id: ours.provider_id.clone(),
            kind: found.map(|found| found.kind),
            status: found.map(|found| found.status),
            healthy: findings.is_empty(),
            findings,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(n: u32) -> PhoneNumber {
        format!("+1415555{n:04}").parse().unwrap()
    }

    fn ours(n: u32, id: Option<&str>) -> PooledNumber {
        PooledNumber {
            number: number(n),
            company: "acme".parse().unwrap(),
            provider_id: id.map(str::to_owned),
        }
    }

    fn theirs(n: u32, id: &str, status: Status) -> ProviderNumber {
        ProviderNumber { id: id.to_owned(), number: Some(number(n)), name: None, kind: Kind::Vapi, status }
    }

    #[test]
    fn each_number_has_what_is_wrong_with_it() {
        let pooled = [
            ours(100, Some("a")),
            ours(101, Some("b")),
            ours(102, None),
            ours(103, Some("d")),
            ours(104, Some("e")),
        ];
        let provider = [
            theirs(100, "a", Status::Active),
            theirs(102, "c", Status::Active),
            theirs(103, "x", Status::Activating),
            theirs(104, "y", Status::Active),
            theirs(104, "e", Status::Blocked),
            theirs(105, "f", Status::Active),
        ];
        let inventory = Inventory::of(&pooled, &provider);
        let findings: Vec<_> = inventory.lines.iter().map(|line| line.findings.clone()).collect();
        assert_eq!(
            findings,
            [
                vec![],
                vec![Finding::Missing],
                vec![Finding::NoProviderId { found: "c".to_owned() }],
                vec![
                    Finding::OtherProviderId { found: "x".to_owned() },
                    Finding::NotActive { status: Status::Activating }
                ],
                vec![Finding::NotActive { status: Status::Blocked }],
            ]
        );
        let dead: Vec<_> = inventory.dead().map(|line| line.number.clone()).collect();
        assert_eq!(dead, [number(101), number(104)]);
        let unpooled: Vec<_> = inventory.unpooled.iter().map(|number| number.provider_id.as_str()).collect();
        assert_eq!(unpooled, ["f"]);
    }

    #[test]
    fn a_claim_is_confirmed_by_the_providers_id_or_the_name_there_or_because_nobody_else_is_there() {
        let named = |n, id: &str, name: &str| ProviderNumber {
            name: Some(name.to_owned()),
            ..theirs(n, id, Status::Active)
        };
        let nameless = ProviderNumber { number: None, ..theirs(0, "sip", Status::Active) };
        let account = Account::of(vec![
            theirs(100, "a", Status::Active),
            named(101, "b", "Acme : Boston"),
            named(102, "c", "acme corp"),
            named(103, "d", "other: acme"),
            nameless,
        ]);
        let acme = "acme".parse().unwrap();
        let verdict = |n, id, only| match account.verdict(&acme, &number(n), id, only) {
            Verdict::Confirmed => "confirmed",
            Verdict::Unconfirmed(_) => "unconfirmed",
            Verdict::Contradicted(_) => "contradicted",
        };
        let cases = [
            (100, Some("a"), "confirmed", "confirmed"),
            (100, Some("b"), "contradicted", "contradicted"),
            (100, Some("sip"), "contradicted", "contradicted"),
            (100, Some("z"), "contradicted", "contradicted"),
            (100, None, "unconfirmed", "confirmed"),
            (101, None, "confirmed", "confirmed"),
            (102, None, "unconfirmed", "confirmed"),
            (103, None, "unconfirmed", "confirmed"),
            (109, None, "unconfirmed", "unconfirmed"),
            (109, Some("z"), "unconfirmed", "unconfirmed"),
            (109, Some("a"), "contradicted", "contradicted"),
        ];
        for (n, id, shared, alone) in cases {
            assert_eq!((verdict(n, id, false), verdict(n, id, true)), (shared, alone), "{n} {id:?}");
        }
    }

    fn status() -> impl Strategy<Value = Status> {
        prop_oneof![
            Just(Status::Active),
            Just(Status::Activating),
            Just(Status::Blocked),
            Just(Status::Other)
        ]
    }

    proptest! {
        /// Every number of the pools is a line, every number of the provider is in a pool or told of, and what is written into the pool
        /// by what was found is found no more.
        #[test]
        fn nothing_is_lost_and_what_was_found_can_be_mended(
            pooled in proptest::collection::btree_map(100u32..110, proptest::option::of(0u32..10), 0..8),
            provider in proptest::collection::btree_map(0u32..12, (100u32..112, status()), 0..12),
        ) {
            let pooled: Vec<_> =
                pooled.iter().map(|(n, id)| ours(*n, id.map(|id| id.to_string()).as_deref())).collect();
            let provider: Vec<_> =
                provider.iter().map(|(id, (n, status))| theirs(*n, &id.to_string(), *status)).collect();
            let inventory = Inventory::of(&pooled, &provider);
            prop_assert_eq!(inventory.lines.len(), pooled.len());
            let in_pools = |theirs: &&ProviderNumber| pooled.iter().any(|ours| Some(&ours.number) == theirs.number.as_ref());
            prop_assert_eq!(inventory.unpooled.len() + provider.iter().filter(in_pools).count(), provider.len());

            let mended: Vec<_> = pooled
                .iter()
                .map(|ours| {
                    let line = inventory.lines.iter().find(|line| line.number == ours.number).unwrap();
                    let found = line.findings.iter().find_map(|finding| match finding {
                        Finding::NoProviderId { found } | Finding::OtherProviderId { found } => Some(found.clone()),
                        Finding::Missing | Finding::NotActive { .. } => None,
                    });
                    PooledNumber { provider_id: found.or(ours.provider_id.clone()), ..ours.clone() }
                })
                .collect();
            for line in Inventory::of(&mended, &provider).lines {
                let other_id = |finding: &Finding| {
                    matches!(finding, Finding::NoProviderId { .. } | Finding::OtherProviderId { .. })
                };
                prop_assert!(!line.findings.iter().any(other_id), "{:?}", line);
            }
        }
    }
}
