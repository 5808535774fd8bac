//! How Vapi proves that a webhook is its own: three forms, on the raw body, compared in constant time.
//!
//! | form | what is sent |
//! |---|---|
//! | secret of the server (legacy) | `X-Vapi-Secret: <secret>` |
//! | bearer credential | `Authorization: Bearer <secret>` |
//! | HMAC credential, its defaults | `x-signature: hex(HMAC-SHA256(secret, "<x-timestamp>.<body>"))`, `x-timestamp` |
//!
//! Only the third protects the body and against replay; which form is used is decided by the credential at Vapi.

use dialpool_domain::Timestamp;
use dialpool_domain::time::Duration;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The header of the secret.
const SECRET_HEADER: &str = "x-vapi-secret";

/// The header of the signature.
pub const SIGNATURE_HEADER: &str = "x-signature";

/// The header of the time of the signature.
pub const TIMESTAMP_HEADER: &str = "x-timestamp";

/// A signature is valid this long before and after its time.
const REPLAY_WINDOW: Duration = Duration::from_mins(5);

/// From this on a number is milliseconds since 1970; as seconds it would be the year 5138.
const FIRST_MILLIS: i64 = 100_000_000_000;

/// Checks webhooks against the secrets that are valid at present: two while one is being replaced by the other.
#[derive(Debug, Clone)]
pub struct WebhookAuth(Vec<SecretString>);

/// The sender did not prove that it is Vapi.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// None of the three forms is there.
    #[error("no secret, token or signature")]
    Missing,
    /// A secret, token or signature that is not ours.
    #[error("a secret, token or signature that does not match")]
    Mismatch,
    /// A signature without a time that can be read.
    #[error("a signature without its time")]
    NoTimestamp,
    /// A signature of another time: perhaps a recording.
    #[error("a signature that is not of the last five minutes")]
    Stale,
}

impl WebhookAuth {
    /// Checks against any of these secrets; empty ones match nothing.
    pub fn new(secrets: Vec<SecretString>) -> Self {
        Self(secrets.into_iter().filter(|secret| !secret.expose_secret().is_empty()).collect())
    }

    /// Whether the sender of this body knows one of the secrets.
    ///
    /// # Errors
    /// When it does not prove that. The signature counts where there is one; it is not made up for by another form.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Unauthenticated> {
        let header = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
        if let Some(signature) = header(SIGNATURE_HEADER) {
            return self.verify_signature(signature, header(TIMESTAMP_HEADER), body, now);
        }
        let bearer = header("authorization").and_then(|value| value.strip_prefix(b"Bearer "));
        let given: Vec<&[u8]> = [header(SECRET_HEADER), bearer].into_iter().flatten().collect();
        if given.is_empty() {
            return Err(Unauthenticated::Missing);
        }
        // Digests are compared, so that not even the length of the secret shows in the time that it takes.
        let equal = |given: &[u8], secret: &SecretString| {
            Sha256::digest(given).as_slice().ct_eq(Sha256::digest(secret.expose_secret()).as_slice())
        };
        let pairs = given.iter().flat_map(|given| self.0.iter().map(move |secret| (*given, secret)));
        known(pairs.fold(Choice::from(0), |known, (given, secret)| known | equal(given, secret)))
    }

    fn verify_signature(
        &self,
        signature: &[u8],
        timestamp: Option<&[u8]>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Unauthenticated> {
        let timestamp =
            timestamp.and_then(|text| str::from_utf8(text).ok()).ok_or(Unauthenticated::NoTimestamp)?;
        let number: i64 = timestamp.parse().map_err(|_| Unauthenticated::NoTimestamp)?;
        let millis = if number < FIRST_MILLIS { number.saturating_mul(1_000) } else { number };
        let signed_at = Timestamp::from_millis(millis);
        let signature = hex::decode(signature.strip_prefix(b"sha256=").unwrap_or(signature));
        let signature = signature.map_err(|_| Unauthenticated::Mismatch)?;
        let matches = self.0.iter().fold(Choice::from(0), |known, secret| {
            known | sign(secret, timestamp, body).as_slice().ct_eq(&signature)
        });
        known(matches)?;
        if now.since(signed_at).max(signed_at.since(now)) > REPLAY_WINDOW {
            return Err(Unauthenticated::Stale);
        }
        Ok(())
    }
}

fn known(matches: Choice) -> Result<(), Unauthenticated> {
    if bool::from(matches) { Ok(()) } else { Err(Unauthenticated::Mismatch) }
}

/// The value of `x-signature` for a body that is sent with this `x-timestamp`.
pub fn signature(secret: &SecretString, timestamp: &str, body: &[u8]) -> String {
    hex::encode(sign(secret, timestamp, body))
}

