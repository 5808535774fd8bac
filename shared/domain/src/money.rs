//! Money in US dollars with four decimals, exact.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Sub};
use std::str::FromStr;

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

/// An amount in US dollars, counted in ten-thousandths (the provider prices calls with four decimals).
///
/// Text and JSON are decimal text (`"0.1432"`): never a float.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(i64);

/// The text is not an amount between -900 and +900 billion dollars.
#[derive(Debug, thiserror::Error)]
#[error("not an amount in US dollars such as 0.1432")]
pub struct InvalidUsd;

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of ten-thousandths of a dollar.
    pub const fn from_ten_thousandths(amount: i64) -> Self {
        Self(amount)
    }

    /// So many times the amount.
    #[must_use]
    pub fn times(self, count: usize) -> Self {
        Self(self.0.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)))
    }

    /// One part of so many, rounded down.
    #[must_use]
    pub fn per(self, parts: u64) -> Self {
        Self(self.0 / i64::try_from(parts.max(1)).unwrap_or(i64::MAX))
    }

    /// The amount in ten-thousandths of a dollar.
    pub const fn as_ten_thousandths(self) -> i64 {
        self.0
    }
}

impl FromStr for Usd {
    type Err = InvalidUsd;

    /// Reads decimal text, scientific notation included; more than four decimals are rounded half to even.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let amount = Decimal::from_str_exact(text)
            .or_else(|_| Decimal::from_scientific(text))
            .map_err(|_| InvalidUsd)?;
        let rounded = amount.round_dp_with_strategy(4, RoundingStrategy::MidpointNearestEven);
        rounded
            .checked_mul(Decimal::from(10_000))
            .and_then(|scaled| scaled.to_i64())
            .map(Self)
            .ok_or(InvalidUsd)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Decimal::new(self.0, 4))
    }
}

impl Serialize for Usd {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Usd {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_sum_is_exact_in_whatever_order_and_parts(
            amounts in proptest::collection::vec(-10_000_000_000i64..10_000_000_000, 0..200),
            split in any::<proptest::sample::Index>(),
        ) {
            let usd: Vec<Usd> = amounts.iter().copied().map(Usd::from_ten_thousandths).collect();
            let total: Usd = usd.iter().copied().sum();
            prop_assert_eq!(total.as_ten_thousandths(), amounts.iter().sum::<i64>());
            prop_assert_eq!(usd.iter().rev().copied().sum::<Usd>(), total);
            let (one, other) = usd.split_at(split.index(usd.len() + 1));
            prop_assert_eq!(one.iter().copied().sum::<Usd>() + other.iter().copied().sum(), total);
            prop_assert_eq!(usd.iter().fold(total, |left, amount| left - *amount), Usd::ZERO);
        }

        #[test]
        fn an_amount_is_written_with_four_decimals_and_reads_back(amount in -1_000_000_000_000i64..1_000_000_000_000) {
            let usd = Usd::from_ten_thousandths(amount);
            let text = usd.to_string();
            prop_assert_eq!(text.split_once('.').map(|(_, decimals)| decimals.len()), Some(4));
            prop_assert_eq!(text.parse::<Usd>().unwrap(), usd);
            let json = serde_json::to_string(&usd).unwrap();
            prop_assert_eq!(serde_json::from_str::<Usd>(&json).unwrap(), usd);
        }

        #[test]
        fn a_json_number_of_the_provider_is_the_amount_that_it_meant(amount in 0i64..100_000_000) {
            // The provider computes with floats; the shortest text of one has the four decimals.
            let number = serde_json::json!(amount as f64 / 10_000.0);
            prop_assert_eq!(number.to_string().parse::<Usd>().unwrap(), Usd::from_ten_thousandths(amount));
        }
    }

    #[test]
    fn amounts_keep_four_decimals_exactly() {
        for (text, written) in [
            ("0.1432", "0.1432"),
            ("0", "0.0000"),
            ("1e-3", "0.0010"),
            ("12.34565", "12.3456"),
            ("0.00015", "0.0002"),
        ] {
            assert_eq!(text.parse::<Usd>().unwrap().to_string(), written);
        }
        assert!("free".parse::<Usd>().is_err());
    }
}
