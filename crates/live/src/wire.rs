//! Calls as bytes: what crosses when whoever asks and the live system do not share memory.
//!
//! A call is one JSON text with its name and its arguments, an answer is one with what it came to. Here are the two ends,
//! [`Remote`] and `serve`, and a `Wire` between them that leads back into this process: tests reach the system over it.

use std::sync::Arc;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::DriverId;
use posthaste_domain::position::Report;
use serde::de::DeserializeOwned;

use crate::calls::{Answering, Call, Live, Slot};
use crate::presence::{Fix, LastTaken};
use crate::{Refused, System};

/// Carries a call to where the system is, and its answer back.
pub(crate) trait Wire: Send + Sync + 'static {
    /// The answer's bytes, or why none came.
    fn ask(&self, call: Vec<u8>) -> Answering<'_, Vec<u8>>;
    /// The slot of a driver. It is not a call: positions have a way of their own.
    fn slot(&self, driver: DriverId) -> Answering<'_, Arc<dyn Slot>>;
}

/// The system at the other end of a wire.
pub struct Remote {
    wire: Box<dyn Wire>,
}

impl Remote {
    pub(crate) async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<T, Refused> {
        let call = serde_json::to_vec(&call).map_err(|error| unreadable(&error))?;
        let answer = self.wire.ask(call).await?;
        serde_json::from_slice::<Result<T, Refused>>(&answer).map_err(|error| unreadable(&error))?
    }

    pub(crate) async fn slot_of(&self, driver: DriverId) -> Result<Arc<dyn Slot>, Refused> {
        let slot = self.wire.slot(driver).await?;
        Ok(Arc::new(RemoteSlot { slot }))
    }
}

fn unreadable(error: &serde_json::Error) -> Refused {
    tracing::error!(%error, "a call or its answer cannot be read");
    Refused::Broken("a call or its answer cannot be read".into())
}

/// Carries out a call that came as bytes; its answer as bytes.
///
/// # Errors
///
/// [`Refused::Broken`] where the call cannot be read, or its answer not be written down.
async fn serve(live: &dyn Live, call: &[u8]) -> Result<Vec<u8>, Refused> {
    let call: Call = serde_json::from_slice(call).map_err(|error| unreadable(&error))?;
    call.carry_out(live).await.map_err(|error| unreadable(&error))
}

/// A system in this process, reached over bytes as if it were elsewhere: for tests.
#[must_use]
pub fn through_bytes(system: &System) -> Arc<dyn Live> {
    Arc::new(Remote { wire: Box::new(Back(system.clone())) })
}

/// The wire that leads back.
struct Back(System);

impl Wire for Back {
    fn ask(&self, call: Vec<u8>) -> Answering<'_, Vec<u8>> {
        Box::pin(async move { serve(&self.0, &call).await })
    }

    fn slot(&self, driver: DriverId) -> Answering<'_, Arc<dyn Slot>> {
        self.0.slot(driver)
    }
}

/// A slot whose reports cross as bytes.
struct RemoteSlot {
    slot: Arc<dyn Slot>,
}

impl Slot for RemoteSlot {
    fn driver(&self) -> DriverId {
        self.slot.driver()
    }

    fn heartbeat(&self) {
        self.slot.heartbeat();
    }

    fn report(&self, reports: &[Report], now: Timestamp) -> Option<LastTaken> {
        let there: (Vec<Report>, Timestamp) = again(&(reports, now))?;
        again(&self.slot.report(&there.0, there.1)?)
    }

    fn report_no_place(&self) {
        self.slot.report_no_place();
    }

    fn newest(&self) -> Option<Fix> {
        again(&self.slot.newest()?)
    }
}

/// The same after it has crossed. None, and a line in the log, where it cannot.
fn again<T: serde::Serialize, U: DeserializeOwned>(value: &T) -> Option<U> {
    let crossed = serde_json::to_vec(value).and_then(|bytes| serde_json::from_slice(&bytes));
    crossed.inspect_err(|error| tracing::error!(%error, "a report cannot cross")).ok()
}
