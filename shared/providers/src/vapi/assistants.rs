//! Assistants at Vapi.
//!
//! A request that changes something is sent once. What is not certain is [`Written::Unknown`]: reading the assistant back
//! tells, by the mark of the request that each of ours bears in its metadata.

use ::http::{Method, StatusCode};
use dialpool_domain::Timestamp;
use dialpool_domain::assistant::{AssistantName, Configuration, Mark};

use super::{ProviderError, RefusalKind, Vapi, refusal_kind, said, wire};
use crate::http::TransportError;

/// Assistants are long, and a page must not be too long for the transport.
const PAGE: usize = 100;

/// More assistants than these were not made within the time that is asked for.
const PAGES: usize = 20;

/// An assistant as the provider has it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderAssistant {
    /// The provider's id.
    pub id: String,
    /// Its name there.
    pub name: Option<String>,
    /// When the provider made it.
    pub created_at: Option<Timestamp>,
    /// Whose it is, when it is ours.
    pub mark: Option<Mark>,
    /// How it is configured, without what is not a company's to set.
    pub configuration: Configuration,
}

/// What became of an assistant that was to be made or changed. None of these is an error.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// The provider has it so; this is its answer.
    Done(Box<ProviderAssistant>),
    /// The provider does not have the assistant.
    Gone,
    /// The provider said that it will not take it.
    Refused {
        /// Why, in our words.
        kind: RefusalKind,
        /// Why, in the provider's words: 200 characters at most, phone numbers masked.
        message: String,
    },
    /// Nothing was sent: there was no connection.
    NotSent {
        /// What went wrong.
        cause: String,
    },
    /// The provider may have taken it, or not.
    Unknown {
        /// What is unclear.
        cause: String,
    },
}

impl Vapi {
    /// Has an assistant made, once.
    pub async fn create_assistant(
        &self,
        name: &AssistantName,
        configuration: &Configuration,
        mark: &Mark,
    ) -> Written {
        self.write_assistant(Method::POST, &["assistant"], name, configuration, mark).await
    }

    /// Has an assistant changed, once: what is given takes the place of what is there under the same name.
    pub async fn update_assistant(
        &self,
        provider_id: &str,
        name: &AssistantName,
        configuration: &Configuration,
        mark: &Mark,
    ) -> Written {
        self.write_assistant(Method::PATCH, &["assistant", provider_id], name, configuration, mark).await
    }

    async fn write_assistant(
        &self,
        method: Method,
        path: &[&str],
        name: &AssistantName,
        configuration: &Configuration,
        mark: &Mark,
    ) -> Written {
        let there_before = method == Method::PATCH;
        let request = wire::assistant(name, configuration, mark)
            .and_then(|body| serde_json::to_vec(&body))
            .map_err(|error| error.to_string())
            .and_then(|body| self.request(method, self.url(path, &[])?, body.into()));
        let request = match request {
            Ok(request) => request,
            Err(cause) => return Written::NotSent { cause },
        };
        let response = match self.transport.send(request).await {
            Ok(response) => response,
            Err(error @ TransportError::NotSent(_)) => return Written::NotSent { cause: error.to_string() },
            Err(error @ TransportError::NoAnswer(_)) => return Written::Unknown { cause: error.to_string() },
        };
        let status = response.status();
        if status.is_success() {
            return match wire::read_assistant(response.body()) {
                Ok(assistant) => Written::Done(Box::new(assistant)),
                Err(error) => Written::Unknown { cause: format!("{status} that cannot be read: {error}") },
            };
        }
        let message = said(response.body());
        match refusal_kind(status, &message) {
            Some(_) if status == StatusCode::NOT_FOUND && there_before => Written::Gone,
            Some(kind) => Written::Refused { kind, message },
            None => Written::Unknown { cause: format!("answered with {status}: {message}") },
        }
    }

    /// An assistant by the provider's id; none when the provider says that there is no such assistant.
    ///
    /// # Errors
    /// When the provider gives no answer, or one that cannot be read.
    pub async fn assistant(&self, provider_id: &str) -> Result<Option<ProviderAssistant>, ProviderError> {
        match self.get(&["assistant", provider_id], &[]).await? {
            Ok(body) => {
                let read = wire::read_assistant(&body);
                read.map(Some).map_err(|error| ProviderError::Unreadable(error.to_string()))
            }
            Err(answer) if answer.status == StatusCode::NOT_FOUND => Ok(None),
            Err(answer) => Err(answer.into_error()),
        }
    }

    /// The assistant that a request had made at or after a moment, the provider's clock being meant.
    ///
    /// # Errors
    /// When the provider gives no answer, or one that cannot be read to the end.
    pub async fn assistant_made_by(
        &self,
        request: &str,
        created_from: Timestamp,
    ) -> Result<Option<ProviderAssistant>, ProviderError> {
        let made = self.listed("assistant", PAGE, PAGES, Some(created_from)).await?;
        let mut unreadable = None;
        for assistant in made {
            match wire::assistant_of(assistant) {
                Ok(found) if found.mark.as_ref().is_some_and(|mark| mark.request == request) => {
                    return Ok(Some(found));
                }
                Ok(_) => {}
                Err(error) => unreadable = Some(error),
            }
        }
        // One that cannot be read may be the one.
        unreadable.map_or(Ok(None), |error| Err(ProviderError::Unreadable(error)))
    }
}
