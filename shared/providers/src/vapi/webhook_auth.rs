//! How Vapi proves that a webhook is its own: four forms, on the raw body, compared in constant time.
//!
//! | form | what is sent | what it opens |
//! |---|---|---|
//! | secret of the server (legacy) | `X-Vapi-Secret: <secret>` | everything |
//! | secret of a call (legacy) | `X-Vapi-Secret: hex(HMAC-SHA256(secret, "call:<our call id>"))` | news of that call |
//! | bearer credential | `Authorization: Bearer <secret>` | everything |
//! | HMAC credential, its defaults | `x-signature: hex(HMAC-SHA256(secret, "<x-timestamp>.<body>"))`, `x-timestamp` | everything |
//!
//! Only the last protects the body and against replay; which form is used is decided by the credential at Vapi.
//!
//! Without a credential a call carries the secret of its own, never the deployment's: Vapi may repeat the call as it was
//! made to every server that an assistant names, and a company's assistant names servers of the company. Who learns such a
//! secret can say of that call what the provider could. It answers no question (an assistant request, a predial), and says
//! nothing of another call or of one that Dialpool did not place. It ends a day after the call was claimed, which the id tells.
//! The call's id goes with the secret in a header: so news of the call is known for that when its body cannot be read.

use dialpool_domain::time::Duration;
use dialpool_domain::{CallId, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::webhook::Received;

/// The header of the secret.
const SECRET_HEADER: &str = "x-vapi-secret";

/// The header that names the call that a secret of a call is of.
pub const CALL_HEADER: &str = "x-dialpool-call";

/// The secret of a call opens news of it this long from its claim on: longer than the provider repeats a report.
const CALL_SECRET_VALID: Duration = Duration::from_hours(24);

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
    /// None of the forms is there.
    #[error("no secret, token or signature")]
    Missing,
    /// A secret, token or signature that is not ours.
    #[error("a secret, token or signature that does not match")]
    Mismatch,
    /// What may be the secret of a call, with a body that is no news of a call of ours, or that cannot be read.
    #[error("not the secret of the server, and no news of a call of ours")]
    NoCall,
    /// The secret of a call that was claimed more than a day ago.
    #[error("the secret of a call that was claimed more than a day ago")]
    Expired,
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

    /// Reads a body whose sender knows one of the secrets, or the secret of the very call that the body brings news of.
    ///
    /// The id of that call is the `call_id` of the message that is returned, and of every other reading of the same body. A body that
    /// cannot be understood is returned as such: it is to be kept.
    ///
    /// # Errors
    /// When the sender does not prove that. The signature counts where there is one; it is not made up for by another form.
    pub fn open<'a>(
        &self,
        headers: &HeaderMap,
        body: &'a [u8],
        now: Timestamp,
    ) -> Result<Received<'a>, Unauthenticated> {
        let header = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
        if let Some(signature) = header(SIGNATURE_HEADER) {
            self.verify_signature(signature, header(TIMESTAMP_HEADER), body, now)?;
            return Ok(Received::read(body));
        }
        let secret = header(SECRET_HEADER);
        let bearer = header("authorization").and_then(|value| value.strip_prefix(b"Bearer "));
        let given: Vec<&[u8]> = [secret, bearer].into_iter().flatten().collect();
        if given.is_empty() {
            return Err(Unauthenticated::Missing);
        }
        if self.know(&given) {
            return Ok(Received::read(body));
        }
        // What does not have the form of a call's secret costs no look at the body.
        let mut of_call = [0u8; 32];
        if secret.is_none_or(|secret| hex::decode_to_slice(secret, &mut of_call).is_err()) {
            return Err(Unauthenticated::Mismatch);
        }
        let mut received = Received::read(body);
        let call_id = match (&received.webhook, received.about.calls.as_slice()) {
            (Ok(webhook), _) => webhook.news_of().cloned(),
            (Err(_), [call_id]) => Some(call_id.clone()),
            (Err(_), []) => header(CALL_HEADER).and_then(|id| str::from_utf8(id).ok()?.parse().ok()),
            (Err(_), _) => None,
        };
        let call_id = call_id.ok_or(Unauthenticated::NoCall)?;
        let secrets = self.0.iter();
        known(secrets.fold(Choice::from(0), |known, secret| {
            known | sign_call(secret, &call_id).as_slice().ct_eq(&of_call)
        }))?;
        if now.since(call_id.made_at()) > CALL_SECRET_VALID {
            return Err(Unauthenticated::Expired);
        }
        received.about.calls = vec![call_id];
        Ok(received)
    }

    /// Whether one of the secrets is given.
    fn know(&self, given: &[&[u8]]) -> bool {
        // Digests are compared, so that not even the length of the secret shows in the time that it takes.
        let equal = |given: &[u8], secret: &SecretString| {
            Sha256::digest(given).as_slice().ct_eq(Sha256::digest(secret.expose_secret()).as_slice())
        };
        let pairs = given.iter().flat_map(|given| self.0.iter().map(move |secret| (*given, secret)));
        pairs.fold(Choice::from(0), |known, (given, secret)| known | equal(given, secret)).into()
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

/// The value of `X-Vapi-Secret` that a call carries: it opens news of this call only, and the secret does not follow from it.
pub fn call_secret(secret: &SecretString, call_id: &CallId) -> SecretString {
    hex::encode(sign_call(secret, call_id)).into()
}

fn sign(secret: &SecretString, timestamp: &str, body: &[u8]) -> [u8; 32] {
    mac(secret, &[timestamp.as_bytes(), b".", body])
}

/// The prefix keeps it apart from every signature of a body: the time of such a one is a number.
fn sign_call(secret: &SecretString, call_id: &CallId) -> [u8; 32] {
    mac(secret, &[b"call:", call_id.as_str().as_bytes()])
}

fn mac(secret: &SecretString, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::super::webhook::Webhook;
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
        auth.open(&headers.collect(), body, now).map(drop)
    }

    const OURS: &str = "call_01J8ZQ4T7M3N5P6R8S9V0W1X2Y";
    const ANOTHER: &str = "call_01K5S3Z8Q0M4T6V8X0Z2B4D6F8";

    /// `hex(HMAC-SHA256("test-secret", "call:call_01J8ZQ4T7M3N5P6R8S9V0W1X2Y"))`, computed with Python's `hmac`.
    const SECRET_OF_OURS: &str = "30e711100a011189dca1e19485a97854ce333dc9b3878be43e99ddee791cc15c";

    /// An hour after the call was claimed.
    fn while_valid() -> Timestamp {
        OURS.parse::<CallId>().unwrap().made_at() + Duration::from_hours(1)
    }

    /// What `SECRET_OF_OURS` says of a message of this type about a call of this name, with this id in its metadata.
    fn open_with_call_secret(kind: &str, name: &str, metadata: &str) -> Result<(), Unauthenticated> {
        let body = serde_json::json!({ "message": {
            "type": kind,
            "status": "ended",
            "call": { "id": "p7", "name": name, "assistantOverrides": { "metadata": { "call_id": metadata } } },
        }});
        verify(&[("x-vapi-secret", SECRET_OF_OURS)], body.to_string().as_bytes(), while_valid())
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
    fn the_secret_of_a_call_follows_from_the_secret_and_the_id() {
        let ours = OURS.parse().unwrap();
        assert_eq!(call_secret(&SECRET.into(), &ours).expose_secret(), SECRET_OF_OURS);
        assert_ne!(call_secret(&"next-secret".into(), &ours).expose_secret(), SECRET_OF_OURS);
        assert_ne!(call_secret(&SECRET.into(), &ANOTHER.parse().unwrap()).expose_secret(), SECRET_OF_OURS);
    }

    #[test]
    fn the_secret_of_a_call_opens_news_of_that_call() {
        for kind in ["status-update", "end-of-call-report", "hang"] {
            assert_eq!(open_with_call_secret(kind, OURS, OURS), Ok(()), "{kind}");
            assert_eq!(open_with_call_secret(kind, OURS, "crm-7"), Ok(()), "{kind}, by its name");
        }
        let older = call_secret(&"next-secret".into(), &OURS.parse().unwrap());
        let body = format!(r#"{{"message":{{"type":"hang","call":{{"id":"p7","name":"{OURS}"}}}}}}"#);
        let headers = [("x-vapi-secret", older.expose_secret())];
        assert_eq!(verify(&headers, body.as_bytes(), while_valid()), Ok(()), "while secrets are replaced");
    }

    #[test]
    fn the_secret_of_a_call_ends_a_day_after_its_claim() {
        let claimed_at = OURS.parse::<CallId>().unwrap().made_at();
        let body = format!(r#"{{"message":{{"type":"hang","call":{{"id":"p7","name":"{OURS}"}}}}}}"#);
        for (at, opened) in [
            (claimed_at, Ok(())),
            (claimed_at + CALL_SECRET_VALID, Ok(())),
            (claimed_at + CALL_SECRET_VALID + Duration::from_millis(1), Err(Unauthenticated::Expired)),
            (NOW, Err(Unauthenticated::Expired)),
        ] {
            assert_eq!(verify(&[("x-vapi-secret", SECRET_OF_OURS)], body.as_bytes(), at), opened, "{at}");
        }
        assert_eq!(
            verify(&[("x-vapi-secret", SECRET)], body.as_bytes(), NOW),
            Ok(()),
            "that of the server does not"
        );
    }

    /// The header says whose secret it is, and opens nothing without it.
    #[test]
    fn news_of_a_call_that_cannot_be_read_is_opened_by_the_secret_of_that_call() {
        let auth = WebhookAuth::new(vec![SECRET.into()]);
        let headers = |call: &str| {
            HeaderMap::from_iter([
                (
                    http::HeaderName::from_static(SECRET_HEADER),
                    http::HeaderValue::from_static(SECRET_OF_OURS),
                ),
                (http::HeaderName::from_static(CALL_HEADER), http::HeaderValue::from_str(call).unwrap()),
            ])
        };
        for body in [
            &b""[..],
            b"{",
            b"\xff",
            b"{\"message\":{\"type\":\"teleport\"}}",
            b"{\"message\":{\"analysis\":",
        ] {
            let received = auth.open(&headers(OURS), body, while_valid()).unwrap();
            assert_eq!(received.about.calls, [OURS.parse().unwrap()], "it is known whom it is about");
            assert!(received.webhook.is_err());
            for forged in [ANOTHER, "", "call_7"] {
                let refused = auth.open(&headers(forged), body, while_valid());
                assert!(
                    matches!(refused, Err(Unauthenticated::NoCall | Unauthenticated::Mismatch)),
                    "{forged}"
                );
            }
        }
        for body in [
            format!(r#"{{"message":{{"type":"teleport","call":{{"id":"p7","name":"{ANOTHER}"}}}}}}"#),
            format!(r#"{{"message":{{"type":"hang","call":{{"id":"p7","name":"{ANOTHER}"}}}}}}"#),
            r#"{"message":{"type":"hang","call":{"id":"p7","name":"Sales 7"}}}"#.to_owned(),
            r#"{"message":{"type":"assistant-request"}}"#.to_owned(),
        ] {
            assert!(auth.open(&headers(OURS), body.as_bytes(), while_valid()).is_err(), "{body}");
        }
    }

    #[test]
    fn the_secret_of_a_call_opens_no_other_call() {
        for kind in ["status-update", "end-of-call-report", "hang"] {
            let refused = Err(Unauthenticated::Mismatch);
            assert_eq!(open_with_call_secret(kind, ANOTHER, ANOTHER), refused, "{kind}");
            assert_eq!(open_with_call_secret(kind, OURS, ANOTHER), refused, "{kind}: the metadata counts");
            assert_eq!(
                open_with_call_secret(kind, "Sales 7", "crm-7"),
                Err(Unauthenticated::NoCall),
                "{kind}"
            );
        }
    }

    /// A body that names two calls is about one of them: the one that its secret must be of.
    #[test]
    fn what_a_call_secret_opens_is_about_the_call_of_the_secret() {
        let auth = WebhookAuth::new(vec![SECRET.into()]);
        let headers = [("x-vapi-secret", SECRET_OF_OURS)].map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        });
        let headers = HeaderMap::from_iter(headers);
        for kind in ["status-update", "end-of-call-report", "hang"] {
            let body = format!(
                r#"{{"message":{{"type":"{kind}","call":{{"id":"p7","name":"{ANOTHER}","assistantOverrides":{{"metadata":{{"call_id":"{OURS}"}}}}}}}}}}"#
            );

            let opened = auth.open(&headers, body.as_bytes(), while_valid()).unwrap().into_webhook().unwrap();

            assert_eq!(opened.call_id.as_ref().map(CallId::as_str), Some(OURS), "{kind}");
            assert_eq!(opened, Webhook::parse(body.as_bytes()).unwrap(), "as the inbox worker reads it");
        }
        let twice = format!(
            r#"{{"message":{{"type":"hang","call":{{"id":"p7","name":"{ANOTHER}"}},"call":{{"id":"p7","name":"{OURS}"}}}}}}"#
        );
        assert_eq!(
            auth.open(&headers, twice.as_bytes(), while_valid()).unwrap_err(),
            Unauthenticated::NoCall
        );
    }

    #[test]
    fn the_secret_of_a_call_answers_no_question_and_is_no_bearer_token() {
        for kind in ["assistant-request", "campaign.predial"] {
            assert_eq!(open_with_call_secret(kind, OURS, OURS), Err(Unauthenticated::NoCall), "{kind}");
        }
        let body = format!(r#"{{"message":{{"type":"hang","call":{{"id":"p7","name":"{OURS}"}}}}}}"#);
        let bearer = format!("Bearer {SECRET_OF_OURS}");
        assert_eq!(
            verify(&[("authorization", &bearer)], body.as_bytes(), NOW),
            Err(Unauthenticated::Mismatch)
        );
        let signed = [(SIGNATURE_HEADER, SECRET_OF_OURS), (TIMESTAMP_HEADER, "call:")];
        assert_eq!(verify(&signed, body.as_bytes(), NOW), Err(Unauthenticated::NoTimestamp));
    }

    #[test]
    fn a_body_that_cannot_be_read_is_opened_by_the_secret_of_the_server_only() {
        for body in [&b"{"[..], b"", b"\xff", br#"{"message":{"type":"teleport"}}"#] {
            assert_eq!(verify(&[("x-vapi-secret", SECRET)], body, NOW), Ok(()), "it is kept for a human");
            let of_call = [("x-vapi-secret", SECRET_OF_OURS)];
            assert_eq!(verify(&of_call, body, while_valid()), Err(Unauthenticated::NoCall));
        }
    }

    #[test]
    fn without_a_secret_of_the_server_no_call_has_one() {
        let auth = WebhookAuth::new(vec!["".into()]);
        let made = call_secret(&"".into(), &OURS.parse().unwrap());
        let value = http::HeaderValue::from_str(made.expose_secret()).unwrap();
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static("x-vapi-secret"), value)]);
        let body = format!(r#"{{"message":{{"type":"hang","call":{{"id":"p7","name":"{OURS}"}}}}}}"#);
        let opened = auth.open(&headers, body.as_bytes(), NOW);
        assert_eq!(opened.unwrap_err(), Unauthenticated::Mismatch);
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
