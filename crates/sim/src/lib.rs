//! posthaste-sim
