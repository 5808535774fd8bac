//! Whole numbers within a range, read so that whoever sends something else is told the range.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};

/// Reads a whole number from `least` to `most`.
pub(crate) struct WholeNumber {
    pub(crate) least: u32,
    pub(crate) most: u32,
}

impl Visitor<'_> for WholeNumber {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}", self.least, self.most)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u32, E> {
        let found = u32::try_from(number).ok().filter(|number| (self.least..=self.most).contains(number));
        found.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u32, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }
}
