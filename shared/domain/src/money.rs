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
    use super::*;

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
