//! The way to AWS: region, credentials and endpoint of the environment, and whom a TLS connection trusts.

use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use memchr::memmem;

use crate::{Environment, StartError};

/// The subjects of the roots that AWS's endpoints are certified by, by Amazon Trust Services
/// (<https://www.amazontrust.com/repository/>). Every SDK must trust these five.
const AMAZON_ROOTS: [&str; 5] = [
    "Amazon Root CA 1",
    "Amazon Root CA 2",
    "Amazon Root CA 3",
    "Amazon Root CA 4",
    "Starfield Services Root Certificate Authority - G2",
];

/// AWS as the environment of the process says: region, credentials, `AWS_ENDPOINT_URL`.
///
/// # Errors
/// When the client for TLS cannot be made.
pub async fn sdk_of_process() -> Result<SdkConfig, StartError> {
    let trust = TlsContext::builder()
        .with_trust_store(trust_store(&Environment::of_process()))
        .build()
        .map_err(|error| StartError::Tls(error.to_string()))?;
    let https =
        Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(trust).build_https();
    Ok(aws_config::defaults(BehaviorVersion::latest()).http_client(https).load().await)
}

/// Amazon's own roots where AWS itself is asked: all roots of the system take longer to read than the rest of a cold
/// start. The system's where somebody else may have to be trusted: partitions of AWS that other roots certify, an
/// endpoint of the user's over TLS, roots that the user names.
fn trust_store(environment: &Environment) -> TrustStore {
    let region = environment.optional_text("AWS_REGION").unwrap_or_default();
    let of_another_root = region.starts_with("cn-") || region.contains("-iso");
    let endpoint_over_tls =
        environment.with_prefix("AWS_ENDPOINT_URL").any(|endpoint| endpoint.starts_with("https:"));
    let named_by_user =
        ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| environment.optional_text(name).is_some());
    if of_another_root || endpoint_over_tls || named_by_user {
        return TrustStore::default();
    }
    amazon_roots().fold(TrustStore::empty(), TrustStore::with_pem_certificate)
}

fn amazon_roots() -> impl Iterator<Item = Vec<u8>> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter(|root| AMAZON_ROOTS.iter().any(|subject| memmem::find(root, subject.as_bytes()).is_some()))
        .map(|root| {
            let base64 = BASE64_STANDARD.encode(root);
            format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n").into_bytes()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusts_the_system(variables: &[(&str, &str)]) -> bool {
        let environment: Environment =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let store = format!("{:?}", trust_store(&environment));
        store.contains("enable_native_roots: true")
    }

    #[test]
    fn every_root_of_amazon_is_among_those_compiled_in_once() {
        assert_eq!(amazon_roots().count(), AMAZON_ROOTS.len());
    }

    #[test]
    fn aws_itself_is_trusted_by_amazons_roots_and_others_by_the_systems() {
        assert!(!trusts_the_system(&[("AWS_REGION", "us-east-1")]));
        assert!(!trusts_the_system(&[("AWS_REGION", "us-gov-west-1")]));
        assert!(!trusts_the_system(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:8000")]));

        assert!(trusts_the_system(&[("AWS_REGION", "cn-north-1")]));
        assert!(trusts_the_system(&[("AWS_REGION", "us-isob-east-1")]));
        assert!(trusts_the_system(&[("AWS_ENDPOINT_URL_SQS", "https://sqs.example")]));
        assert!(trusts_the_system(&[("SSL_CERT_FILE", "/etc/ssl/own.pem")]));
    }
}