fn sign(secret: &SecretString, timestamp: &str, body: &[u8]) -> [u8; 32] {
    // HMAC takes a key of any length: a longer one than a block is hashed, a shorter one padded (RFC 2104).
    let mut block = [0; 64];
    let key = secret.expose_secret().as_bytes();
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the default scheme, computed from the descriptions in Vapi's OpenAPI.
    const SECRET: &str = "test-secret";
    const TIMESTAMP: &str = "1787238012";
    const BODY: &[u8] = br#"{"message":{"type":"hang","timestamp":1787238012410}}"#;
    const SIGNATURE: &str = "6d802545d2e42c7c570c4e7c7e692225823dd0d24d2b35dd215e618f0b4f1666";

    const NOW: Timestamp = Timestamp::from_millis(1_787_238_012_410);

    fn verify(headers: &[(&'static str, &str)], body: &[u8], now: Timestamp) -> Result<(), Unauthenticated> {
        let auth = WebhookAuth::new(vec!["next-secret".into(), SECRET.into(), "".into()]);
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_str(value).unwrap())
        });
        auth.verify(&headers.collect(), body, now)
    }

    #[test]
    fn the_signature_of_the_default_scheme_is_accepted() {
        let signed = [(SIGNATURE_HEADER, SIGNATURE), (TIMESTAMP_HEADER, TIMESTAMP)];
        assert_eq!(verify(&signed, BODY, NOW), Ok(()));
        assert_eq!(signature(&SECRET.into(), TIMESTAMP, BODY), SIGNATURE);
    }

    #[test]
    fn a_signature_over_milliseconds_is_accepted() {
        let made = signature(&"next-secret".into(), "1787238012410", BODY);
        let signed = [(SIGNATURE_HEADER, made.as_str()), (TIMESTAMP_HEADER, "1787238012410")];
        assert_eq!(verify(&signed, BODY, NOW), Ok(()));
    }

    #[test]
    fn a_changed_body_a_changed_time_and_a_signature_that_is_none_are_refused() {
        let signed = [(SIGNATURE_HEADER, SIGNATURE), (TIMESTAMP_HEADER, TIMESTAMP)];
        assert_eq!(verify(&signed, b"{}", NOW), Err(Unauthenticated::Mismatch));
        let later = [(SIGNATURE_HEADER, SIGNATURE), (TIMESTAMP_HEADER, "1787238013")];
        assert_eq!(verify(&later, BODY, NOW), Err(Unauthenticated::Mismatch));
        for forged in ["", "6d80", "not hex"] {
            let forged = [(SIGNATURE_HEADER, forged), (TIMESTAMP_HEADER, TIMESTAMP)];
            assert_eq!(verify(&forged, BODY, NOW), Err(Unauthenticated::Mismatch));
        }
        assert_eq!(verify(&signed[..1], BODY, NOW), Err(Unauthenticated::NoTimestamp));
    }

    #[test]
    fn a_signature_is_valid_for_five_minutes_both_ways() {
        let signed = [(SIGNATURE_HEADER, SIGNATURE), (TIMESTAMP_HEADER, TIMESTAMP)];
        let signed_at = Timestamp::from_millis(1_787_238_012_000);
        let beyond = REPLAY_WINDOW + Duration::from_millis(1);
        assert_eq!(verify(&signed, BODY, signed_at + REPLAY_WINDOW), Ok(()));
        assert_eq!(verify(&signed, BODY, signed_at - REPLAY_WINDOW), Ok(()));
        assert_eq!(verify(&signed, BODY, signed_at + beyond), Err(Unauthenticated::Stale));
        assert_eq!(verify(&signed, BODY, signed_at - beyond), Err(Unauthenticated::Stale));
    }

    #[test]
    fn the_secret_is_accepted_as_header_and_as_bearer_token() {
        assert_eq!(verify(&[("x-vapi-secret", SECRET)], BODY, NOW), Ok(()));
        assert_eq!(
            verify(&[("x-vapi-secret", "next-secret")], BODY, NOW),
            Ok(()),
            "while secrets are replaced"
        );
        assert_eq!(verify(&[("authorization", "Bearer test-secret")], BODY, NOW), Ok(()));
    }

    #[test]
    fn what_is_not_a_secret_of_ours_is_refused() {
        for headers in [("x-vapi-secret", ""), ("x-vapi-secret", "test-secre"), ("authorization", "Bearer ")]
        {
            assert_eq!(verify(&[headers], BODY, NOW), Err(Unauthenticated::Mismatch), "{headers:?}");
        }
        assert_eq!(verify(&[("authorization", "Basic dGVzdA==")], BODY, NOW), Err(Unauthenticated::Missing));
        assert_eq!(verify(&[], BODY, NOW), Err(Unauthenticated::Missing));
    }

    #[test]
    fn a_valid_secret_does_not_make_up_for_a_forged_signature() {
        let both = [("x-vapi-secret", SECRET), (SIGNATURE_HEADER, "00"), (TIMESTAMP_HEADER, TIMESTAMP)];
        assert_eq!(verify(&both, BODY, NOW), Err(Unauthenticated::Mismatch));
    }
}
