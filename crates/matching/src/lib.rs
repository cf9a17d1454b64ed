//! posthaste-matching
