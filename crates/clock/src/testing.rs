//! Waiting in tests. The one place of the workspace where a test sleeps: everything that takes real time is waited for as a
//! condition, and what follows the product's time by moving the clock ([`crate::manual`]).

use std::fmt::{Debug, Display};
use std::time::{Duration, Instant};

use posthaste_domain::Span;

use crate::ManualClock;

/// How long a condition may take to come true, on a machine that is busy with all the other tests.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pauses between two looks: the first, and what they double to. Who waits for long need not know at once.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));
/// How long those whom an alarm concerns have for it before the clock is moved again.
const STRIDE: Duration = Duration::from_millis(2);

/// Looks again and again until there is something, and gives it.
///
/// # Panics
///
/// Where there is nothing for twenty seconds: it says that it never came to `what`.
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, look).await
}

/// The same with another patience.
///
/// # Panics
///
/// Where there is nothing in that time.
pub async fn eventually_within<T>(patience: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_shown_within(patience, what, async || look().await.ok_or("")).await
}

/// The same, where what was there instead is shown if it never comes.
///
/// # Panics
///
/// Where there is nothing for twenty seconds.
pub async fn eventually_shown<T, S: Debug>(what: &str, look: impl AsyncFnMut() -> Result<T, S>) -> T {
    eventually_shown_within(PATIENCE, what, look).await
}

/// The same with another patience.
///
/// # Panics
///
/// Where there is nothing in that time.
pub async fn eventually_shown_within<T, S: Debug>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, S>,
) -> T {
    let mut looks = Looks::within(patience);
    loop {
        match look().await {
            Ok(found) => return found,
            Err(instead) => looks.again(&format_args!("{what}; the last look: {instead:#?}")).await,
        }
    }
}

/// The pauses between looks, for a loop that cannot be told as one of the above: in a task, it has to be sent.
#[derive(Debug)]
pub struct Looks {
    began: Instant,
    patience: Duration,
    pause: Duration,
}

impl Looks {
    /// Looks for so long.
    #[must_use]
    pub fn within(patience: Duration) -> Self {
        Self { began: Instant::now(), patience, pause: PAUSES.0 }
    }

    /// After a look in vain: waits for the next.
    ///
    /// # Panics
    ///
    /// Where the time for it is over.
    pub async fn again(&mut self, what: &(impl Display + ?Sized)) {
        assert!(self.began.elapsed() < self.patience, "never within {:?}: {what}", self.patience);
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSES.1);
    }
}

/// Waits for what comes with time: after each look in vain the clock is moved on by `step`. For chains of alarms and answers;
/// where the moment matters, a test moves the clock itself.
///
/// # Panics
///
/// Where there is nothing for twenty seconds of real time, however far the clock has come.
pub async fn as_time_passes<T>(
    clock: &ManualClock,
    step: Span,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let (began, start) = (Instant::now(), clock.clock().now());
    loop {
        if let Some(found) = look().await {
            return found;
        }
        let passed = clock.clock().now() - start;
        assert!(began.elapsed() < PATIENCE, "never, though {passed} passed: {what}");
        clock.advance(step);
        tokio::time::sleep(STRIDE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_is_given_and_what_never_comes_is_named() {
        let mut looks = 0;
        let third = eventually("a third look", async || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(third.await, 3);
        let vain = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            runtime.block_on(eventually_within(Duration::ZERO, "the impossible", async || None::<()>));
        });
        let said = vain.join().expect_err("it never comes");
        assert!(said.downcast_ref::<String>().is_some_and(|said| said.contains("the impossible")));
    }
}
