//! A look at the numbers without anybody asking: those from which no call can be made are told.

use dialpool_domain::event::Cause;
use dialpool_domain::inventory::Inventory;
use dialpool_domain::time::Duration;
use tracing::{error, warn};

use crate::CallDispatcher;

/// How the line of the log begins that the alarm waits for: it is in the template, too.
const DEAD: &str = "pooled numbers cannot call";

/// A look that takes longer is given up: the function has other work, and 30 s for all of it.
const LOOK_WITHIN: Duration = Duration::from_secs(20);

impl CallDispatcher {
    /// Holds the numbers of all pools against those of the provider. The next look, an hour later, is the retry.
    pub(crate) async fn check_numbers(&self, cause: &Cause) {
        if tokio::time::timeout(LOOK_WITHIN, self.look_at_numbers(cause)).await.is_err() {
            warn!("the numbers could not be looked at within {} s", LOOK_WITHIN.as_secs());
        }
    }

    async fn look_at_numbers(&self, cause: &Cause) {
        let pooled = match self.store.all_pooled_numbers(cause.at).await {
            Ok(pooled) if pooled.is_empty() => return,
            Ok(pooled) => pooled,
            Err(error) => return warn!("failed to read the numbers of the pools: {error}"),
        };
        let theirs = match self.vapi.phone_numbers().await {
            Ok(theirs) => theirs,
            Err(error) => return warn!("failed to read the provider's numbers: {error}"),
        };
        let inventory = Inventory::of(&pooled, &theirs);
        let dead: Vec<String> =
            inventory.dead().map(|line| format!("{} of {}", line.number.masked(), line.company)).collect();
        if !dead.is_empty() {
            let some = dead.iter().take(20).cloned().collect::<Vec<_>>().join(", ");
            error!(numbers.dead = dead.len(), "{DEAD}: {} are missing or blocked: {some}", dead.len());
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_alarm_waits_for_the_line_that_is_logged() {
        let template = include_str!("../../../infra/template.yaml");
        assert!(template.contains(&format!("'{{ $.fields.message = \"{}*\" }}'", super::DEAD)));
    }
}
