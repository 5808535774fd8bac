//! Phone numbers at Vapi: its own, and those of carriers that it makes calls from.

use dialpool_domain::inventory::ProviderNumber;

use super::{ProviderError, Vapi, wire};

/// Numbers that are asked for at once.
const PAGE: usize = 500;

/// More numbers than these no account has.
const PAGES: usize = 40;

impl Vapi {
    /// Every phone number of the account. All or an error: that a number is not among them proves that the provider does
    /// not have it.
    ///
    /// # Errors
    /// When the provider gives no answer, one that cannot be read to the end, or more than 20,000 numbers.
    pub async fn phone_numbers(&self) -> Result<Vec<ProviderNumber>, ProviderError> {
        let listed = self.listed("phone-number", PAGE, PAGES, None).await?;
        listed.iter().map(|number| wire::number_of(number).map_err(ProviderError::Unreadable)).collect()
    }

    /// Asks for one phone number, to see whether the provider answers and knows the key.
    ///
    /// # Errors
    /// When it does not.
    pub async fn reach(&self) -> Result<(), ProviderError> {
        let answer = self.get(&["phone-number"], &[("limit", "1".to_owned())]).await?;
        answer.map(|_| ()).map_err(|answer| answer.into_error())
    }
}
