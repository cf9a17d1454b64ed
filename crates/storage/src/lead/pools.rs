//! The pools of a leader, which refuse together.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::pool::Pool;

/// Every pool whose connections are this leader's. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pools(Arc<Mutex<Members>>);

#[derive(Debug, Default)]
struct Members {
    pools: Vec<Pool>,
    refuse: bool,
}

impl Pools {
    /// One more; it refuses too where the others do by now.
    pub(crate) fn add(&self, pool: &Pool) {
        let mut members = self.0.lock();
        if members.refuse {
            pool.refuse();
        }
        members.pools.retain(|pool| !pool.refuses());
        members.pools.push(pool.clone());
    }

    /// From now on all of them refuse.
    pub(crate) fn refuse(&self) {
        let mut members = self.0.lock();
        members.refuse = true;
        members.pools.iter().for_each(Pool::refuse);
    }
}
