//! posthaste-clock
