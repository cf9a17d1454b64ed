//! posthaste-client
