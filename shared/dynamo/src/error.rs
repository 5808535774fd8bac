//! What can go wrong between us and DynamoDB. The SDK's errors are translated here and nowhere else.

use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

/// The store could not carry a request out.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No answer, or an answer that says nothing about whether the request took place. Reading tells.
    #[error("the store did not answer: {0}")]
    NoAnswer(String),
    /// The store asks for patience, or others kept getting in the way.
    #[error("the store is busy: {0}")]
    Busy(String),
    /// The request is wrong: our bug, or a table that is not what it should be.
    #[error("the store refused the request: {0}")]
    Refused(String),
    /// What is stored is not what this version of the program can read.
    #[error("stored {entity} cannot be read: {cause}")]
    Unreadable {
        /// Which kind of item.
        entity: &'static str,
        /// What is wrong with it.
        cause: String,
    },
}

impl StoreError {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoAnswer(_) | Self::Busy(_) => true,
            Self::Refused(_) | Self::Unreadable { .. } => false,
        }
    }

    pub(crate) fn unreadable(entity: &'static str, cause: impl std::fmt::Display) -> Self {
        Self::Unreadable { entity, cause: cause.to_string() }
    }
}

const BUSY: [&str; 6] = [
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
    "LimitExceededException",
];

impl<E, R> From<SdkError<E, R>> for StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    fn from(error: SdkError<E, R>) -> Self {
        let text = DisplayErrorContext(&error).to_string();
        let SdkError::ServiceError(service) = &error else {
            return Self::NoAnswer(text);
        };
        match service.err().code() {
            Some(code) if BUSY.contains(&code) => Self::Busy(text),
            None | Some("InternalServerError" | "ServiceUnavailable") => Self::NoAnswer(text),
            Some(_) => Self::Refused(text),
        }
    }
}
