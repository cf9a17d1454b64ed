//! posthaste-protocol
