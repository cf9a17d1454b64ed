//! Postgres: the embedded server, the pool and its migrations, and databases for tests.

pub mod embedded;
pub mod pool;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
