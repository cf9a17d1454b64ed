//! posthaste-api
