//! What `tests/paths/run` counts the instructions of: a request is counted against its caller's quota, which the answer
//! tells.

use std::time::{Duration, Instant};

use axum::http::HeaderMap;

use crate::quota::Limiter;

/// How many requests: what stands in `tests/paths/counts.json` is a hundredth.
const TIMES: u32 = 100;

#[inline(never)]
fn counted_requests(limiter: &Limiter<u64>, began: Instant) -> usize {
    let mut let_through = 0;
    for n in 0..TIMES {
        let standing =
            limiter.take(u64::from(n % 10), began + Duration::from_millis(n.into())).expect("there is a limit");
        let mut headers = HeaderMap::new();
        standing.tell(&mut headers);
        let_through += usize::from(standing.admit().is_ok() && headers.len() == 2);
    }
    let_through
}

#[test]
#[ignore = "counted by tests/paths/run"]
fn requests() {
    let began = Instant::now();
    let limiter = Limiter::new("caller", 12_000, 1000, began);
    assert_eq!(counted_requests(&limiter, began), TIMES as usize);
}
