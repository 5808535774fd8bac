//! The variables that a function is configured by. `infra/template.yaml` sets them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use secrecy::SecretString;

/// Environment variables, read once at the start.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

/// A variable is missing or is not what it should be. The value is not repeated: it may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// Not set, or empty.
    #[error("environment variable {0} is not set")]
    Missing(String),
    /// Set to something that cannot be read.
    #[error("environment variable {name} cannot be read: {cause}")]
    Unreadable {
        /// The variable.
        name: String,
        /// What is wrong with its value.
        cause: String,
    },
}

impl Environment {
    /// The environment of the process.
    pub fn of_process() -> Self {
        std::env::vars().collect()
    }

    /// A variable that must be set.
    ///
    /// # Errors
    /// When it is not, or is empty.
    pub fn text(&self, name: &str) -> Result<&str, EnvironmentError> {
        self.optional_text(name).ok_or_else(|| EnvironmentError::Missing(name.to_owned()))
    }

    /// A variable that may be absent; an empty one is absent.
    pub fn optional_text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The values of all variables whose names begin with `prefix`.
    pub fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name.starts_with(prefix)).map(|(_, value)| value.as_str())
    }

    /// A secret that must be set.
    ///
    /// # Errors
    /// When it is not, or is empty.
    pub fn secret(&self, name: &str) -> Result<SecretString, EnvironmentError> {
        self.text(name).map(SecretString::from)
    }

    /// A value that must be set.
    ///
    /// # Errors
    /// When it is not, or cannot be read.
    pub fn value<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<T, EnvironmentError> {
        self.text(name)?.parse().map_err(|error: T::Err| EnvironmentError::Unreadable {
            name: name.to_owned(),
            cause: error.to_string(),
        })
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_variable_is_named_and_a_bad_value_is_not_repeated() {
        let environment: Environment = [("LINES".to_owned(), "s3cret".to_owned())].into_iter().collect();
        assert_eq!(
            environment.text("TABLE").unwrap_err().to_string(),
            "environment variable TABLE is not set"
        );
        let error = environment.value::<u32>("LINES").unwrap_err().to_string();
        assert!(error.contains("LINES") && !error.contains("s3cret"), "{error}");
    }
}
