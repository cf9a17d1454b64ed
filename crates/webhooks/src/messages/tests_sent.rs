//! How often endpoints are tested: each test is a request to an address of the merchant's choice, in the operator's name.

use std::time::Instant;

use posthaste_domain::ids::{MerchantId, WebhookEndpointId};
use posthaste_http::quota::Limiter;

use crate::Refused;

/// Tests of one endpoint in a minute. Enough to see a receiver fail and be mended; no load for whoever it is.
const OF_ONE: u32 = 6;
/// Tests of all endpoints of one merchant in a minute: endpoints are made and taken away again.
const OF_ALL: u32 = 120;
/// Endpoints and merchants remembered at most.
const MOST: usize = 50_000;

/// Who has tested what lately.
pub(crate) struct Tests {
    endpoints: Limiter<WebhookEndpointId>,
    merchants: Limiter<MerchantId>,
}

impl Tests {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            endpoints: Limiter::new("endpoint", OF_ONE, MOST, now),
            merchants: Limiter::new("merchant", OF_ALL, MOST, now),
        }
    }

    /// Counts a test of an endpoint; `merchant` is who asks, none for operations.
    pub(crate) fn take(
        &self,
        endpoint: WebhookEndpointId,
        merchant: Option<MerchantId>,
        now: Instant,
    ) -> Result<(), Refused> {
        let all = merchant.and_then(|merchant| self.merchants.take(merchant, now)?.refused_for);
        let wait = all.or_else(|| self.endpoints.take(endpoint, now)?.refused_for);
        let seconds = wait.map(|wait| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1));
        seconds.map_or(Ok(()), |seconds| Err(Refused::TooOften { seconds }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use posthaste_domain::ids::Id;

    use super::*;

    fn id<T: Id>(n: u128) -> T {
        T::from_uuid(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn an_endpoint_is_tested_a_few_times_a_minute_and_all_of_a_merchant_a_few_more() {
        let now = Instant::now();
        let tests = Tests::new(now);
        let passed = (0..300).filter(|_| tests.take(id(1), Some(id(9)), now).is_ok()).count();
        assert!((1..=2 * OF_ONE as usize).contains(&passed), "{passed}");
        assert!(tests.take(id(1), Some(id(9)), now + Duration::from_secs(60)).is_ok());
        let others = (0..300).filter(|n| tests.take(id(100 + n), Some(id(8)), now).is_ok()).count();
        assert!((1..=2 * OF_ALL as usize).contains(&others), "{others}");
    }
}
