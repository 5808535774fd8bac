//! Phone numbers in E.164.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A phone number in E.164: `+`, a country code, at most 15 digits in all.
///
/// `Debug` and [`PhoneNumber::masked`] hide the middle, so that a number does not reach a log by accident; `Display`
/// writes it whole, for the provider and the API.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhoneNumber(String);

/// Why a text is not a phone number. The text itself is not repeated: it may be somebody's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPhone {
    /// Nothing but blanks and punctuation.
    #[error("a phone number is missing")]
    Empty,
    /// A letter or a sign that no phone number has.
    #[error("a phone number has digits, a leading + and the separators space - . ( ) only")]
    Character,
    /// A number as a spreadsheet shows it, with an exponent.
    #[error("a spreadsheet shortened the number to an exponent: format the column as text")]
    Rounded,
    /// Too few or too many digits for E.164, or for a number of North America.
    #[error("a phone number is + and 8 to 15 digits, or 10 digits for North America")]
    Length,
    /// A North American number whose area code or exchange starts with 0 or 1.
    #[error("the area code and the exchange of a North American number start with 2 to 9")]
    NorthAmerican,
}

impl PhoneNumber {
    /// The number as E.164 text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The three digits after +1, for a number of the North American Numbering Plan.
    pub fn area_code(&self) -> Option<&str> {
        self.0.strip_prefix("+1").map(|national| &national[..3])
    }

    /// The number with its middle hidden, for logs: `+1415•••0123`.
    pub fn masked(&self) -> String {
        let (head, tail) = (self.0.len().min(5), self.0.len() - 4);
        format!("{}•••{}", &self.0[..head.min(tail)], &self.0[tail..])
    }
}

impl FromStr for PhoneNumber {
    type Err = InvalidPhone;

    /// Reads E.164, and the ways in which North American numbers are written: `(415) 555-0123`, `1-415-555-0123`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Signs that nobody sees come with what is copied from an address book or a page.
        let text: String = text.chars().filter(|sign| !is_invisible(*sign)).collect();
        let text = text.trim();
        if text.contains(['e', 'E']) && text.parse::<f64>().is_ok() {
            return exact(text).ok_or(InvalidPhone::Rounded)?.parse();
        }
        // How programs that take the number for an amount write it.
        let whole = text.split_once('.').filter(|(whole, rest)| {
            let is_all = |text: &str, digits: std::ops::RangeInclusive<u8>| {
                !text.is_empty() && text.bytes().all(|byte| digits.contains(&byte))
            };
            rest.len() < 3 && is_all(whole, b'0'..=b'9') && is_all(rest, b'0'..=b'0')
        });
        let text = whole.map_or(text, |(whole, _)| whole);
        let (international, national) = match text.strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut digits = String::with_capacity(16);
        for character in national.chars() {
            match character {
                '0'..='9' => digits.push(character),
                '-' | '.' | '(' | ')' | '\u{2010}'..='\u{2015}' => {}
                blank if blank.is_whitespace() => {}
                _ => return Err(InvalidPhone::Character),
            }
        }
        let digits = match (international, digits.len()) {
            (_, 0) => return Err(InvalidPhone::Empty),
            (true, 8..=15) if !digits.starts_with('0') => digits,
            (false, 10) => format!("1{digits}"),
            (false, 11) if digits.starts_with('1') => digits,
            _ => return Err(InvalidPhone::Length),
        };
        if let Some(national) = digits.strip_prefix('1') {
            if national.len() != 10 {
                return Err(InvalidPhone::Length);
            }
            if [national.as_bytes()[0], national.as_bytes()[3]].iter().any(|digit| *digit < b'2') {
                return Err(InvalidPhone::NorthAmerican);
            }
        }
        Ok(Self(format!("+{digits}")))
    }
}

/// Whether a sign takes no room: marks of direction and of joining, soft hyphens, the mark of byte order, controls.
pub fn is_invisible(sign: char) -> bool {
    matches!(
        sign,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
    ) || (sign.is_control() && !sign.is_whitespace())
}

/// The digits of a number with an exponent, when all of them are there: `1.4155550101E+10`, and not `1.41556E+10`.
fn exact(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let exponent: usize = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
    let (first, rest) = mantissa.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (first.len() == 1 && digits(first) && digits(rest) && rest.len() == exponent)
        .then(|| format!("{first}{rest}"))
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl Serialize for PhoneNumber {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PhoneNumber {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_to_write_a_north_american_number_are_one_number() {
        for text in [
            "+14155550123",
            "4155550123",
            "(415) 555-0123",
            "1-415-555-0123",
            " +1 415.555.0123 ",
            "4155550123.0",
            "415\u{a0}555\u{2011}0123",
            "\u{202a}+1 (415) 555\u{2013}0123\u{202c}",
            "+1\u{200b}415\u{ad}555\u{2060}0123\u{feff}",
            "14155550123.00",
            "1.4155550123E+10",
            "4.155550123e9",
        ] {
            assert_eq!(text.parse::<PhoneNumber>().unwrap().as_str(), "+14155550123", "{text}");
        }
    }

    #[test]
    fn what_is_no_phone_number_is_refused_with_the_reason() {
        let reasons = [
            ("", InvalidPhone::Empty),
            ("()", InvalidPhone::Empty),
            ("call me", InvalidPhone::Character),
            ("1.41556E+10", InvalidPhone::Rounded),
            ("1.4155550E+10", InvalidPhone::Rounded),
            ("1.4155550123E+11", InvalidPhone::Rounded),
            ("14155550123e0", InvalidPhone::Rounded),
            ("1415555010.0", InvalidPhone::NorthAmerican),
            ("555-0123", InvalidPhone::Length),
            ("+1415555012", InvalidPhone::Length),
            ("+1234567890123456", InvalidPhone::Length),
            ("+04155550123", InvalidPhone::Length),
            ("0155550123", InvalidPhone::NorthAmerican),
            ("4151550123", InvalidPhone::NorthAmerican),
        ];
        for (text, reason) in reasons {
            assert_eq!(text.parse::<PhoneNumber>().unwrap_err(), reason, "{text}");
        }
    }

    #[test]
    fn a_logged_number_hides_its_middle() {
        let number: PhoneNumber = "+14155550123".parse().unwrap();
        assert_eq!(format!("{number:?}"), "+1415•••0123");
        assert_eq!("+49301234".parse::<PhoneNumber>().unwrap().masked(), "+4930•••1234");
    }
}
