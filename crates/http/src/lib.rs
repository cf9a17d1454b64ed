//! posthaste-http
