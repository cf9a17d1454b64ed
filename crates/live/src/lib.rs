//! posthaste-live
