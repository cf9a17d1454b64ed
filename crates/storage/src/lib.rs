//! posthaste-storage
